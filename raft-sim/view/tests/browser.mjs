// A browser with a page of `raft-sim view` in it.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium as launcher } from "playwright-core";
import { chromium, raftSim } from "./support.mjs";

/** How long a condition may take to come about, in milliseconds: machines may be busy. */
const PATIENCE = 300_000;

export const folder = mkdtempSync(join(tmpdir(), "raft-sim-view-"));

/** Writes a page with `raft-sim view`. Returns where it is. */
export function write(name, ...args) {
  const path = join(folder, name);
  raftSim("view", ...args, "-o", path);
  return path;
}

export async function launch() {
  const executablePath = chromium();
  if (!executablePath) {
    throw new Error("no browser: install chromium, or say where one is in CHROMIUM");
  }
  return launcher.launch({ executablePath, args: ["--no-sandbox"], timeout: PATIENCE });
}

/** Opens a page, and waits until its run is shown. Requests to any network fail the test. */
export async function open(browser, path, { hash = "", isDark = false, isReady = true } = {}) {
  const context = await browser.newContext({
    colorScheme: isDark ? "dark" : "light",
    viewport: { width: 1440, height: 900 },
    acceptDownloads: true,
  });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  page.errors = [];
  page.requests = [];
  page.on("pageerror", (error) => page.errors.push(error.message));
  page.on("request", (request) => page.requests.push(request.url()));
  await page.goto(`file://${path}${hash}`);
  if (isReady) {
    await ready(page);
  }
  return page;
}

/** Waits until no run is under way and the page is drawn. */
export async function ready(page) {
  await page.waitForFunction(() => window.raftSimView?.view && !window.raftSimView.isRunning);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** Where the page is: time in nanoseconds, event, and how many events there are. */
export function place(page) {
  return page.evaluate(() => {
    const { view } = window.raftSimView;
    return { time: view.time, event: view.event, events: view.model.events, end: view.model.end };
  });
}
