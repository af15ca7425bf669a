// The space-time diagram: a lane for each node, arrows for messages, the faults above, the clients below.
// Only what is on the screen is drawn, and where too much is, how much it is.

import { FONT, SMALL_FONT, Surface, axisStep, fitted, hatch } from "./canvas";
import { Fate, NONE, NOWHERE, ROLES, countUpTo, duration } from "./model";
import { termColour, type Theme } from "./theme";
import type { View } from "./view";

const LEFT = 44;
const AXIS = 22;
const FAULT_ROW = 15;
const FAULT_ROWS = 3;
const CLIENT_ROW = 9;
/** With more clients than this, several share a row. */
const CLIENT_ROWS = 8;
/** With more messages on the screen than this, only their density is drawn. */
const MOST_ARROWS = 2500;
const MOST_DOTS = 4000;

interface Layout {
  top: number;
  laneHeight: number;
  clientsTop: number;
}

export class Lanes {
  readonly surface: Surface;
  /** How many messages the last drawing had on the screen, and whether it drew each. */
  drawn = { messages: 0, isDensity: false };
  private arrows = new Uint32Array(MOST_ARROWS);

  constructor(canvas: HTMLCanvasElement) {
    this.surface = new Surface(canvas);
  }

  private layout(view: View): Layout {
    const top = AXIS + FAULT_ROW * FAULT_ROWS + 6;
    const clients = Math.min(view.model.run.clients, CLIENT_ROWS) * CLIENT_ROW + 10;
    const room = this.surface.height - top - clients;
    return { top, laneHeight: room / view.model.run.machines, clientsTop: this.surface.height - clients + 6 };
  }

  x(view: View, time: number): number {
    return LEFT + ((time - view.from) / view.span) * (this.surface.width - LEFT);
  }

  time(view: View, x: number): number {
    return view.from + ((x - LEFT) / Math.max(1, this.surface.width - LEFT)) * view.span;
  }

  private y(layout: Layout, place: number): number {
    return layout.top + layout.laneHeight * (place + 0.5);
  }

  draw(view: View, theme: Theme): void {
    const context = this.surface.begin(theme);
    const layout = this.layout(view);
    const { width, height } = this.surface;
    this.drawAxis(context, view, theme);
    this.drawFaults(context, view, theme);
    context.save();
    context.beginPath();
    context.rect(LEFT, AXIS, width - LEFT, height - AXIS);
    context.clip();
    for (let place = 0; place < view.model.run.machines; place += 1) {
      this.drawLane(context, view, theme, layout, place);
    }
    this.drawMessages(context, view, theme, layout);
    this.drawEvents(context, view, theme, layout);
    for (let place = 0; place < view.model.run.machines; place += 1) {
      this.drawRoles(context, view, theme, layout, place);
    }
    this.drawClients(context, view, theme, layout);
    this.drawCursor(context, view, theme);
    context.restore();
    this.drawNames(context, view, theme, layout);
  }

  private drawAxis(context: CanvasRenderingContext2D, view: View, theme: Theme): void {
    const { width, height } = this.surface;
    const step = axisStep(view.span, width - LEFT);
    const digits = Math.max(0, Math.ceil(9 - Math.log10(step)));
    context.fillStyle = theme.faint;
    context.font = SMALL_FONT;
    context.textAlign = "center";
    for (let at = Math.max(0, Math.ceil(view.from / step)) * step; at <= view.from + view.span; at += step) {
      const x = Math.round(this.x(view, at)) + 0.5;
      if (x < LEFT) {
        continue;
      }
      context.strokeStyle = theme.line;
      context.globalAlpha = 0.6;
      context.beginPath();
      context.moveTo(x, AXIS);
      context.lineTo(x, height);
      context.stroke();
      context.globalAlpha = 1;
      const text = `${(at / 1e9).toFixed(Math.min(digits, 6))} s`;
      const half = context.measureText(text).width / 2;
      context.fillText(text, Math.min(Math.max(x, LEFT + half), width - half - 2), AXIS / 2);
    }
    context.textAlign = "left";
    context.font = FONT;
  }

