// What one can do to the cluster at the cursor. Each is a line of a schedule at the cursor's time: the run is
// made again with it, and all lines together are a file that `raft-sim replay` runs.

import type { Cluster } from "./cluster";
import { element, make } from "./dom";
import type { View } from "./view";

/** For how long a fault lasts. */
const TIMES = ["100ms", "250ms", "500ms", "1s", "2s", "5s", "10s"];

export interface Doer {
  /** Runs again with these lines more. */
  add(lines: string[]): void;
  /** Runs again without this line. */
  remove(at: number): void;
  /** Writes the schedule to a file. */
  save(): void;
}

export class Actions {
  private time = "1s";

  constructor(
    private readonly cluster: Cluster,
    private readonly doer: Doer,
  ) {}

  /** Offers what can be done to what is selected. */
  show(view: View): void {
    const box = element("actions");
    const part = this.cluster.selected;
    // Times in a file have six digits; this one is not before what has just happened.
    const at = (Math.ceil(view.time / 1e3) / 1e6).toFixed(6);
    const isOver = Number(at) >= view.model.run.faults_end;
    const button = (label: string, title: string, ...whats: string[]) => {
      const made = make("button", label, { title: `${title}\n${whats.join("\n")}`, disabled: isOver });
      made.onclick = () => this.doer.add(whats.map((what) => `${at} ${what}`));
      return made;
    };
    if (isOver) {
      const text = `After ${view.model.run.faults_end} s all faults are over: go back to do something.`;
      return box.replaceChildren(make("div", text, { className: "hint" }));
    }
    const times = make("select", "", { title: "For how long" });
    times.append(...TIMES.map((time) => make("option", time, { value: time, selected: time === this.time })));
    times.onchange = () => {
      this.time = times.value;
      this.show(view);
    };
    const lasts = `for ${this.time}`;
    const write = button("Propose", "A client writes a key", "c0 set k0");
    const read = button("Read", "A client reads a key from the leader", "c0 read k0 by quorum");
    if (!part) {
      const hint = make("div", "Click a node or a link to do something to it at the cursor.", { className: "hint" });
      return box.replaceChildren(hint, write, read, button("Transfer", "The leader hands over", "transfer"));
    }
    if ("link" in part) {
      const [one, other] = part.link.map((place) => `n${place + 1}`);
      return box.replaceChildren(
        make("div", `The link ${one} – ${other}, for`, { className: "hint" }),
        times,
        button("Cut", "Nothing arrives, in both directions", `cut ${one}->${other} ${lasts}`, `cut ${other}->${one} ${lasts}`),
        button(`Cut ${one}→${other}`, "Nothing arrives, in one direction", `cut ${one}->${other} ${lasts}`),
        button(`Cut ${other}→${one}`, "Nothing arrives, in one direction", `cut ${other}->${one} ${lasts}`),
        button("Slow", "Messages take longer", `slow-link ${one}->${other} by 100ms ${lasts}`, `slow-link ${other}->${one} by 100ms ${lasts}`),
      );
    }
    const node = `n${part.node + 1}`;
    box.replaceChildren(
      make("div", `The machine of ${node}, for`, { className: "hint" }),
      times,
      button("Kill", "The process ends; what it wrote stays", `kill ${node} ${lasts}`),
      button("Power off", "Power fails; what was not synced may be lost", `crash ${node} ${lasts}`),
      button("Pause", "The machine stands still", `pause ${node} ${lasts}`),
      button("Isolate", "All its links are cut", `isolate ${node} ${lasts}`),
      button("Slow disk", "Each sync takes up to 200 ms longer", `slow-disk ${node} by 200ms ${lasts}`),
      button("Lead", "The leader hands over to it", `transfer to ${node}`),
      button("Campaign", "It campaigns at once", `campaign ${node}`),
      button("Step down", "It gives up its leadership", `step-down ${node}`),
      button("Snapshot", "Its service makes a snapshot", `snapshot ${node}`),
      button("Add", "It becomes a voter", `change ${node}=voter`),
      button("Remove", "It is no member any more", `change ${node}=out`),
      write,
      read,
    );
  }

  /** Lists what was done. */
  showDone(added: string[], digest: string): void {
    const box = element("done");
    const save = make("button", "Save schedule", { title: "A file that raft-sim replay runs to the same digest" });
    save.onclick = () => this.doer.save();
    const list = make("ol");
    added.forEach((line, at) => {
      const item = make("li");
      const undo = make("button", "×", { title: "Undo" });
      undo.onclick = () => this.doer.remove(at);
      item.append(undo, line);
      list.append(item);
    });
    const hint = added.length > 0 ? `${added.length} done by hand; digest ${digest}` : "";
    box.replaceChildren(list, ...(hint ? [make("div", hint, { className: "hint" })] : []), save);
  }
}
