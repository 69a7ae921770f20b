// What the tag costs a page: bytes beside what peers publish, requests, and time on the main thread of a phone. Most of
// that time is the browser's own, so both of its parts are measured alone as well.
import { readFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { SHOP, Site } from "./tests/site.js";

const PAGES = 25;
/** What others publish, in bytes compressed by gzip -9, as measured in November 2026. */
const PEERS = JSON.parse(readFileSync(new URL("peers.json", import.meta.url)));

const tag = readFileSync(new URL("dist/t.js", import.meta.url));
console.log(`bytes            ${tag.length}, gzip ${gzipSync(tag, { level: 9 }).length}, brotli ${brotliCompressSync(tag).length}`);
console.log(`peers, gzip      ${Object.entries(PEERS).map(([name, bytes]) => `${name} ${bytes}`).join(", ")}`);

const site = await Site.open();
const page = await site.visitor();
const devtools = await page.context().newCDPSession(page);
await devtools.send("Emulation.setCPUThrottlingRate", { rate: 4 });
// A script as it is on a page, with the time taken at its beginning and its end.
const scripts = {
  "the tag": tag,
  "the first look into sessionStorage, alone": "sessionStorage.adtrail",
  "the request, alone": `fetch("/t/v", { method: "POST", body: "{}", keepalive: true, credentials: "include" })`,
};
for (const [name, script] of Object.entries(scripts)) {
  site.page("/timed.js", { type: "text/javascript", body: `let began = performance.now();${script};window.took = performance.now() - began` });
  site.page("/timed", '<script src="/timed.js"></script>');
  site.calls = [];
  const times = [];
  for (let nth = 0; nth < PAGES; nth += 1) {
    await page.goto("about:blank");
    await page.goto(`${SHOP}/timed?${nth}`);
    times.push(await page.evaluate("took"));
  }
  times.sort((a, b) => a - b);
  const of = (share) => times[Math.floor(PAGES * share)].toFixed(1);
  console.log(`main thread      ${name}: median ${of(0.5)} ms, fastest tenth ${of(0.1)} ms at a quarter of the speed`);
  if (name == "the tag") console.log(`requests         ${(await site.until("v", PAGES)).length / PAGES} per page view`);
}
await site.close();