  private drawFaults(context: CanvasRenderingContext2D, view: View, theme: Theme): void {
    const { at, until } = view.model.run.tables.faults;
    const ends = new Array<number>(FAULT_ROWS).fill(-Infinity);
    context.font = SMALL_FONT;
    context.fillStyle = theme.faint;
    context.fillText("faults", 4, AXIS + FAULT_ROW / 2);
    const right = view.from + view.span;
    for (let row = 0; row < at.length && at[row]! <= right; row += 1) {
      const begins = Math.max(LEFT, this.x(view, at[row]!));
      const natural = this.x(view, until[row]!);
      if (natural < LEFT && this.x(view, at[row]!) < LEFT - 4) {
        continue;
      }
      const track = ends.findIndex((end) => end <= begins);
      if (track < 0) {
        continue;
      }
      const isVain = view.model.isVain(row);
      const text = view.model.run.fault_texts[row]! + (isVain ? ": no leader" : "");
      const wanted = Math.max(natural - begins, Math.min(context.measureText(text).width + 8, 140));
      const free = Math.min(wanted, this.surface.width - begins);
      ends[track] = begins + wanted + 2;
      const y = AXIS + track * FAULT_ROW;
      context.globalAlpha = isVain ? 0 : at[row]! <= view.time && view.time < until[row]! ? 0.35 : 0.16;
      context.fillStyle = theme.alarm;
      context.fillRect(begins, y + 1, Math.max(2, Math.min(natural, this.surface.width) - begins), FAULT_ROW - 2);
      context.globalAlpha = 1;
      context.fillRect(begins, y + 1, 2, FAULT_ROW - 2);
      context.fillStyle = theme.text;
      context.fillText(fitted(context, text, free - 8), begins + 5, y + FAULT_ROW / 2);
    }
    context.font = FONT;
  }

  private drawLane(
    context: CanvasRenderingContext2D,
    view: View,
    theme: Theme,
    layout: Layout,
    place: number,
  ): void {
    const y = this.y(layout, place);
    const { role, term } = view.model.run.tables.states;
    context.font = SMALL_FONT;
    view.model.stretches(place, view.from, view.from + view.span, (from, to, row) => {
      const [left, right] = [this.x(view, from), this.x(view, to)];
      const width = Math.max(right - left, 0.75);
      const of = role[row]!;
      const colour = termColour(theme, term[row]!);
      const tall = [3, 3, 6, 9, 13][of]!;
      if (of === 0) {
        hatch(context, [left, y - 6, width, 12], theme.faint, 5);
      } else {
        context.globalAlpha = of === 1 ? 0.75 : 1;
        context.fillStyle = colour;
        context.fillRect(left, y - tall / 2, width, tall);
        context.globalAlpha = 1;
        if (of === 2 || of === 3) {
          hatch(context, [left, y - tall / 2, width, tall], theme.background, 5);
        }
      }
    });
    this.drawPauses(context, view, theme, place, y);
    context.font = FONT;
  }

  /** Roles and terms in words, over all else. */
  private drawRoles(
    context: CanvasRenderingContext2D,
    view: View,
    theme: Theme,
    layout: Layout,
    place: number,
  ): void {
    const { role, term } = view.model.run.tables.states;
    context.font = SMALL_FONT;
    view.model.stretches(place, view.from, view.from + view.span, (from, to, row) => {
      const left = Math.max(this.x(view, from), LEFT) + 4;
      const of = role[row]!;
      const label = of === 0 ? "down" : `${ROLES[of]!}, term ${term[row]}`;
      const text = fitted(context, label, this.x(view, to) - left - 4);
      if (text !== "") {
        const y = this.y(layout, place) - 15;
        context.globalAlpha = 0.85;
        context.fillStyle = theme.background;
        context.fillRect(left - 2, y - 6, context.measureText(text).width + 4, 12);
        context.globalAlpha = 1;
        context.fillStyle = of <= 1 ? theme.faint : theme.text;
        context.fillText(text, left, y);
      }
    });
    context.font = FONT;
  }

