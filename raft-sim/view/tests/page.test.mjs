// The page in a browser. With SHOTS, screenshots are written to that folder, to be looked at.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { folder, launch, open, place, ready, write } from "./browser.mjs";
import { raftSim } from "./support.mjs";

let browser;
let page42;

before(async () => {
  page42 = write("42.html", "--seed", "42", "--time", "20s");
  browser = await launch();
});

after(() => browser?.close());

/** Seconds in the address, with six digits. */
const hashOf = (page) => page.evaluate(() => location.hash);

test("a page shows the native run, and asks no network for anything", async () => {
  const page = await open(browser, page42);
  assert.match(await page.textContent("#digest"), /^digest [0-9a-f]{16} ✓ as natively$/);
  assert.equal(await page.isVisible("#message"), false);
  assert.deepEqual(page.errors, []);
  const foreign = page.requests.filter((url) => !/^(file|blob|data):/.test(url));
  assert.deepEqual(foreign, []);
  await page.context().close();
});

test("a page whose core is another than the native one says so", async () => {
  const path = join(folder, "other.html");
  writeFileSync(path, readFileSync(page42, "utf8").replace(/"digest":"[0-9a-f]{4}/, '"digest":"0bad'));
  const page = await open(browser, path);
  assert.match(await page.textContent("#digest"), /natively: this page's core is another/);
  await page.context().close();
});

for (const isDark of [false, true]) {
  test(`three instants are drawn, ${isDark ? "dark" : "light"}`, async () => {
    for (const [number, time] of [0.4, 7.5, 19].entries()) {
      const page = await open(browser, page42, { hash: `#t=${time}`, isDark });
      assert.ok(Math.abs((await place(page)).time - time * 1e9) < 1e3);
      // Something is drawn on each canvas: more than one colour.
      for (const id of ["overview", "lanes", "grid", "cluster"]) {
        const colours = await page.evaluate((canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }, await page.$(`#${id}`));
        assert.ok(colours > 3, `${id} has ${colours} colours at ${time} s`);
      }
      assert.deepEqual(page.errors, []);
      if (process.env.SHOTS) {
        await page.screenshot({ path: join(process.env.SHOTS, `${isDark ? "dark" : "light"}-${number + 1}.png`) });
      }
      await page.context().close();
    }
  });
}

test("keys step to events, back again, and into the address", async () => {
  const page = await open(browser, page42, { hash: "#t=5" });
  const start = await place(page);
  for (let at = 0; at < 5; at += 1) {
    await page.keyboard.press("ArrowRight");
  }
  await ready(page);
  const there = await place(page);
  assert.ok(there.event >= start.event + 5);
  for (let at = 0; at < 5; at += 1) {
    await page.keyboard.press("ArrowLeft");
  }
  await ready(page);
  const back = await place(page);
  assert.ok(back.event >= start.event - 5 && back.event <= start.event);
  await page.waitForFunction(() => location.hash !== "#t=5");
  assert.match(await hashOf(page), /^#t=\d+\.\d{6}$/);
  await page.keyboard.press("End");
  await ready(page);
  assert.equal((await place(page)).event, there.events - 1);
  await page.keyboard.press("Home");
  await ready(page);
  assert.equal((await place(page)).time, 0);
  await page.context().close();
});

test("a run plays backwards", async () => {
  const page = await open(browser, page42, { hash: "#t=5" });
  await page.keyboard.press("Shift+Space");
  await page.waitForFunction(() => window.raftSimView.view.time < 4.99e9);
  await page.keyboard.press("Shift+Space");
  await page.context().close();
});

test("the state at an instant does not depend on how one came there", async () => {
  const page = await open(browser, page42, { hash: "#t=9" });
  const states = () => page.textContent("#states");
  const straight = await states();
  await page.keyboard.press("End");
  await ready(page);
  const end = await states();
  assert.notEqual(end, straight);
  // The address follows after a moment. To write what it still has would change nothing.
  await page.waitForFunction(() => location.hash !== "#t=9");
  await page.evaluate(() => (location.hash = "#t=9"));
  await page.waitForFunction(() => window.raftSimView.view.time === 9e9);
  await ready(page);
  assert.equal(await states(), straight);
  await page.context().close();
});

test("a receipt leads to the sending that caused it", async () => {
  const page = await open(browser, page42, { hash: "#t=5" });
  await page.evaluate(() => {
    const { view } = window.raftSimView;
    const { kind } = view.model.run.tables.events;
    view.seekEvent(kind.indexOf(view.model.kind.receive, view.event));
    window.raftSimView.draw();
  });
  const receipt = await place(page);
  await page.keyboard.press("g");
  await ready(page);
  const sending = await place(page);
  assert.ok(sending.event < receipt.event);
  assert.match(await page.textContent("#event"), /send · event/);
  await page.keyboard.press("c");
  await ready(page);
  assert.match(await page.textContent("#event"), /events before event/);
  await page.context().close();
});

test("a search finds lines of the trace, and a filter leaves some out", async () => {
  const page = await open(browser, page42);
  await page.fill("#search", "becomes leader");
  let found = await page.textContent("#found small");
  if (!/lines/.test(found)) {
    await page.fill("#search", "leader");
    found = await page.textContent("#found small");
  }
  assert.match(found, /lines/);
  const all = await page.evaluate(() => document.querySelectorAll("#found button").length);
  assert.ok(all > 0);
  await page.click("#filter summary");
  await page.click("#groups label:has-text('roles and members') input");
  const fewer = await page.textContent("#found small");
  assert.notEqual(fewer, found);
  await page.context().close();
});

test("a wrong seed and a wrong file are refused with a reason, and the page goes on", async () => {
  const page = await open(browser, page42);
  await page.fill("#seed", "forty-two");
  await page.click("#open button");
  await page.waitForFunction(() => document.querySelector("#message").textContent.includes("is no seed"));
  const file = join(folder, "wrong.toml");
  writeFileSync(file, "this is no schedule");
  await page.setInputFiles("#file", file);
  await page.waitForFunction(() => document.querySelector("#message").textContent.includes("the schedule cannot be read"));
  await page.fill("#seed", "7");
  await page.fill("#length", "2s");
  await page.click("#open button");
  await page.waitForFunction(() => document.querySelector("#name").textContent.startsWith("seed 7"));
  assert.equal(await page.isVisible("#message"), false);
  await page.context().close();
});

test("what is done by hand is saved as a schedule that replays to the same digest", async () => {
  const path = write("quiet.html", "--seed", "3", "--nodes", "3", "--time", "6s", "--faults", "none", "--features", "none");
  const page = await open(browser, path, { hash: "#t=2" });
  const before = await page.textContent("#digest");
  const run = () => page.waitForFunction((old) => document.querySelector("#digest").textContent !== old, before);
  const positions = await page.evaluate(() => {
    const { cluster, view } = window.raftSimView;
    return [0, 1, 2].map((place) => cluster.position(view, place));
  });
  const click = ([x, y]) => page.click("#cluster", { position: { x, y } });
  await click(positions[0]);
  await page.click("#actions button:text-is('Kill')");
  await run();
  await ready(page);
  assert.equal((await place(page)).time, 2e9, "the cursor stays where it was");
  const [, [x2, y2], [x3, y3]] = positions;
  await click([(x2 + x3) / 2, (y2 + y3) / 2]);
  await page.click("#actions button:text-is('Cut')");
  await page.waitForFunction(() => document.querySelectorAll("#done li").length === 3);
  await ready(page);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#done > button")]);
  const file = join(folder, "by-hand.toml");
  await download.saveAs(file);
  const text = readFileSync(file, "utf8");
  assert.match(text, /2\.000000 kill n1 for 1s/);
  assert.match(text, /2\.000000 cut n2->n3 for 1s/);
  const digest = /digest ([0-9a-f]{16})/.exec(await page.textContent("#digest"))[1];
  assert.match(raftSim("replay", file), new RegExp(`digest ${digest}`));
  if (process.env.SHOTS) {
    await page.screenshot({ path: join(process.env.SHOTS, "by-hand.png") });
  }
  // Undone, it is the run that it was.
  for (let left = 3; left > 0; left -= 1) {
    await page.click("#done li button");
    await page.waitForFunction((count) => document.querySelectorAll("#done li").length === count, left - 1);
  }
  assert.equal(await page.textContent("#digest"), before);
  await page.context().close();
});
