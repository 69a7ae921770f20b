// Nothing is lost, and nothing is sent twice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SHOP, Site, TAG_LINE } from "./site.js";

const site = await Site.forTests();

const kept = (page) => page.evaluate("JSON.parse(sessionStorage.adtrail || '[]').map((it) => it.k).join('')");
const ids = (kind) => site.of(kind).map(({ body }) => body.event_id ?? body.transaction_id);

test("calls before the tag came are kept, and wait for the visit's cookie", async () => {
  site.page("/early", `<script>(window.adtrail = window.adtrail || []).push(["event", "view_item", {id: 7}])</script>${TAG_LINE}`);
  site.answer = ({ kind }) => (kind == "v" ? new Promise((done) => setTimeout(done, 300, 200)) : 200);
  const page = await site.visitor();
  await page.goto(`${SHOP}/early`);
  const [{ body, headers }] = await site.until("e");
  assert.deepEqual([body.event_name, body.params, body.page_url], ["view_item", { id: 7 }, `${SHOP}/early`]);
  assert.match(headers.cookie, /adtrail_visitor=1/);
  assert.equal(site.kinds(), "ve");
});

for (const status of [429, 503, "drop"]) {
  test(`what a server answers with ${status} is sent again by the next page, under the same id`, async () => {
    site.answer = ({ kind }) => (kind == "e" ? status : 200);
    const page = await site.visitor();
    await page.goto(SHOP);
    await page.evaluate("adtrail.event('one')");
    await site.until("e");
    await page.waitForFunction("sessionStorage.adtrail?.includes('one')");
    site.answer = () => 200;
    await page.goto(`${SHOP}/next`);
    await site.until("e", 2);
    assert.equal(new Set(ids("e")).size, 1);
    await site.settled(page);
    // Chromium itself repeats a request on a connection that broke.
    if (status != "drop") assert.equal(site.of("e").length, 2);
    assert.equal(await kept(page), "");
  });
}

test("what a server refuses is given up", async () => {
  site.answer = ({ kind }) => (kind == "e" ? 400 : 200);
  const page = await site.visitor();
  await page.goto(SHOP);
  await page.evaluate("adtrail.event('one')");
  await site.until("e");
  await page.goto(`${SHOP}/next`);
  await site.settled(page);
  assert.equal(site.of("e").length, 1);
  assert.equal(await page.evaluate("'adtrail' in sessionStorage"), false, "and storage was never touched");
});

test("offline, and online again", async () => {
  const page = await site.visitor();
  await page.goto(SHOP);
  await site.until("v");
  await page.context().setOffline(true);
  await page.evaluate("adtrail.event('one'); adtrail.lead({email: 'jane@example.com'})");
  await page.waitForFunction("sessionStorage.adtrail?.includes('one')");
  assert.equal(site.kinds(), "v");
  await page.context().setOffline(false);
  await page.evaluate("dispatchEvent(new Event('online'))");
  await site.until("e", 2);
  await site.until("l");
  await site.settled(page);
  assert.equal(site.kinds().length, 4);
});

test("a visit that failed on the landing page isn't lost, and comes before the next page's", async () => {
  site.answer = () => 503;
  const page = await site.visitor();
  await page.goto(`${SHOP}/lp?gclid=One`);
  await page.waitForFunction("sessionStorage.adtrail?.includes('One')");
  [site.answer, site.calls] = [() => 200, []];
  await page.goto(`${SHOP}/next`);
  await site.until("v", 2);
  assert.deepEqual(site.of("v").map(({ body }) => body.url), [`${SHOP}/lp?gclid=One`, `${SHOP}/next`]);
  assert.match(site.calls[1].headers.cookie, /adtrail_visitor/);
});

test("a page loaded again while the buffer is full keeps the newest twenty", async () => {
  site.answer = () => 503;
  const page = await site.visitor();
  await page.goto(SHOP);
  await page.evaluate("for (let n = 0; n < 30; n++) adtrail.event('e' + n)");
  await page.waitForFunction("JSON.parse(sessionStorage.adtrail || '[]').length == 20");
  await page.reload();
  await page.waitForFunction("JSON.parse(sessionStorage.adtrail).some((it) => it.k == 'v')");
  [site.answer, site.calls] = [() => 200, []];
  await page.goto(`${SHOP}/next`);
  await site.until("e", 15);
  await site.settled(page);
  assert.equal(await kept(page), "");
  assert.ok(ids("e").length <= 20 && new Set(ids("e")).size == ids("e").length);
  assert.ok(site.of("e").some(({ body }) => body.event_name == "e29"));
});