  /** A machine that is paused has a frame around its lane. */
  private drawPauses(context: CanvasRenderingContext2D, view: View, theme: Theme, place: number, y: number): void {
    const { at, until, places } = view.model.run.tables.faults;
    for (const row of view.model.pauses) {
      const isHere = ((places[row]! >>> place) & 1) === 1;
      if (!isHere || at[row]! > view.from + view.span || until[row]! < view.from) {
        continue;
      }
      const [left, end] = [this.x(view, at[row]!), this.x(view, until[row]!)];
      context.strokeStyle = theme.alarm;
      context.setLineDash([4, 3]);
      context.strokeRect(left, y - 10, end - left, 20);
      context.setLineDash([]);
      context.fillStyle = theme.alarm;
      context.fillText("paused", Math.max(left, LEFT) + 4, y + 15);
    }
  }

  private drawMessages(context: CanvasRenderingContext2D, view: View, theme: Theme, layout: Layout): void {
    const { messages } = view.model.run.tables;
    let count = 0;
    view.model.messagesBetween(view.from, view.from + view.span, (at) => {
      if (view.showsMessage(at)) {
        if (count < MOST_ARROWS) {
          this.arrows[count] = at;
        }
        count += 1;
      }
    });
    this.drawn = { messages: count, isDensity: count > MOST_ARROWS };
    if (count > MOST_ARROWS) {
      return this.drawDensity(context, view, theme, layout);
    }
    const isCrowded = count > 400;
    for (let at = 0; at < count; at += 1) {
      const message = this.arrows[at]!;
      const isPast = view.past?.[messages.sent[message]!] === 1;
      const received = messages.received[message]!;
      const isOfChosen = isPast && received !== NONE && view.past?.[received] === 1;
      const colour = isOfChosen ? theme.chosen : termColour(theme, messages.term[message]!);
      context.globalAlpha = view.past && !isOfChosen ? 0.22 : isCrowded ? 0.55 : 0.85;
      this.drawArrow(context, view, theme, layout, message, colour, isOfChosen ? 2 : 1);
    }
    context.globalAlpha = 1;
  }

