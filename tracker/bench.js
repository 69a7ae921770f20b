// What the tag costs a page: bytes beside what peers publish, requests, and time on the main thread of a phone.
import { readFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { SHOP, Site } from "./tests/site.js";

const PAGES = 25;
/** As dev/tests/tag.rs has them, from November 2026. */
const PEERS = [["Umami", 2_220], ["Plausible", 2_685], ["OpenPanel", 3_295], ["Swetrix", 6_234], ["Snowplow", 17_402],
  ["Matomo", 21_877], ["Segment", 31_294], ["Amplitude", 68_719], ["PostHog", 121_980]];

const tag = readFileSync(new URL("dist/t.js", import.meta.url));
console.log(`bytes            ${tag.length}, gzip ${gzipSync(tag, { level: 9 }).length}, brotli ${brotliCompressSync(tag).length}`);
console.log(`peers, gzip      ${PEERS.map(([name, bytes]) => `${name} ${bytes}`).join(", ")}`);

const site = await Site.open();
const page = await site.visitor();
const devtools = await page.context().newCDPSession(page);
await devtools.send("Emulation.setCPUThrottlingRate", { rate: 4 });
/** Compiling and running the tag, and each later call of it in the first second, in milliseconds. */
const measured = async () => {
  await page.goto("about:blank");
  await site.browser.startTracing(page, { categories: ["devtools.timeline", "disabled-by-default-v8.compile", "v8"] });
  await page.goto(`${SHOP}/`, { waitUntil: "networkidle" });
  const { traceEvents } = JSON.parse(await site.browser.stopTracing());
  const tasks = traceEvents.filter(({ name }) => ["EvaluateScript", "v8.compile", "FunctionCall"].includes(name));
  const ours = tasks.filter(({ args, ph }) => ph == "X" && args.data?.url?.endsWith("/t.js"));
  // Compiling is a part of evaluating.
  const outer = ours.filter((it) => !ours.some((other) => other != it && other.ts <= it.ts && it.ts + it.dur <= other.ts + other.dur));
  return outer.reduce((sum, { dur }) => sum + dur / 1000, 0);
};
const times = [];
for (let nth = 0; nth < PAGES; nth += 1) times.push(await measured());
times.sort((a, b) => a - b);
const median = times[Math.floor(PAGES / 2)];
console.log(`main thread      ${median.toFixed(1)} ms at a quarter of the speed (median of ${PAGES} page views; goal: at most 5)`);
console.log(`requests         ${site.calls.length / PAGES} per page view`);
await site.close();
process.exitCode = median <= 5 ? 0 : 1;
