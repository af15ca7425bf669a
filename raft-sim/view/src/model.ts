// A run, indexed: what is the state at an event, which messages are under way in a stretch of time, what
// caused what. Everything is found by binary search in the columns, so any instant costs the same.

import type { Run } from "./run";

export const NONE = 0xffffffff;
export const NOWHERE = 0xff;

/** The numbers of roles in the column. */
export const ROLES = ["down", "follower", "pre-candidate", "candidate", "leader"] as const;
export const ROLE_LETTERS = ["–", "F", "P", "C", "L"] as const;

/** The numbers of fates in the column. */
export const Fate = { arrives: 0, lost: 1, firstCopy: 2, secondCopy: 3, damaged: 4 } as const;

/** How many times the median a message may take before it counts as late. */
export const LATE = 5;

export interface NodeState {
  role: number;
  leader: number;
  vote: number;
  node: number;
  term: number;
  commit: number;
  applied: number;
  durable: number;
  last: number;
  snapshot: number;
  base: number;
}

export interface LogEntry {
  term: number;
  kind: number;
}

/** How many numbers of a sorted array are at most `limit`. */
export function countUpTo(sorted: ArrayLike<number>, limit: number, from = 0, to = sorted.length): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) <= limit) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/** Stretches of time by their beginnings. Those that touch another stretch are found in blocks: a block all
 * of whose stretches ended before is skipped. */
export class Spans {
  private static readonly BLOCK = 256;
  private readonly blockEnds: Float64Array;

  constructor(
    readonly starts: Float64Array,
    readonly ends: Float64Array,
  ) {
    this.blockEnds = new Float64Array(Math.ceil(starts.length / Spans.BLOCK));
    ends.forEach((end, at) => {
      const block = Math.floor(at / Spans.BLOCK);
      this.blockEnds[block] = Math.max(this.blockEnds[block]!, end);
    });
  }

  /** Calls `visit` with each that has begun by `to` and not ended before `from`. */
  between(from: number, to: number, visit: (at: number) => void): void {
    const count = countUpTo(this.starts, to);
    for (let block = 0; block * Spans.BLOCK < count; block += 1) {
      if (this.blockEnds[block]! < from) {
        continue;
      }
      const past = Math.min(count, (block + 1) * Spans.BLOCK);
      for (let at = block * Spans.BLOCK; at < past; at += 1) {
        if (this.ends[at]! >= from) {
          visit(at);
        }
      }
    }
  }
}

export class Model {
  readonly events: number;
  /** The end of the run, in nanoseconds. */
  readonly end: number;
  /** When each message was sent, and when it ended: received, lost, or due in vain. */
  readonly sentAt: Float64Array;
  readonly endAt: Float64Array;
  /** The median time that a message takes, in nanoseconds. */
  readonly usualDelay: number;
  /** From this delay on a message is late, in nanoseconds. */
  readonly lateAfter: number;
  /** The number of each kind of event by its name. */
  readonly kind: Record<string, number>;
  readonly greatestIndex: number;
  /** What clients asked; an operation without an answer lasts to the end. */
  readonly operations: Spans;
  /** The faults that pause a machine. */
  readonly pauses: number[];
  private readonly underWay: Spans;
  /** By machine: the rows of states from which on it has another role or term. */
  private readonly roleRows: Uint32Array[];
  private readonly statesOf: Uint32Array[];
  private readonly stateEvents: Uint32Array[];
  private readonly entryStarts: Uint32Array;
  private readonly entryRows: Uint32Array;
  private readonly entryEvents: Uint32Array;
  private readonly decoder = new TextDecoder();
  private text: string | undefined;

