// What is looked at: the run, the cursor, the stretch of time on the screen, and what is filtered out.

import { NONE, type Model } from "./model";

/** Groups of kinds of events, as the filter offers them. */
export const GROUPS: Record<string, string[]> = {
  messages: ["send", "receive"],
  disk: ["write", "durable", "disk", "disk fault", "snapshot"],
  service: ["apply", "applied"],
  "roles and members": ["role", "leader", "members"],
  clients: ["propose", "read", "answer"],
  timers: ["timer"],
  complaints: ["complaint", "unreachable"],
  faults: ["nemesis", "world", "operator", "start", "stop"],
};

export class View {
  /** The cursor: an event, and a time at or after it and before the next one. */
  event = 0;
  time = 0;
  /** The stretch of time on the screen, in nanoseconds. */
  from = 0;
  span = 1e9;
  /** The event whose cause and past are shown. */
  chosen = -1;
  past: Uint8Array | undefined;
  /** How many events are before the chosen one. */
  pastCount = 0;
  showsQuiet = false;
  hidden = new Set<string>();
  /** The first column of the log grid; -1: it follows the cursor. */
  firstColumn = -1;
  private shownKinds = new Uint8Array(256);

  constructor(readonly model: Model) {
    // Arrows are slanted enough to be read.
    this.span = Math.min(Math.max(model.usualDelay * 80, 5e7), 2e9, Math.max(model.end, 1e6));
    this.filter();
  }

  /** Applies `hidden`. */
  filter(): void {
    this.shownKinds.fill(1);
    for (const group of this.hidden) {
      for (const name of GROUPS[group] ?? []) {
        const kind = this.model.kind[name];
        if (kind !== undefined) {
          this.shownKinds[kind] = 0;
        }
      }
    }
  }

  /** Whether the filter lets an event through. */
  shows(event: number): boolean {
    const { kind, message } = this.model.run.tables.events;
    if (this.shownKinds[kind[event]!] === 0) {
      return false;
    }
    const of = message[event]!;
    return of === NONE || this.showsQuiet || this.model.run.tables.messages.quiet[of] === 0;
  }

  showsMessage(message: number): boolean {
    return !this.hidden.has("messages") && (this.showsQuiet || this.model.run.tables.messages.quiet[message] === 0);
  }

  /** Moves the cursor to a time. */
  seek(time: number): void {
    this.time = Math.min(Math.max(time, 0), this.model.end);
    this.event = Math.max(0, this.model.eventAt(this.time));
  }

  /** Moves the cursor to an event. */
  seekEvent(event: number): void {
    this.event = Math.min(Math.max(event, 0), Math.max(0, this.model.events - 1));
    this.time = this.model.run.tables.events.at[this.event] ?? 0;
  }

  /** Moves to the next or previous event that is shown. Whether there was one. */
  step(by: 1 | -1): boolean {
    for (let at = this.event + by; at >= 0 && at < this.model.events; at += by) {
      if (this.shows(at)) {
        this.seekEvent(at);
        return true;
      }
    }
    return false;
  }

  /** Chooses an event: its cause and its past are shown. */
  choose(event: number): void {
    this.chosen = event;
    this.past = event >= 0 ? this.model.past(event) : undefined;
    this.pastCount = (this.past?.reduce((sum, is) => sum + is, 0) ?? 1) - 1;
  }

  /** Moves the stretch on the screen so that the cursor is in it, away from its edges. */
  follow(): void {
    const margin = this.span * 0.08;
    if (this.time < this.from + margin || this.time > this.from + this.span - margin) {
      this.from = this.time - this.span * (this.time < this.from + margin ? 0.3 : 0.7);
    }
    this.clamp();
  }

  /** Changes the scale around a time. */
  zoom(factor: number, around: number): void {
    const span = Math.min(Math.max(this.span * factor, 5e4), Math.max(this.model.end, 1e6));
    const share = (around - this.from) / this.span;
    this.from = around - share * span;
    this.span = span;
    this.clamp();
  }

  clamp(): void {
    const slack = this.span * 0.02;
    this.from = Math.min(Math.max(this.from, -slack), Math.max(-slack, this.model.end + slack - this.span));
  }
}