test("a backend that never answers delays nothing but itself", async () => {
  site.answer = ({ kind }) => (kind == "v" ? "hang" : 200);
  site.page("/form", `${TAG_LINE}<form data-lead action="/thanks"><input type=email value=jane@example.com><button>`);
  const page = await site.visitor();
  await page.goto(`${SHOP}/form`);
  await site.until("v");
  await page.click("button");
  await site.until("l");
  assert.equal(new URL(page.url()).pathname, "/thanks");
});

test("an event of a page that goes away is a beacon", async () => {
  site.page("/leaving", `${TAG_LINE}<script>
    addEventListener("visibilitychange", () => document.hidden && adtrail.event("left"));
    const own = navigator.sendBeacon;
    navigator.sendBeacon = function (url) { localStorage.beacon = url; return own.apply(this, arguments) }</script>`);
  const page = await site.visitor();
  await page.goto(`${SHOP}/leaving`);
  await site.until("v");
  await page.goto(`${SHOP}/next`);
  const [{ body, headers }] = await site.until("e");
  assert.deepEqual([body.event_name, headers["content-type"]], ["left", "text/plain;charset=UTF-8"]);
  assert.match(await page.evaluate("localStorage.beacon"), /\/t\/e$/);
});

test("with storage and cookies blocked it works in memory", async () => {
  const page = await site.visitor();
  await page.addInitScript(() => {
    const blocked = { get: () => { throw new DOMException("blocked", "SecurityError"); } };
    for (const name of ["sessionStorage", "localStorage"]) Object.defineProperty(window, name, blocked);
    Object.defineProperty(Document.prototype, "cookie", { ...blocked, set: blocked.get });
  });
  site.answer = ({ kind }) => (kind == "e" ? 503 : 200);
  await page.goto(SHOP);
  await site.until("v");
  const failed = page.waitForResponse((response) => response.status() == 503);
  await page.evaluate("adtrail.event('one')");
  await failed;
  site.answer = () => 200;
  await page.evaluate("setTimeout(() => dispatchEvent(new Event('online')), 100)");
  await site.until("e", 2);
  assert.equal(new Set(ids("e")).size, 1);
});

test("a browser without what is new loses nothing", async () => {
  const page = await site.visitor();
  await page.addInitScript(() => {
    delete Crypto.prototype.randomUUID;
    Object.defineProperty(window, "navigation", { value: undefined });
    const own = window.fetch;
    window.fetch = (url, { keepalive, ...rest }) => own(url, rest);
    navigator.sendBeacon = undefined;
  });
  await page.goto(`${SHOP}/?gclid=One`);
  await site.until("v");
  await page.evaluate("adtrail.event('one')");
  const [{ body }] = await site.until("e");
  assert.match(body.event_id, /^[\w.:-]{16,128}$/);
});

test("a strict Content-Security-Policy with subresource integrity lets it work", async () => {
  const { createHash } = await import("node:crypto");
  const { readFileSync } = await import("node:fs");
  const tag = readFileSync(new URL("../dist/t.js", import.meta.url));
  const integrity = `sha384-${createHash("sha384").update(tag).digest("base64")}`;
  const policy = `default-src 'none'; script-src ${SHOP}; connect-src ${SHOP}; require-trusted-types-for 'script'`;
  site.page("/strict", {
    headers: { "content-security-policy": policy },
    body: `<script async src="/t.js" integrity="${integrity}"></script><form data-lead><input type=email value=jane@example.com></form>`,
  });
  const page = await site.visitor();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  await page.goto(`${SHOP}/strict`);
  await site.until("v");
  await page.evaluate("adtrail.lead(document.forms[0])");
  await site.until("l");
  assert.deepEqual(said, []);
});
