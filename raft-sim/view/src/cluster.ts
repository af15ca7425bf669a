// The cluster at the cursor, as a ring: who leads, what is under way, which links are cut. Links and nodes
// are what one clicks to do something to them.

import { FONT, SMALL_FONT, Surface } from "./canvas";
import { Fate, ROLE_LETTERS } from "./model";
import { onTermColour, termColour, type Theme } from "./theme";
import type { View } from "./view";

const RADIUS = 17;

/** What one can click. */
export type Part = { node: number } | { link: [number, number] };

export class Cluster {
  readonly surface: Surface;
  selected: Part | undefined;

  constructor(canvas: HTMLCanvasElement) {
    this.surface = new Surface(canvas);
  }

  /** Where a node stands on the canvas. */
  position(view: View, place: number): [number, number] {
    const { machines } = view.model.run;
    const angle = (place / machines) * 2 * Math.PI - Math.PI / 2;
    const { width, height } = this.surface;
    const radius = Math.min(width, height) / 2 - RADIUS - 9;
    return [width / 2 + radius * Math.cos(angle), height / 2 + radius * Math.sin(angle)];
  }

  draw(view: View, theme: Theme): void {
    const context = this.surface.begin(theme);
    const { machines } = view.model.run;
    const cut = view.model.cutLinks(view.time);
    for (let from = 0; from < machines; from += 1) {
      for (let to = from + 1; to < machines; to += 1) {
        const [there, back] = [cut.has(from * machines + to), cut.has(to * machines + from)];
        this.drawLink(context, view, theme, [from, to], there, back);
      }
    }
    this.drawMessages(context, view, theme);
    for (let place = 0; place < machines; place += 1) {
      this.drawNode(context, view, theme, place);
    }
  }

  private drawLink(
    context: CanvasRenderingContext2D,
    view: View,
    theme: Theme,
    [from, to]: [number, number],
    there: boolean,
    back: boolean,
  ): void {
    const [[x1, y1], [x2, y2]] = [this.position(view, from), this.position(view, to)];
    const part = this.selected;
    const isSelected = part && "link" in part && part.link[0] === from && part.link[1] === to;
    context.strokeStyle = isSelected ? theme.chosen : there || back ? theme.alarm : theme.line;
    context.lineWidth = isSelected ? 3 : 1;
    context.setLineDash(there || back ? [2, 4] : []);
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 1;
    if (there || back) {
      // A cross near the sender that nobody hears; in the middle if the link is cut in both directions.
      const share = there && back ? 0.5 : there ? 0.3 : 0.7;
      const [x, y] = [x1 + (x2 - x1) * share, y1 + (y2 - y1) * share];
      context.strokeStyle = theme.alarm;
      context.lineWidth = 2;
      context.beginPath();
      context.moveTo(x - 4, y - 4);
      context.lineTo(x + 4, y + 4);
      context.moveTo(x - 4, y + 4);
      context.lineTo(x + 4, y - 4);
      context.stroke();
      context.lineWidth = 1;
    }
  }

  private drawMessages(context: CanvasRenderingContext2D, view: View, theme: Theme): void {
    const { messages } = view.model.run.tables;
    view.model.messagesBetween(view.time, view.time, (at) => {
      if (messages.fate[at] === Fate.lost) {
        return;
      }
      const [sent, ends] = [view.model.sentAt[at]!, view.model.endAt[at]!];
      const share = ends > sent ? (view.time - sent) / (ends - sent) : 0;
      const [[x1, y1], [x2, y2]] = [
        this.position(view, messages.from[at]!),
        this.position(view, messages.to[at]!),
      ];
      context.fillStyle = termColour(theme, messages.term[at]!);
      context.beginPath();
      context.arc(x1 + (x2 - x1) * share, y1 + (y2 - y1) * share, messages.quiet[at] ? 2.5 : 4.5, 0, 7);
      context.fill();
    });
  }

  private drawNode(context: CanvasRenderingContext2D, view: View, theme: Theme, place: number): void {
    const state = view.model.state(place, view.event);
    const [x, y] = this.position(view, place);
    const isDown = !state || state.role === 0;
    const isLeader = state?.role === 4;
    const colour = isDown ? theme.faint : termColour(theme, state.term);
    context.beginPath();
    context.arc(x, y, RADIUS, 0, 7);
    context.fillStyle = isLeader ? colour : theme.background;
    context.fill();
    context.strokeStyle = colour;
    context.lineWidth = isLeader ? 4 : 2.5;
    context.setLineDash(isDown ? [3, 3] : state.role === 2 || state.role === 3 ? [6, 3] : []);
    context.stroke();
    context.setLineDash([]);
    const part = this.selected;
    if (part && "node" in part && part.node === place) {
      context.strokeStyle = theme.chosen;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, RADIUS + 5, 0, 7);
      context.stroke();
    }
    context.lineWidth = 1;
    context.textAlign = "center";
    context.fillStyle = isLeader ? onTermColour(theme, state.term) : theme.text;
    context.font = FONT;
    context.fillText(`n${state ? state.node : place + 1}`, x, y - 5);
    context.font = SMALL_FONT;
    context.fillText(isDown ? "down" : `${ROLE_LETTERS[state.role]} ${state.term}`, x, y + 7);
    context.textAlign = "left";
  }

  /** What lies under a point. */
  hit(view: View, x: number, y: number): Part | undefined {
    const { machines } = view.model.run;
    for (let place = 0; place < machines; place += 1) {
      const [at, down] = this.position(view, place);
      if (Math.hypot(x - at, y - down) <= RADIUS + 3) {
        return { node: place };
      }
    }
    let best: Part | undefined;
    let least = 7;
    for (let from = 0; from < machines; from += 1) {
      for (let to = from + 1; to < machines; to += 1) {
        const [[x1, y1], [x2, y2]] = [this.position(view, from), this.position(view, to)];
        const length = Math.hypot(x2 - x1, y2 - y1);
        const along = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length;
        const across = Math.abs((x - x1) * (y2 - y1) - (y - y1) * (x2 - x1)) / length;
        if (along > 0 && along < length && across < least) {
          [best, least] = [{ link: [from, to] }, across];
        }
      }
    }
    return best;
  }
}
