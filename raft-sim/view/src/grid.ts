// The logs: a row for each node, a column for each index. The colour is the entry's term. Solid entries are
// committed as far as the node knows, pale ones are not; a dashed frame says that an entry is not on disk yet.

import { FONT, SMALL_FONT, Surface, hatch } from "./canvas";
import { onTermColour, termColour, type Theme } from "./theme";
import type { View } from "./view";

const LEFT = 44;
const TOP = 18;
const CELL = 26;
const MARKS = 11;

export class Grid {
  readonly surface: Surface;
  /** The first column of the last drawing. */
  first = 1;
  columns = 1;

  constructor(canvas: HTMLCanvasElement) {
    this.surface = new Surface(canvas);
  }

  draw(view: View, theme: Theme): void {
    const context = this.surface.begin(theme);
    const { model } = view;
    const { width, height } = this.surface;
    const states = Array.from({ length: model.run.machines }, (_, place) => model.state(place, view.event));
    const last = states.reduce((most, state) => Math.max(most, state?.last ?? 0), 0);
    this.columns = Math.max(1, Math.floor((width - LEFT - 4) / CELL));
    const following = Math.max(1, last - this.columns + 3);
    this.first = view.firstColumn < 0 ? following : Math.max(1, view.firstColumn);
    const rowHeight = (height - TOP) / model.run.machines;
    context.font = SMALL_FONT;
    context.fillStyle = theme.faint;
    context.fillText("index", 4, TOP / 2);
    context.textAlign = "center";
    for (let column = 0; column < this.columns; column += 1) {
      const index = this.first + column;
      if (index % 5 === 0 || column === 0) {
        context.fillText(String(index), LEFT + (column + 0.5) * CELL, TOP / 2);
      }
    }
    states.forEach((state, place) => {
      const top = TOP + place * rowHeight;
      const tall = Math.max(8, rowHeight - MARKS - 3);
      context.textAlign = "left";
      context.font = "bold 13px system-ui, sans-serif";
      context.fillStyle = theme.text;
      context.fillText(state ? `n${state.node}` : `n${place + 1}`, 8, top + tall / 2);
      if (!state) {
        return;
      }
      if (state.last < this.first) {
        context.font = SMALL_FONT;
        context.fillStyle = theme.faint;
        context.fillText(state.last === 0 ? "empty" : `← ends at ${state.last}`, LEFT + 4, top + tall / 2);
      }
      context.textAlign = "center";
      for (let column = 0; column < this.columns; column += 1) {
        const index = this.first + column;
        const x = LEFT + column * CELL;
        if (index <= state.base) {
          hatch(context, [x, top, CELL, tall], theme.line, 5);
          continue;
        }
        const entry = index <= state.last ? model.entry(place, index, view.event) : undefined;
        if (!entry) {
          continue;
        }
        const isCommitted = index <= state.commit;
        const isDurable = index <= state.durable;
        context.globalAlpha = state.role === 0 ? 0.5 : 1;
        context.fillStyle = termColour(theme, entry.term);
        if (isCommitted) {
          context.fillRect(x + 1, top, CELL - 2, tall);
        } else {
          context.globalAlpha *= 0.28;
          context.fillRect(x + 1, top, CELL - 2, tall);
          context.globalAlpha = state.role === 0 ? 0.5 : 1;
          context.strokeStyle = termColour(theme, entry.term);
          context.setLineDash(isDurable ? [] : [3, 2]);
          context.strokeRect(x + 1.5, top + 0.5, CELL - 3, tall - 1);
          context.setLineDash([]);
        }
        context.globalAlpha = 1;
        if (isCommitted && !isDurable) {
          context.strokeStyle = theme.text;
          context.setLineDash([3, 2]);
          context.strokeRect(x + 1.5, top + 0.5, CELL - 3, tall - 1);
          context.setLineDash([]);
        }
        context.font = FONT;
        context.fillStyle = isCommitted ? onTermColour(theme, entry.term) : theme.text;
        context.fillText(`${entry.term}${["", "·", "m"][entry.kind] ?? ""}`, x + CELL / 2, top + tall / 2 + 0.5);
      }
      this.drawMarks(context, theme, top + tall + 1, [
        ["S", state.snapshot],
        ["D", state.durable],
        ["A", state.applied],
        ["C", state.commit],
      ]);
    });
    context.textAlign = "left";
  }

  /** Letters under the columns that a node's indexes have reached; several may share one. */
  private drawMarks(
    context: CanvasRenderingContext2D,
    theme: Theme,
    top: number,
    marks: [string, number][],
  ): void {
    const byIndex = new Map<number, string>();
    for (const [letter, index] of marks) {
      if (index > 0) {
        byIndex.set(index, letter + (byIndex.get(index) ?? ""));
      }
    }
    context.font = "bold 9px system-ui, sans-serif";
    context.fillStyle = theme.text;
    for (const [index, letters] of byIndex) {
      const column = index - this.first;
      if (column >= 0 && column < this.columns) {
        // At the right edge of the last entry that counts.
        const x = LEFT + (column + 1) * CELL - 1;
        context.fillRect(x, top - 3, 1.5, MARKS);
        context.textAlign = "right";
        context.fillText(letters, x - 1.5, top + MARKS / 2 - 0.5);
        context.textAlign = "center";
      }
    }
  }

  /** What lies under a point, in words. */
  hit(view: View, x: number, y: number): string | undefined {
    const { machines } = view.model.run;
    const place = Math.floor((y - TOP) / ((this.surface.height - TOP) / machines));
    const index = this.first + Math.floor((x - LEFT) / CELL);
    const state = view.model.state(place, view.event);
    if (!state || x < LEFT || y < TOP) {
      return undefined;
    }
    if (index <= state.base) {
      return `n${state.node}: index ${index} is in its snapshot, which reaches to ${state.snapshot}`;
    }
    const entry = index <= state.last ? view.model.entry(place, index, view.event) : undefined;
    if (!entry) {
      return undefined;
    }
    const kind = ["a command", "the empty entry of a new leader", "a configuration"][entry.kind]!;
    const facts = [
      index <= state.commit ? "known to be committed" : "not known to be committed",
      index <= state.applied ? "applied" : "not applied",
      index <= state.durable ? "on its disk" : "not on its disk yet",
    ];
    return `n${state.node}: index ${index}, term ${entry.term}: ${kind}\n${facts.join(", ")}`;
  }
}
