// Runs the simulator beside the page, so that the page can be used meanwhile.

import { buffers, Refusal, run, type Question, type Run } from "./run";

export type Order = { number: number; question: Question; module?: WebAssembly.Module };

export type Report =
  | { number: number; progress: number }
  | { number: number; run: Run }
  | { number: number; error: string; isRefusal: boolean };

let module: WebAssembly.Module | undefined;

self.onmessage = async ({ data }: MessageEvent<Order>) => {
  const { number, question } = data;
  const tell = (report: Report, moved: Transferable[] = []) => self.postMessage(report, { transfer: moved });
  module = data.module ?? module;
  try {
    if (!module) {
      throw new Error("the simulator was not loaded");
    }
    const made = await run(module, question, (progress) => tell({ number, progress }));
    tell({ number, run: made }, buffers(made));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    tell({ number, error: message, isRefusal: error instanceof Refusal });
  }
};
