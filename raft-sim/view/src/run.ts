// Runs the simulator: gives a question to the WebAssembly module, and takes the columns of its answer out
// of the module's memory. It needs nothing of a browser but WebAssembly, so tests run it in Node.

/** A seed with the options of `raft-sim run`. */
export interface SeedSource {
  seed: string;
  nodes: number;
  time: string;
  faults: string;
  features: string;
  rate?: number;
  overrides?: string[];
  condition?: string;
  checks?: string;
}

/** What is run. */
export type Source = { seed: SeedSource } | { schedule: string };

/** A run that is asked for: `added` is what was done by hand, as lines of a schedule. */
export interface Question {
  source: Source;
  added: string[];
}

export type Table<Column extends string, Numbers = Uint32Array> = Record<Column, Numbers>;

export interface Events {
  at: Float64Array;
  kind: Uint8Array;
  place: Uint8Array;
  text: Uint32Array;
  cause: Uint32Array;
  message: Uint32Array;
}

export interface Messages {
  from: Uint8Array;
  to: Uint8Array;
  kind: Uint8Array;
  fate: Uint8Array;
  quiet: Uint8Array;
  term: Uint32Array;
  sent: Uint32Array;
  received: Uint32Array;
  due: Float64Array;
}

export interface States {
  event: Uint32Array;
  place: Uint8Array;
  role: Uint8Array;
  leader: Uint8Array;
  vote: Uint8Array;
  node: Uint32Array;
  term: Uint32Array;
  commit: Uint32Array;
  applied: Uint32Array;
  durable: Uint32Array;
  last: Uint32Array;
  snapshot: Uint32Array;
  base: Uint32Array;
}

export interface Entries {
  event: Uint32Array;
  place: Uint8Array;
  kind: Uint8Array;
  index: Uint32Array;
  term: Uint32Array;
}

export interface Cuts {
  at: Float64Array;
  until: Float64Array;
  from: Uint8Array;
  to: Uint8Array;
}

export interface Faults {
  event: Uint32Array;
  places: Uint32Array;
  at: Float64Array;
  until: Float64Array;
}

export interface Operations {
  client: Uint32Array;
  at: Float64Array;
  until: Float64Array;
  outcome: Uint8Array;
}

/** All of a run. */
export interface Run {
  run: string;
  digest: string;
  passed: boolean;
  failure: string | null;
  virtual_seconds: number;
  faults_end: number;
  machines: number;
  clients: number;
  schedule: string;
  event_kinds: string[];
  message_kinds: string[];
  fault_texts: string[];
  operation_texts: string[];
  summary: string;
  tables: {
    events: Events;
    messages: Messages;
    states: States;
    entries: Entries;
    cuts: Cuts;
    faults: Faults;
    operations: Operations;
  };
  trace: Uint8Array;
}

interface Exports {
  memory: WebAssembly.Memory;
  input(bytes: number): number;
  run(): void;
  output(): number;
  output_bytes(): number;
}

interface Column {
  array: "Uint8Array" | "Uint32Array" | "Float64Array";
  address: number;
  length: number;
}

/** The run cannot be made, for a reason that the reader can do something about. */
export class Refusal extends Error {}

const ARRAYS = { Uint8Array, Uint32Array, Float64Array };

function answer(exports: Exports): Uint8Array {
  return new Uint8Array(exports.memory.buffer, exports.output(), exports.output_bytes());
}

function column(exports: Exports, { array, address, length }: Column): Uint8Array | Uint32Array | Float64Array {
  // An empty vector has an address that need not be aligned.
  return length === 0 ? new ARRAYS[array](0) : new ARRAYS[array](exports.memory.buffer, address, length).slice();
}

/** Runs what `question` asks for in a new instance, whose memory goes when it is done. */
export async function run(
  module: WebAssembly.Module,
  question: Question,
  progress: (seconds: number) => void,
): Promise<Run> {
  const instance = await WebAssembly.instantiate(module, { page: { progress } });
  const exports = instance.exports as unknown as Exports;
  const text = new TextEncoder().encode(JSON.stringify(question));
  const address = exports.input(text.length);
  new Uint8Array(exports.memory.buffer, address, text.length).set(text);
  try {
    exports.run();
  } catch (error) {
    const message = new TextDecoder().decode(answer(exports));
    throw new Error(`the simulator stopped: ${message || String(error)}`);
  }
  const reply = JSON.parse(new TextDecoder().decode(answer(exports)));
  if (typeof reply.error === "string") {
    throw new Refusal(reply.error);
  }
  for (const table of Object.values(reply.tables) as Record<string, unknown>[]) {
    for (const name of Object.keys(table)) {
      table[name] = column(exports, table[name] as Column);
    }
  }
  reply.trace = column(exports, reply.trace);
  return reply as Run;
}

/** The memory of a run, which a worker hands over instead of copying it. */
export function buffers(run: Run): ArrayBuffer[] {
  const all = Object.values(run.tables).flatMap((table) => Object.values(table) as Uint8Array[]);
  return [...all, run.trace].map((numbers) => numbers.buffer as ArrayBuffer);
}
