// Measures how soon a page opens, and how smoothly a run of over 100,000 events scrubs: frames in the browser's
// own trace, while the cursor is dragged over the whole run. It prints figures, and asserts nothing.

import { launch, open, place, ready, write } from "./browser.mjs";

const median = (numbers) => numbers.toSorted((one, other) => one - other)[numbers.length >> 1];

const usual = write("usual.html", "--seed", "42");
const long = write("long.html", "--seed", "42", "--time", process.env.TIME ?? "240s", "--faults", "wild");
const browser = await launch();

const opened = [];
for (let at = 0; at < 5; at += 1) {
  const page = await open(browser, usual);
  opened.push(await page.evaluate(() => performance.now()));
  await page.context().close();
}
console.log(`a minute of five nodes opens in ${opened.map((time) => time.toFixed(0)).join(", ")} ms, median ${median(opened).toFixed(0)}`);

const page = await open(browser, long, { isReady: false });
await ready(page);
const { events, end } = await place(page);
console.log(`the long run: ${events} events, ${(end / 1e9).toFixed(0)} s of virtual time, shown after ${(await page.evaluate(() => performance.now())).toFixed(0)} ms`);

for (const span of [0.5e9, 2e9, end]) {
  const costs = await page.evaluate(
    async ([width]) => {
      const { view, draw } = window.raftSimView;
      view.span = width;
      const costs = [];
      for (let at = 0; at <= 300; at += 1) {
        view.seek((view.model.end * at) / 300);
        view.follow();
        const began = performance.now();
        draw();
        costs.push(performance.now() - began);
        await new Promise(requestAnimationFrame);
      }
      return costs;
    },
    [span],
  );
  costs.sort((one, other) => one - other);
  const share = costs.filter((cost) => cost <= 1000 / 60).length / costs.length;
  console.log(
    `${(span / 1e9).toFixed(1)} s on the screen: script of a frame median ${median(costs).toFixed(1)} ms, ` +
      `99th of 100 ${costs[Math.floor(costs.length * 0.99)].toFixed(1)} ms, ${(100 * share).toFixed(1)} % within 16.7 ms`,
  );
}
await browser.close();
