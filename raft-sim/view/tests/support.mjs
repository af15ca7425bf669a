// What the tests share: the page as it is built, its module, and the native simulator.

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

const here = new URL("..", import.meta.url).pathname;

/** The native simulator: RAFT_SIM, or the newest build in the project's target folder. */
export function native() {
  const builds = ["release", "debug"].map((profile) => `${here}../../target/${profile}/raft-sim`);
  const found = process.env.RAFT_SIM ?? builds.find((path) => existsSync(path));
  if (!found) {
    throw new Error("build the simulator first: cargo build --release -p raft-sim");
  }
  return found;
}

export function raftSim(...args) {
  return execFileSync(native(), args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1 << 28 });
}

/** The module that the built page carries. */
export async function module() {
  const page = readFileSync(`${here}dist/view.html`, "utf8");
  const packed = /<script id="wasm" type="text\/plain">([^<]*)</.exec(page)[1];
  return WebAssembly.compile(gunzipSync(Buffer.from(packed, "base64")));
}

/** A source file of the page, as a module. */
export async function source(path) {
  const made = await build({ entryPoints: [`${here}src/${path}`], bundle: true, format: "esm", write: false });
  const text = Buffer.from(made.outputFiles[0].text).toString("base64");
  return import(`data:text/javascript;base64,${text}`);
}

/** Chromium: CHROMIUM, or one of the usual names on the path. */
export function chromium() {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const folders = (process.env.PATH ?? "").split(":");
  const paths = names.flatMap((name) => folders.map((folder) => `${folder}/${name}`));
  return process.env.CHROMIUM ?? paths.find((path) => existsSync(path));
}