  constructor(readonly run: Run) {
    const { events, messages } = run.tables;
    this.events = events.at.length;
    // Times of events never fall: binary search relies on it.
    events.at.forEach((time, event) => {
      events.at[event] = Math.max(time, event > 0 ? events.at[event - 1]! : 0);
    });
    this.end = Math.max(run.virtual_seconds * 1e9, this.events > 0 ? events.at[this.events - 1]! : 0);
    this.kind = Object.fromEntries(run.event_kinds.map((name, number) => [name, number]));
    const count = messages.sent.length;
    this.sentAt = new Float64Array(count);
    this.endAt = new Float64Array(count);
    for (let at = 0; at < count; at += 1) {
      const sent = events.at[messages.sent[at]!]!;
      const received = messages.received[at]!;
      this.sentAt[at] = sent;
      this.endAt[at] = received !== NONE ? events.at[received]! : Math.max(messages.due[at]!, sent);
    }
    this.usualDelay = this.medianDelay();
    this.lateAfter = Math.max(LATE * this.usualDelay, 1e6);
    this.underWay = new Spans(this.sentAt, this.endAt);
    const { at, until, outcome } = run.tables.operations;
    this.operations = new Spans(at, until.map((end, row) => (outcome[row] === 0 ? this.end : end)));
    this.pauses = run.fault_texts.flatMap((text, row) => (text.startsWith("pause") ? [row] : []));
    [this.statesOf, this.stateEvents] = this.indexStates();
    const { role, term } = run.tables.states;
    this.roleRows = this.statesOf.map((rows) =>
      rows.filter((row, number) => {
        const before = rows[number - 1];
        return before === undefined || role[row] !== role[before] || term[row] !== term[before];
      }),
    );
    this.greatestIndex = run.tables.entries.index.reduce((most, index) => Math.max(most, index), 0);
    [this.entryStarts, this.entryRows, this.entryEvents] = this.indexEntries();
  }

  private medianDelay(): number {
    const delays: number[] = [];
    const { received } = this.run.tables.messages;
    const step = Math.max(1, Math.floor(received.length / 5000));
    for (let at = 0; at < received.length; at += step) {
      if (received[at] !== NONE) {
        delays.push(this.endAt[at]! - this.sentAt[at]!);
      }
    }
    delays.sort((one, other) => one - other);
    return delays[delays.length >> 1] ?? 1e6;
  }

  private indexStates(): [Uint32Array[], Uint32Array[]] {
    const { place, event } = this.run.tables.states;
    const rows: number[][] = Array.from({ length: this.run.machines }, () => []);
    place.forEach((at, row) => rows[at]?.push(row));
    const columns = rows.map((of) => Uint32Array.from(of));
    return [columns, columns.map((of) => of.map((row) => event[row]!))];
  }

  /** Rows of entries by machine and index, each in the order of events. */
  private indexEntries(): [Uint32Array, Uint32Array, Uint32Array] {
    const { place, index, event } = this.run.tables.entries;
    const width = this.greatestIndex + 1;
    const starts = new Uint32Array(this.run.machines * width + 1);
    for (let row = 0; row < place.length; row += 1) {
      starts[place[row]! * width + index[row]! + 1]! += 1;
    }
    for (let at = 1; at < starts.length; at += 1) {
      starts[at]! += starts[at - 1]!;
    }
    const next = starts.slice();
    const rows = new Uint32Array(place.length);
    for (let row = 0; row < place.length; row += 1) {
      const key = place[row]! * width + index[row]!;
      rows[next[key]!] = row;
      next[key]! += 1;
    }
    return [starts, rows, rows.map((row) => event[row]!)];
  }

  /** The last event at or before a time; -1 before the first. */
  eventAt(nanos: number): number {
    return countUpTo(this.run.tables.events.at, nanos) - 1;
  }

  /** The state of a machine's node at an event: the last row at or before it. */
  state(place: number, event: number): NodeState | undefined {
    const events = this.stateEvents[place];
    const rows = this.statesOf[place];
    const at = events ? countUpTo(events, event) - 1 : -1;
    if (!rows || at < 0) {
      return undefined;
    }
    const states = this.run.tables.states;
    const row = rows[at]!;
    return {
      role: states.role[row]!,
      leader: states.leader[row]!,
      vote: states.vote[row]!,
      node: states.node[row]!,
      term: states.term[row]!,
      commit: states.commit[row]!,
      applied: states.applied[row]!,
      durable: states.durable[row]!,
      last: states.last[row]!,
      snapshot: states.snapshot[row]!,
      base: states.base[row]!,
    };
  }

  /** Calls `visit` with each stretch of a machine's role and term between two times. */
  stretches(place: number, from: number, to: number, visit: (from: number, to: number, row: number) => void): void {
    const rows = this.roleRows[place]!;
    const begins = (at: number) => this.run.tables.events.at[this.run.tables.states.event[rows[at]!]!]!;
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (begins(middle) <= from) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    for (let at = Math.max(0, low - 1); at < rows.length && begins(at) <= to; at += 1) {
      const ends = at + 1 < rows.length ? begins(at + 1) : this.end;
      visit(Math.max(begins(at), from), Math.min(ends, to), rows[at]!);
    }
  }

