// The run in WebAssembly is the native run, byte for byte. SEEDS says how many seeds are compared.

import assert from "node:assert/strict";
import test from "node:test";
import { module, raftSim, source } from "./support.mjs";

const SEEDS = Number(process.env.SEEDS ?? 24);

test(`${SEEDS} seeds have the same digest in WebAssembly and natively`, async () => {
  const [{ run }, wasm] = [await source("run.ts"), await module()];
  let compared = 0;
  for (const faults of ["mild", "wild"]) {
    const count = Math.ceil(SEEDS / 2);
    const text = raftSim("run", "--seed", "1", "--repeat", String(Math.max(count, 2)), "--time", "5s", "--faults", faults, "--json");
    const reports = text.trim().split("\n").map((line) => JSON.parse(line));
    for (const report of reports.slice(0, count)) {
      const seed = { seed: String(report.seed), nodes: 5, time: "5s", faults, features: "drawn" };
      const made = await run(wasm, { source: { seed }, added: [] }, () => {});
      assert.equal(made.digest, report.digest, `seed ${report.seed}, faults ${faults}`);
      assert.equal(made.passed, report.passed);
      compared += 1;
    }
  }
  assert.equal(compared, Math.ceil(SEEDS / 2) * 2);
});
