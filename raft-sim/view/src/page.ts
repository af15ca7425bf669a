// The page: loads the simulator, runs what is asked for, and draws again whenever something has changed.

import { Actions } from "./actions";
import { Cluster } from "./cluster";
import { element, make } from "./dom";
import { Grid } from "./grid";
import { HELP } from "./help";
import { Lanes } from "./lanes";
import { Model, NONE, seconds } from "./model";
import { Overview } from "./overview";
import { showEvent, showFaults, showStates } from "./panel";
import type { Run, Source } from "./run";
import { Simulator } from "./simulator";
import { theme as themeOf, type Theme } from "./theme";
import { GROUPS, View } from "./view";

/** What `raft-sim view` writes into the page. */
interface Request {
  source: Source;
  /** The digest of the native run. */
  digest: string;
}

const request = JSON.parse(element("request").textContent || "null") as Request | null;
const simulator = new Simulator(element("wasm").textContent!);
const lanes = new Lanes(element<HTMLCanvasElement>("lanes"));
const grid = new Grid(element<HTMLCanvasElement>("grid"));
const overview = new Overview(element<HTMLCanvasElement>("overview"));
const cluster = new Cluster(element<HTMLCanvasElement>("cluster"));

let view: View | undefined;
let source: Source | undefined = request?.source;
let added: string[] = [];
/** Counts the runs, so that what is drawn once is drawn again. */
let version = 0;
let playing = 0;
let lastFrame = 0;
let isDirty = false;
let isDark = matchMedia("(prefers-color-scheme: dark)").matches;
let theme: Theme = themeOf(isDark);
let sentHash = "";
let isRunning = false;

const actions = new Actions(cluster, {
  add: (lines) => void execute([...added, ...lines]),
  remove: (at) => void execute(added.filter((_, other) => other !== at)),
  save: () => saveSchedule(),
});

function tell(text: string, isWorking = false): void {
  const box = element("message");
  box.hidden = text === "";
  box.textContent = text;
  box.classList.toggle("working", isWorking);
}

/** Runs the source with what was done by hand, and keeps the cursor where it is. */
async function execute(lines: string[], isNew = false): Promise<void> {
  if (!source) {
    return tell("Nothing to show yet: enter a seed above, or open a schedule file.", true);
  }
  isRunning = true;
  tell("Running …", true);
  try {
    const run = await simulator.run({ source, added: lines }, (progress) =>
      tell(`Running … ${progress} s of virtual time`, true),
    );
    if (run) {
      added = lines;
      tell("");
      show(run, isNew);
      isRunning = false;
    }
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error));
    isRunning = false;
  }
}

function show(run: Run, isNew: boolean): void {
  const before = isNew ? undefined : view;
  view = new View(new Model(run));
  version += 1;
  if (before) {
    Object.assign(view, { span: before.span, from: before.from, showsQuiet: before.showsQuiet, hidden: before.hidden });
    view.filter();
    view.seek(before.time);
  } else {
    view.showsQuiet = element<HTMLInputElement>("quiet").checked;
    cluster.selected = undefined;
    const target = hashTime();
    if (target === undefined && run.failure) {
      view.seek(view.model.end);
    } else {
      view.seek(target ?? firstLeader(view));
    }
    view.from = view.time - view.span * 0.5;
  }
  view.follow();
  element("name").textContent = run.run;
  const badge = element("digest");
  const isOriginal = source === request?.source && added.length === 0;
  const differs = isOriginal && request !== null && request.digest !== run.digest;
  badge.className = differs ? "differs" : "";
  badge.textContent = differs
    ? `digest ${run.digest}, but ${request!.digest} natively: this page's core is another than raft-sim's. Build the page anew.`
    : `digest ${run.digest}${isOriginal && request ? " ✓ as natively" : ""}`;
  element("violation").hidden = !run.failure;
  element("violation-button").textContent = `FAILED at ${run.virtual_seconds.toFixed(6)} s: ${run.failure}`;
  element("summary").textContent = run.summary;
  document.title = `${run.run} · raft-sim view`;
  actions.showDone(added, run.digest);
  find();
  dirty();
}

/** When the first leader is elected: where a run becomes interesting. */
function firstLeader({ model }: View): number {
  const { role, event } = model.run.tables.states;
  const row = role.indexOf(4);
  return row < 0 ? 0 : model.run.tables.events.at[event[row]!]!;
}

