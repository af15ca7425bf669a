// The simulator as the page uses it: in a worker, one run at a time. A newer question replaces one that is
// still being answered.

import type { Question, Run } from "./run";
import type { Order, Report } from "./worker";

declare const WORKER_SOURCE: string;

/** The module that the page carries: gzip, as text. */
async function load(packed: string): Promise<WebAssembly.Module> {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return WebAssembly.compile(await new Response(unpacked).arrayBuffer());
}

export class Simulator {
  private readonly module: Promise<WebAssembly.Module>;
  private readonly worker: Worker;
  private number = 0;
  private wasSent = false;

  constructor(packed: string) {
    this.module = load(packed);
    const source = new Blob([WORKER_SOURCE], { type: "text/javascript" });
    this.worker = new Worker(URL.createObjectURL(source));
  }

  /** Runs a question. The answer is `undefined` if a newer question came meanwhile. */
  async run(question: Question, progress: (seconds: number) => void): Promise<Run | undefined> {
    this.number += 1;
    const number = this.number;
    const module = await this.module;
    return new Promise((resolve, reject) => {
      const listen = ({ data }: MessageEvent<Report>) => {
        if (data.number !== number) {
          return;
        }
        if ("progress" in data) {
          if (number === this.number) {
            progress(data.progress);
          }
          return;
        }
        this.worker.removeEventListener("message", listen);
        if (number !== this.number) {
          resolve(undefined);
        } else if ("run" in data) {
          resolve(data.run);
        } else {
          reject(new Error(data.error));
        }
      };
      this.worker.addEventListener("message", listen);
      const order: Order = this.wasSent ? { number, question } : { number, question, module };
      this.wasSent = true;
      this.worker.postMessage(order);
    });
  }
}
