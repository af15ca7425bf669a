// The side of the page: the nodes at the cursor, the event with its cause, the faults that last.

import { element, make } from "./dom";
import { NONE, NOWHERE, ROLES, countUpTo, duration, seconds } from "./model";
import { termColour, type Theme } from "./theme";
import type { View } from "./view";

const COLUMNS = ["", "role", "term", "vote", "last", "disk", "commit", "applied"];

/** Shows the state of each node at the cursor. */
export function showStates(view: View, theme: Theme): void {
  const table = element<HTMLTableElement>("states");
  const head = make("tr");
  head.append(...COLUMNS.map((name) => make("th", name)));
  const rows = Array.from({ length: view.model.run.machines }, (_, place) => {
    const row = make("tr");
    const state = view.model.state(place, view.event);
    if (!state) {
      row.append(make("td", `n${place + 1}`), make("td", "not started"));
      return row;
    }
    const isDown = state.role === 0;
    const dot = make("span", "", { className: "dot" });
    dot.style.background = termColour(theme, isDown ? 0 : state.term);
    const name = make("td");
    name.append(dot, `n${state.node}`);
    const vote = state.vote === NOWHERE ? "–" : `n${state.vote + 1}`;
    const numbers = [state.term, vote, state.last, state.durable, state.commit, state.applied];
    row.append(name, make("td", ROLES[state.role]), ...numbers.map((number) => make("td", String(number))));
    if (isDown) {
      row.style.opacity = "0.55";
    }
    return row;
  });
  table.replaceChildren(head, ...rows);
}

/** Shows the event at the cursor, what caused it, and what it causes. */
export function showEvent(view: View, go: (event: number) => void): void {
  const box = element("event");
  const { events, messages } = view.model.run.tables;
  const event = view.event;
  if (view.model.events === 0) {
    return box.replaceChildren("Nothing has happened yet.");
  }
  const kind = view.model.run.event_kinds[events.kind[event]!]!;
  const line = make("div", view.model.line(event));
  const about = make("small", `${seconds(events.at[event]!)} s · ${kind} · event ${event + 1} of ${view.model.events}`);
  box.replaceChildren(about, line);
  const link = (label: string, to: number) => {
    const took = duration(Math.abs(events.at[event]! - events.at[to]!));
    const button = make("button", "", { className: "cause", title: "Go there" });
    button.append(make("small", `${label}, ${took} ${to < event ? "before" : "after"}`), make("div", view.model.line(to)));
    button.onclick = () => go(to);
    box.append(button);
  };
  const cause = events.cause[event]!;
  if (cause !== NONE) {
    link("caused by", cause);
  }
  const message = events.message[event]!;
  if (message !== NONE && messages.sent[message] === event) {
    for (let copy = message; messages.sent[copy] === event; copy += 1) {
      const received = messages.received[copy]!;
      if (received !== NONE) {
        link("received", received);
      }
    }
  }
  const isChosen = view.chosen === event;
  const choose = make("button", isChosen ? "Hide its past" : "Show its past (C)", {
    title: "Everything that happened before it: its happens-before cone",
  });
  choose.onclick = () => {
    view.choose(isChosen ? -1 : event);
    go(event);
  };
  const wrap = make("div");
  wrap.style.marginTop = "6px";
  wrap.append(choose);
  if (view.past) {
    wrap.append(make("small", ` ${view.pastCount.toLocaleString("en")} events before event ${view.chosen + 1}`));
  }
  box.append(wrap);
}

/** Shows the faults that last at the cursor. */
export function showFaults(view: View): void {
  const { at, until } = view.model.run.tables.faults;
  const rows: HTMLElement[] = [];
  const count = countUpTo(at, view.time);
  for (let row = count - 1; row >= 0 && rows.length < 12; row -= 1) {
    if (until[row]! > view.time && !view.model.isVain(row)) {
      const left = duration(until[row]! - view.time);
      rows.push(make("div", `${view.model.run.fault_texts[row]!} (${left} left)`));
    }
  }
  if (rows.length === 0) {
    rows.push(make("div", view.time >= view.model.run.faults_end * 1e9 ? "none: faults are over" : "none"));
  }
  element("now").replaceChildren(...rows);
}