function hashTime(): number | undefined {
  const found = /(?:^#|&)t=([0-9.]+)/.exec(location.hash);
  const time = found ? Number(found[1]) * 1e9 : NaN;
  return Number.isFinite(time) ? time : undefined;
}

function dirty(): void {
  if (!isDirty) {
    isDirty = true;
    requestAnimationFrame(draw);
  }
}

function draw(now: number): void {
  isDirty = false;
  if (!view) {
    return;
  }
  if (playing !== 0) {
    const passed = lastFrame === 0 ? 16 : Math.min(now - lastFrame, 100);
    lastFrame = now;
    view.seek(view.time + passed * 1e6 * playing * Number(element<HTMLSelectElement>("speed").value));
    view.follow();
    if (view.time <= 0 || view.time >= view.model.end) {
      play(0);
    } else {
      dirty();
    }
  }
  overview.draw(view, theme, version);
  lanes.draw(view, theme);
  grid.draw(view, theme);
  cluster.draw(view, theme);
  showStates(view, theme);
  showEvent(view, goEvent);
  showFaults(view);
  actions.show(view);
  element("follow").hidden = view.firstColumn < 0;
  element("clock").textContent = `${seconds(view.time)} s   event ${view.event + 1} of ${view.model.events}`;
  const hash = `#t=${seconds(view.time)}`;
  if (playing === 0 && hash !== sentHash) {
    sentHash = hash;
    saveHash();
  }
}

let hashTimer = 0;
/** Browsers bear a few changes of the address in a second. */
function saveHash(): void {
  clearTimeout(hashTimer);
  hashTimer = window.setTimeout(() => history.replaceState(null, "", sentHash), 250);
}

function play(direction: number): void {
  playing = playing === direction ? 0 : direction;
  lastFrame = 0;
  element("play").textContent = playing > 0 ? "❚❚" : "▶";
  element("play-back").textContent = playing < 0 ? "❚❚" : "◀";
  dirty();
}

function goTime(time: number): void {
  view?.seek(time);
  view?.follow();
  dirty();
}

function goEvent(event: number): void {
  view?.seekEvent(event);
  view?.follow();
  dirty();
}

function step(by: 1 | -1): void {
  if (playing !== 0) {
    play(playing);
  }
  if (view?.step(by)) {
    view.follow();
  }
  dirty();
}

/** Goes to the next or previous event of a kind. */
function goKind(name: string, by: 1 | -1): void {
  if (!view) {
    return;
  }
  const { kind } = view.model.run.tables.events;
  const wanted = view.model.kind[name];
  for (let at = view.event + by; at >= 0 && at < view.model.events; at += by) {
    if (kind[at] === wanted) {
      return goEvent(at);
    }
  }
}

function goCause(): void {
  const cause = view?.model.run.tables.events.cause[view.event] ?? NONE;
  if (cause !== NONE) {
    goEvent(cause);
  }
}

function togglePast(): void {
  if (view) {
    view.choose(view.chosen === view.event ? -1 : view.event);
    dirty();
  }
}

function setTheme(dark: boolean): void {
  isDark = dark;
  theme = themeOf(dark);
  document.documentElement.classList.toggle("dark", dark);
  dirty();
}

function saveSchedule(): void {
  if (!view) {
    return;
  }
  const link = make("a", "", {
    href: URL.createObjectURL(new Blob([view.model.run.schedule], { type: "text/plain" })),
    download: `view-${view.model.run.digest}.toml`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

let found: number[] = [];
/** Searches the trace for what is in the field. */
function find(): void {
  const needle = element<HTMLInputElement>("search").value.trim();
  element("results").hidden = needle === "" || !view;
  if (!view || needle === "") {
    found = [];
    return;
  }
  const shown = view;
  const result = view.model.search(needle, (event) => shown.shows(event), 200);
  found = result.found;
  const { at } = view.model.run.tables.events;
  const buttons = found.map((event) => {
    const button = make("button");
    button.append(make("small", `${seconds(at[event]!)} s `), shown.model.line(event));
    button.onclick = () => goEvent(event);
    return button;
  });
  const more = result.count > found.length ? `, the first ${found.length} are shown` : "";
  const head = make("small", result.count === 0 ? `Nothing says "${needle}", of what the filter shows` : `${result.count.toLocaleString("en")} lines${more}`);
  element("found").replaceChildren(head, ...buttons);
}

function goFound(by: 1 | -1): void {
  if (!view || found.length === 0) {
    return;
  }
  const here = view.event;
  const next = by > 0 ? found.find((event) => event > here) : found.findLast((event) => event < here);
  goEvent(next ?? found[by > 0 ? 0 : found.length - 1]!);
}

const KEYS: Record<string, (event: KeyboardEvent) => void> = {
  ArrowLeft: (event) => (event.shiftKey ? goTime((view?.time ?? 0) - (view?.span ?? 0) / 10) : step(-1)),
  ArrowRight: (event) => (event.shiftKey ? goTime((view?.time ?? 0) + (view?.span ?? 0) / 10) : step(1)),
  " ": (event) => play(event.shiftKey ? -1 : 1),
  Home: () => goTime(0),
  End: () => goTime(Infinity),
  "+": () => zoom(0.6),
  "=": () => zoom(0.6),
  "-": () => zoom(1 / 0.6),
  v: () => view?.model.run.failure && goTime(view.model.end),
  c: () => togglePast(),
  g: () => goCause(),
  n: (event) => goKind("role", event.shiftKey ? -1 : 1),
  h: () => element("quiet").click(),
  t: () => setTheme(!isDark),
  "/": () => element("search").focus(),
  "?": () => element<HTMLDialogElement>("help").showModal(),
  Escape: () => deselect(),
};

function deselect(): void {
  cluster.selected = undefined;
  view?.choose(-1);
  dirty();
}

function zoom(factor: number): void {
  view?.zoom(factor, view.time);
  dirty();
}

function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || element<HTMLDialogElement>("help").open) {
    return;
  }
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) {
    if (event.key === "Escape") {
      target.blur();
    }
    return;
  }
  if (event.key === " " && /^(BUTTON|SUMMARY)$/.test(target.tagName)) {
    return; // It presses the button.
  }
  const act = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (act) {
    event.preventDefault();
    act(event);
  }
}

function tip(text: string | undefined, event: MouseEvent): void {
  const box = element("tip");
  box.hidden = !text;
  if (text) {
    box.textContent = text;
    const { offsetWidth: width, offsetHeight: height } = box;
    box.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 6))}px`;
    box.style.top = `${event.clientY + 16 + height > innerHeight ? event.clientY - height - 8 : event.clientY + 16}px`;
  }
}

/** On the diagram a click goes to what is there, and a drag moves the stretch on the screen. */
function listenToLanes(): void {
  const canvas = lanes.surface.canvas;
  let drag: { x: number; from: number; isMove: boolean } | undefined;
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag = { x: event.offsetX, from: view?.from ?? 0, isMove: false };
  };
  canvas.onpointermove = (event) => {
    if (!view) {
      return;
    }
    if (!drag) {
      return tip(lanes.hit(view, event.offsetX, event.offsetY)?.text, event);
    }
    drag.isMove ||= Math.abs(event.offsetX - drag.x) > 4;
    if (drag.isMove) {
      view.from = drag.from - (lanes.time(view, event.offsetX) - lanes.time(view, drag.x));
      view.clamp();
      dirty();
    }
  };
  canvas.onpointerup = (event) => {
    if (view && drag && !drag.isMove) {
      const hit = lanes.hit(view, event.offsetX, event.offsetY);
      if (hit) {
        goEvent(hit.event);
      } else {
        goTime(lanes.time(view, event.offsetX));
      }
    }
    drag = undefined;
  };
  canvas.onpointerleave = (event) => tip(undefined, event);
  canvas.onwheel = (event) => {
    event.preventDefault();
    if (!view) {
      return;
    }
    const moved = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
    if (Math.abs(moved) > Math.abs(event.deltaY) || event.shiftKey) {
      view.from += (moved / 800) * view.span;
      view.clamp();
    } else {
      view.zoom(Math.exp(event.deltaY / 400), lanes.time(view, event.offsetX));
    }
    dirty();
  };
}

function listenToOthers(): void {
  const strip = overview.surface.canvas;
  const scrub = (event: PointerEvent) => view && goTime(overview.time(view, event.offsetX));
  strip.onpointerdown = (event) => {
    strip.setPointerCapture(event.pointerId);
    scrub(event);
  };
  strip.onpointermove = (event) => event.buttons === 1 && scrub(event);
  const logs = grid.surface.canvas;
  logs.onpointermove = (event) => tip(view && grid.hit(view, event.offsetX, event.offsetY), event);
  logs.onpointerleave = (event) => tip(undefined, event);
  logs.onwheel = (event) => {
    event.preventDefault();
    if (view) {
      const moved = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.deltaY;
      view.firstColumn = Math.max(1, grid.first + Math.sign(moved) * Math.max(1, Math.round(Math.abs(moved) / 40)));
      dirty();
    }
  };
  const ring = cluster.surface.canvas;
  ring.onclick = (event) => {
    cluster.selected = view && cluster.hit(view, event.offsetX, event.offsetY);
    dirty();
  };
}

function listenToControls(): void {
  const on = (id: string, act: () => void) => (element(id).onclick = act);
  on("first", () => goTime(0));
  on("last", () => goTime(Infinity));
  on("step", () => step(1));
  on("step-back", () => step(-1));
  on("play", () => play(1));
  on("play-back", () => play(-1));
  on("zoom-in", () => zoom(0.6));
  on("zoom-out", () => zoom(1 / 0.6));
  on("theme", () => setTheme(!isDark));
  on("help-button", () => element<HTMLDialogElement>("help").showModal());
  on("violation-button", () => view && goTime(view.model.end));
  on("file-button", () => element("file").click());
  on("follow", () => {
    if (view) {
      view.firstColumn = -1;
    }
    dirty();
  });
  on("close-results", () => {
    element<HTMLInputElement>("search").value = "";
    find();
  });
  element("quiet").onchange = () => {
    if (view) {
      view.showsQuiet = element<HTMLInputElement>("quiet").checked;
    }
    find();
    dirty();
  };
  const search = element<HTMLInputElement>("search");
  search.oninput = find;
  search.onkeydown = (event) => event.key === "Enter" && goFound(event.shiftKey ? -1 : 1);
  element<HTMLFormElement>("open").onsubmit = (event) => {
    event.preventDefault();
    const field = (id: string) => element<HTMLInputElement>(id).value.trim();
    const seed = { seed: field("seed"), nodes: Number(field("nodes")), time: field("length"), faults: field("faults") };
    source = { seed: { ...seed, features: "drawn" } };
    void execute([], true);
  };
  element<HTMLInputElement>("file").onchange = async (event) => {
    const input = event.target as HTMLInputElement;
    const file = input.files?.[0];
    if (file) {
      await openFile(file);
      input.value = "";
    }
  };
  document.ondragover = (event) => event.preventDefault();
  document.ondrop = (event) => {
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file) {
      void openFile(file);
    }
  };
}

async function openFile(file: File): Promise<void> {
  source = { schedule: await file.text() };
  await execute([], true);
}

function fillFilter(): void {
  const labels = Object.keys(GROUPS).map((group) => {
    const box = make("input", "", { type: "checkbox", checked: true });
    box.onchange = () => {
      if (view) {
        if (box.checked) {
          view.hidden.delete(group);
        } else {
          view.hidden.add(group);
        }
        view.filter();
        find();
        dirty();
      }
    };
    const label = make("label");
    label.append(box, ` ${group}`);
    return label;
  });
  element("groups").replaceChildren(...labels);
}

function fillForm(): void {
  if (source && "seed" in source) {
    const { seed, nodes, time, faults } = source.seed;
    element<HTMLInputElement>("seed").value = seed;
    element<HTMLInputElement>("nodes").value = String(nodes);
    element<HTMLInputElement>("length").value = time;
    element<HTMLSelectElement>("faults").value = faults;
  }
}

element("help-text").innerHTML = HELP;
fillFilter();
fillForm();
listenToLanes();
listenToOthers();
listenToControls();
setTheme(isDark);
addEventListener("keydown", onKey);
addEventListener("resize", dirty);
addEventListener("hashchange", () => {
  const target = hashTime();
  if (target !== undefined && location.hash !== sentHash) {
    goTime(target);
  }
});
matchMedia("(prefers-color-scheme: dark)").onchange = ({ matches }) => setTheme(matches);

/** For tests: what is looked at, and whether a run is under way. */
Object.assign(window, {
  raftSimView: {
    get view() {
      return view;
    },
    get isRunning() {
      return isRunning;
    },
    lanes,
    cluster,
    draw: () => draw(performance.now()),
  },
});

void execute([], true);
