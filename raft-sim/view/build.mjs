// Puts the page together: the styles, the scripts and the module in one file, dist/view.html. `raft-sim view`
// carries that file, and writes into it what to run.

import { build } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

const here = new URL(".", import.meta.url);
const read = (path) => readFile(new URL(path, here), "utf8");

async function bundle(entry, define = {}) {
  const result = await build({
    entryPoints: [new URL(entry, here).pathname],
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2023",
    charset: "ascii",
    write: false,
    define,
  });
  return result.outputFiles[0].text;
}

const path = process.env.RAFT_SIM_VIEW_WASM ?? new URL("../../target/wasm32-unknown-unknown/page/raft_sim_view.wasm", here);
const wasm = await readFile(path).catch(() => {
  console.error(`there is no ${path}: npm run wasm builds it`);
  process.exit(1);
});
const worker = await bundle("src/worker.ts");
const script = await bundle("src/page.ts", { WORKER_SOURCE: JSON.stringify(worker) });
const parts = {
  STYLE: await read("src/style.css"),
  WASM: gzipSync(wasm, { level: 9 }).toString("base64"),
  // `</script` in a script would end it.
  SCRIPT: script.replaceAll("</script", "<\\/script"),
};
const page = (await read("src/index.html")).replace(/\/\*(STYLE|WASM|SCRIPT)\*\//g, (_, name) => parts[name]);
await mkdir(new URL("dist/", here), { recursive: true });
await writeFile(new URL("dist/view.html", here), page);
console.log(`wasm ${wasm.length} bytes, script ${script.length}, page ${page.length}`);