  private drawArrow(
    context: CanvasRenderingContext2D,
    view: View,
    theme: Theme,
    layout: Layout,
    message: number,
    colour: string,
    width: number,
  ): void {
    const { messages } = view.model.run.tables;
    const [from, to] = [this.y(layout, messages.from[message]!), this.y(layout, messages.to[message]!)];
    const [sent, ended] = [this.x(view, view.model.sentAt[message]!), this.x(view, view.model.endAt[message]!)];
    const fate = messages.fate[message]!;
    const isLost = fate === Fate.lost;
    const isReceived = view.model.isReceived(message);
    const isLate = view.model.isLate(message);
    // A lost message ends on its way.
    const x = isLost ? sent + Math.min(18, (view.span / 1e9) * 2 + 6) : ended;
    const y = isLost ? from + (to - from) * 0.35 : to;
    context.strokeStyle = colour;
    context.fillStyle = colour;
    context.lineWidth = isLate ? width + 1.2 : width;
    context.setLineDash(isLost || !isReceived ? [3, 3] : isLate ? [8, 3] : []);
    context.beginPath();
    context.moveTo(sent, from);
    context.lineTo(x, y);
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 1;
    if (!isReceived) {
      // Lost, damaged, or nobody was there.
      context.strokeStyle = theme.alarm;
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(x - 3, y - 3);
      context.lineTo(x + 3, y + 3);
      context.moveTo(x - 3, y + 3);
      context.lineTo(x + 3, y - 3);
      context.stroke();
      context.lineWidth = 1;
      if (fate === Fate.damaged) {
        this.mark(context, theme, "damaged", (sent + x) / 2, (from + y) / 2);
      }
    } else {
      const angle = Math.atan2(y - from, x - sent);
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x - 7 * Math.cos(angle - 0.4), y - 7 * Math.sin(angle - 0.4));
      context.lineTo(x - 7 * Math.cos(angle + 0.4), y - 7 * Math.sin(angle + 0.4));
      context.fill();
      if (fate === Fate.secondCopy) {
        this.mark(context, theme, "2×", (sent + x) / 2, (from + y) / 2);
      } else if (isLate && view.span < 4e9) {
        this.mark(context, theme, "late", (sent + x) / 2, (from + y) / 2);
      }
    }
  }

  private mark(context: CanvasRenderingContext2D, theme: Theme, text: string, x: number, y: number): void {
    context.font = SMALL_FONT;
    const width = context.measureText(text).width;
    context.fillStyle = theme.background;
    context.fillRect(x - width / 2 - 2, y - 6, width + 4, 12);
    context.fillStyle = theme.text;
    context.fillText(text, x - width / 2, y);
    context.font = FONT;
  }

  /** How many messages each node sends, in place of arrows that would be one grey area. */
  private drawDensity(context: CanvasRenderingContext2D, view: View, theme: Theme, layout: Layout): void {
    const { messages } = view.model.run.tables;
    const slots = Math.ceil((this.surface.width - LEFT) / 3);
    const counts = new Uint32Array(slots * view.model.run.machines);
    let most = 1;
    const first = countUpTo(view.model.sentAt, view.from - 1);
    const past = countUpTo(view.model.sentAt, view.from + view.span);
    for (let at = first; at < past; at += 1) {
      if (view.showsMessage(at)) {
        const slot = Math.min(slots - 1, Math.floor(((view.model.sentAt[at]! - view.from) / view.span) * slots));
        const cell = messages.from[at]! * slots + slot;
        counts[cell]! += 1;
        most = Math.max(most, counts[cell]!);
      }
    }
    const tall = layout.laneHeight * 0.3;
    context.fillStyle = theme.faint;
    for (let place = 0; place < view.model.run.machines; place += 1) {
      const y = this.y(layout, place) + 8;
      for (let slot = 0; slot < slots; slot += 1) {
        const height = (counts[place * slots + slot]! / most) * tall;
        if (height > 0) {
          context.fillRect(LEFT + slot * 3, y, 2, Math.max(1, height));
        }
      }
    }
  }

  private drawEvents(context: CanvasRenderingContext2D, view: View, theme: Theme, layout: Layout): void {
    const { events } = view.model.run.tables;
    const first = countUpTo(events.at, view.from - 1);
    const past = countUpTo(events.at, view.from + view.span);
    if (past - first > MOST_DOTS) {
      return this.drawAlarms(context, view, theme, layout, first, past);
    }
    const kinds = view.model.kind;
    for (let event = first; event < past; event += 1) {
      const place = events.place[event]!;
      if (place === NOWHERE || !view.shows(event)) {
        continue;
      }
      const kind = events.kind[event]!;
      const isMessage = kind === kinds["send"] || kind === kinds["receive"];
      const isChosen = view.past?.[event] === 1;
      if (isMessage && !isChosen && event !== view.event) {
        continue;
      }
      const [x, y] = [this.x(view, events.at[event]!), this.y(layout, place)];
      context.fillStyle = isChosen ? theme.chosen : this.dotColour(theme, view, kind);
      const size = event === view.event ? 4.5 : isChosen ? 3 : 2;
      context.beginPath();
      context.arc(x, y, size, 0, 7);
      context.fill();
      if (event === view.chosen || event === view.event) {
        context.strokeStyle = event === view.chosen ? theme.chosen : theme.cursor;
        context.lineWidth = 2;
        context.beginPath();
        context.arc(x, y, 8, 0, 7);
        context.stroke();
        context.lineWidth = 1;
      }
    }
    this.drawAlarms(context, view, theme, layout, first, past);
  }

  private dotColour(theme: Theme, view: View, kind: number): string {
    const kinds = view.model.kind;
    return kind === kinds["complaint"] || kind === kinds["disk fault"] ? theme.alarm : theme.text;
  }

  /** Starts and ends of processes are shown at any scale. */
  private drawAlarms(
    context: CanvasRenderingContext2D,
    view: View,
    theme: Theme,
    layout: Layout,
    first: number,
    past: number,
  ): void {
    const { events } = view.model.run.tables;
    const [start, stop] = [view.model.kind["start"], view.model.kind["stop"]];
    for (let event = first; event < past; event += 1) {
      const kind = events.kind[event]!;
      if (kind !== start && kind !== stop) {
        continue;
      }
      const [x, y] = [this.x(view, events.at[event]!), this.y(layout, events.place[event]!)];
      context.fillStyle = theme.text;
      context.strokeStyle = theme.alarm;
      context.lineWidth = 2;
      context.beginPath();
      if (kind === start) {
        context.moveTo(x - 1, y - 6);
        context.lineTo(x + 7, y);
        context.lineTo(x - 1, y + 6);
        context.fill();
      } else {
        context.moveTo(x - 5, y - 5);
        context.lineTo(x + 5, y + 5);
        context.moveTo(x - 5, y + 5);
        context.lineTo(x + 5, y - 5);
        context.stroke();
      }
      context.lineWidth = 1;
    }
    const failure = view.model.run.failure;
    if (failure) {
      const x = this.x(view, view.model.end);
      context.fillStyle = theme.alarm;
      context.fillRect(x - 1.5, AXIS, 3, this.surface.height);
    }
  }

  private drawClients(context: CanvasRenderingContext2D, view: View, theme: Theme, layout: Layout): void {
    const { client, outcome } = view.model.run.tables.operations;
    const { starts, ends } = view.model.operations;
    context.globalAlpha = 0.75;
    view.model.operations.between(view.from, view.from + view.span, (row) => {
      const y = layout.clientsTop + (client[row]! % CLIENT_ROWS) * CLIENT_ROW;
      const [begins, x] = [this.x(view, starts[row]!), this.x(view, ends[row]!)];
      const width = Math.max(1.5, x - begins);
      context.fillStyle = outcome[row] === 1 ? theme.faint : theme.alarm;
      context.fillRect(begins, y, width, CLIENT_ROW - 3);
      if (outcome[row] !== 1) {
        hatch(context, [begins, y, width, CLIENT_ROW - 3], theme.background, 5);
      }
    });
    context.globalAlpha = 1;
  }

  private drawCursor(context: CanvasRenderingContext2D, view: View, theme: Theme): void {
    const x = Math.round(this.x(view, view.time)) + 0.5;
    context.strokeStyle = theme.cursor;
    context.beginPath();
    context.moveTo(x, AXIS);
    context.lineTo(x, this.surface.height);
    context.stroke();
    context.fillStyle = theme.cursor;
    context.beginPath();
    context.moveTo(x - 5, AXIS);
    context.lineTo(x + 5, AXIS);
    context.lineTo(x, AXIS + 6);
    context.fill();
  }

  private drawNames(context: CanvasRenderingContext2D, view: View, theme: Theme, layout: Layout): void {
    for (let place = 0; place < view.model.run.machines; place += 1) {
      const state = view.model.state(place, view.event);
      context.fillStyle = theme.text;
      context.font = "bold 13px system-ui, sans-serif";
      const name = state ? `n${state.node}` : `n${place + 1}`;
      context.fillText(name, 8, this.y(layout, place));
    }
    context.font = SMALL_FONT;
    context.fillStyle = theme.faint;
    context.fillText("clients", 4, layout.clientsTop + 4);
    if (this.drawn.isDensity) {
      const text = `${this.drawn.messages.toLocaleString("en")} messages on the screen: bars show how many are sent. Zoom in for arrows.`;
      const width = context.measureText(text).width;
      context.fillStyle = theme.panel;
      context.fillRect(this.surface.width - width - 16, layout.top - 4, width + 12, 16);
      context.fillStyle = theme.faint;
      context.fillText(text, this.surface.width - width - 10, layout.top + 4);
    }
    context.font = FONT;
  }

  /** What lies under a point: an event, or a message, or a client's operation; and what to say of it. */
  hit(view: View, x: number, y: number): { event: number; text: string } | undefined {
    const layout = this.layout(view);
    if (x < LEFT || y < layout.top) {
      return undefined;
    }
    if (y >= layout.clientsTop) {
      return this.hitClient(view, layout, x, y);
    }
    return this.hitEvent(view, layout, x, y) ?? this.hitMessage(view, layout, x, y);
  }

  private hitEvent(view: View, layout: Layout, x: number, y: number): { event: number; text: string } | undefined {
    const { events } = view.model.run.tables;
    const place = Math.floor((y - layout.top) / layout.laneHeight);
    if (Math.abs(y - this.y(layout, place)) > 9) {
      return undefined;
    }
    const reach = (6 / (this.surface.width - LEFT)) * view.span;
    const time = this.time(view, x);
    let best = -1;
    const past = countUpTo(events.at, time + reach);
    for (let event = countUpTo(events.at, time - reach - 1); event < past; event += 1) {
      const isNearer = best < 0 || Math.abs(events.at[event]! - time) < Math.abs(events.at[best]! - time);
      if (events.place[event] === place && view.shows(event) && isNearer) {
        best = event;
      }
    }
    return best < 0 ? undefined : { event: best, text: view.model.line(best) };
  }

  private hitMessage(view: View, layout: Layout, x: number, y: number): { event: number; text: string } | undefined {
    if (this.drawn.isDensity) {
      return undefined;
    }
    const { messages } = view.model.run.tables;
    let [best, least] = [-1, 6];
    for (let at = 0; at < this.drawn.messages; at += 1) {
      const message = this.arrows[at]!;
      const [x1, x2] = [this.x(view, view.model.sentAt[message]!), this.x(view, view.model.endAt[message]!)];
      const [y1, y2] = [this.y(layout, messages.from[message]!), this.y(layout, messages.to[message]!)];
      const length = Math.hypot(x2 - x1, y2 - y1) || 1;
      const along = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length;
      const across = Math.abs((x - x1) * (y2 - y1) - (y - y1) * (x2 - x1)) / length;
      if (along >= -4 && along <= length + 4 && across < least) {
        [best, least] = [message, across];
      }
    }
    if (best < 0) {
      return undefined;
    }
    return { event: messages.sent[best]!, text: `${view.model.line(messages.sent[best]!)}\n${this.fate(view, best)}` };
  }

  /** What became of a message, in words. */
  private fate(view: View, message: number): string {
    const { messages } = view.model.run.tables;
    const took = duration(view.model.endAt[message]! - view.model.sentAt[message]!);
    switch (messages.fate[message]) {
      case Fate.lost:
        return "lost on its way";
      case Fate.damaged:
        return "arrives with other bytes, and is discarded";
      default: {
        if (!view.model.isReceived(message)) {
          return "arrives where nobody receives it";
        }
        const copy = messages.fate[message] === Fate.secondCopy ? ", as the second copy" : "";
        return `received after ${took}${view.model.isLate(message) ? ", late" : ""}${copy}`;
      }
    }
  }

  private hitClient(view: View, layout: Layout, x: number, y: number): { event: number; text: string } | undefined {
    const { client, outcome } = view.model.run.tables.operations;
    const { starts, ends } = view.model.operations;
    const time = this.time(view, x);
    const reach = (3 / this.surface.width) * view.span;
    const track = Math.floor((y - layout.clientsTop) / CLIENT_ROW);
    let best = -1;
    view.model.operations.between(time - reach, time + reach, (row) => {
      best = client[row]! % CLIENT_ROWS === track ? row : best;
    });
    if (best < 0) {
      return undefined;
    }
    const took = outcome[best] === 0 ? "not answered" : `took ${duration(ends[best]! - starts[best]!)}`;
    const text = `c${client[best]} ${view.model.run.operation_texts[best]!}\n${took}`;
    return { event: Math.max(0, view.model.eventAt(starts[best]!)), text };
  }
}