  /** An entry of a machine's log at an event. */
  entry(place: number, index: number, event: number): LogEntry | undefined {
    if (index > this.greatestIndex || index < 1) {
      return undefined;
    }
    const key = place * (this.greatestIndex + 1) + index;
    const [from, to] = [this.entryStarts[key]!, this.entryStarts[key + 1]!];
    const at = countUpTo(this.entryEvents, event, from, to) - 1;
    if (at < from) {
      return undefined;
    }
    const row = this.entryRows[at]!;
    const { term, kind } = this.run.tables.entries;
    return term[row] === 0 ? undefined : { term: term[row]!, kind: kind[row]! };
  }

  /** Calls `visit` with each message that is under way between two times. */
  messagesBetween(from: number, to: number, visit: (message: number) => void): void {
    this.underWay.between(from, to, visit);
  }

  isLate(message: number): boolean {
    return this.isReceived(message) && this.endAt[message]! - this.sentAt[message]! > this.lateAfter;
  }

  isReceived(message: number): boolean {
    return this.run.tables.messages.received[message] !== NONE;
  }

  /** The line of an event in the trace; of one without a line, what it is. */
  line(event: number): string {
    const { events } = this.run.tables;
    const from = events.text[event]!;
    if (from === NONE) {
      const name = this.run.event_kinds[events.kind[event]!]!;
      const what = name === "applied" ? "the service has applied what it was given" : "a timer is due";
      return `n${events.place[event]! + 1}: ${what}`;
    }
    let to = this.run.trace.indexOf(10, from);
    to = to < 0 ? this.run.trace.length : to;
    const line = this.decoder.decode(this.run.trace.subarray(from, to));
    return line.slice(line.indexOf(" ") + 1);
  }

  /** The events whose lines contain a text, at most `most`; and how many there are. */
  search(needle: string, shows: (event: number) => boolean, most: number): { found: number[]; count: number } {
    // One letter for each byte, so that letters and bytes have one numbering.
    this.text ??= new TextDecoder("latin1").decode(this.run.trace).toLowerCase();
    const wanted = needle.toLowerCase();
    const { text } = this.run.tables.events;
    const found: number[] = [];
    let count = 0;
    let at = wanted === "" ? -1 : this.text.indexOf(wanted);
    let event = 0;
    while (at >= 0) {
      const begins = this.text.lastIndexOf("\n", at) + 1;
      while (event < this.events && (text[event] === NONE || text[event]! < begins)) {
        event += 1;
      }
      if (event < this.events && text[event] === begins && shows(event)) {
        count += 1;
        if (found.length < most) {
          found.push(event);
        }
      }
      const ends = this.text.indexOf("\n", at);
      at = ends < 0 ? -1 : this.text.indexOf(wanted, ends);
    }
    return { found, count };
  }

  /** What happened before an event (its causal past), by event: 1 where it did. */
  past(event: number): Uint8Array {
    const { place, cause, kind } = this.run.tables.events;
    const isPast = new Uint8Array(this.events);
    // By machine: whether a later event of it is in the past already, and so all earlier ones are.
    const reached = new Uint8Array(256);
    isPast[event] = 1;
    for (let at = event; at >= 0; at -= 1) {
      const here = place[at]!;
      if (isPast[at] === 0 && (here === NOWHERE || reached[here] === 0)) {
        continue;
      }
      isPast[at] = 1;
      if (here !== NOWHERE && kind[at] !== this.kind["nemesis"]) {
        reached[here] = 1;
      }
      if (cause[at] !== NONE) {
        isPast[cause[at]!] = 1;
      }
    }
    return isPast;
  }

  /** Whether a fault was meant for the leader when there was none: it did nothing. */
  isVain(fault: number): boolean {
    const { places } = this.run.tables.faults;
    return places[fault] === 0 && / leader\b/.test(this.run.fault_texts[fault]!);
  }

  /** The links that are cut at a time, as `from * machines + to`. */
  cutLinks(nanos: number): Set<number> {
    const { at, until, from, to } = this.run.tables.cuts;
    const links = new Set<number>();
    const count = countUpTo(at, nanos);
    for (let row = 0; row < count; row += 1) {
      if (until[row]! > nanos) {
        links.add(from[row]! * this.run.machines + to[row]!);
      }
    }
    return links;
  }
}

/** A time in seconds, to the microsecond. */
export function seconds(nanos: number): string {
  return (Math.round(nanos / 1e3) / 1e6).toFixed(6);
}

/** A stretch of time with a unit that suits it. */
export function duration(nanos: number): string {
  if (nanos >= 1e9) {
    return `${+(nanos / 1e9).toFixed(3)} s`;
  }
  return nanos >= 1e6 ? `${+(nanos / 1e6).toFixed(3)} ms` : `${+(nanos / 1e3).toFixed(1)} µs`;
}
