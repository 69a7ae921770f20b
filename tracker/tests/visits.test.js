// What counts as a visit, and which address it is of.
import assert from "node:assert/strict";
import { on } from "node:events";
import { test } from "node:test";
import { SHOP, Site, TAG_LINE } from "./site.js";

const site = await Site.forTests();

const visits = () => site.of("v").map(({ body }) => [body.why, body.url.replace(SHOP, "")]);

test("a page view is one request, text/plain, with the whole address byte for byte", async () => {
  const page = await site.visitor();
  const address = "/lp?gclid=EAIa-x_1%zz&utm_term=%F6l&x=<script>&gad_source=1#/start?fbclid=IwAR%2b";
  await page.goto(SHOP + address, { referer: "https://www.google.com/" });
  await site.until("v");
  await page.evaluate(() => new Promise((done) => setTimeout(done, 600)));
  assert.equal(site.calls.length, 1);
  const [{ body, headers }] = site.calls;
  assert.deepEqual(
    [body.url, body.referrer, body.why, body.consent, headers["content-type"]],
    [SHOP + address.replace("<script>", "%3Cscript%3E"), "https://www.google.com/", "load", {}, "text/plain;charset=UTF-8"]
  );
});

test("the landing address survives a redirect, and a router that changed it before the tag ran", async () => {
  site.page("/ad", { redirect: "/lp?gclid=One" });
  site.page("/lp", `<script>history.replaceState(0, "", "/home"); history.pushState(0, "", "/shop")</script>${TAG_LINE}`);
  const page = await site.visitor();
  await page.goto(`${SHOP}/ad#utm_source=x`);
  await site.until("v");
  assert.deepEqual(visits(), [["load", "/lp?gclid=One#utm_source=x"]]);
});

test("routes of a single-page app are visits, with the route before as their referrer", async () => {
  const page = await site.visitor();
  await page.goto(`${SHOP}/?gclid=One`);
  await site.until("v");
  await page.evaluate('history.pushState(0, "", "/prices")');
  await site.until("v", 2);
  await page.evaluate('history.replaceState(0, "", "/prices?plan=pro")');
  await site.until("v", 3);
  await page.evaluate("history.back()");
  await site.until("v", 4);
  assert.deepEqual(visits(), [["load", "/?gclid=One"], ["route", "/prices"], ["route", "/prices?plan=pro"], ["route", "/?gclid=One"]]);
  assert.equal(site.calls[1].body.referrer, `${SHOP}/?gclid=One`);
});

test("routes behind # are visits, and jumps on a page are none", async () => {
  const page = await site.visitor();
  await page.goto(`${SHOP}/#/start`);
  await site.until("v");
  await page.evaluate('location.hash = "#/cart"');
  await site.until("v", 2);
  await page.evaluate('location.hash = "#!/pay"');
  await site.until("v", 3);
  assert.deepEqual(visits(), [["load", "/#/start"], ["route", "/#/cart"], ["route", "/#!/pay"]]);
  await page.goto(`${SHOP}/faq`);
  await site.until("v", 4);
  await page.evaluate('location.hash = "#prices"; history.replaceState(1, "", location.href)');
  await site.settled(page);
  assert.equal(site.of("v").length, 4);
});

test("without the Navigation API, and with a broken history, routes are found all the same", async () => {
  const page = await site.visitor();
  await page.addInitScript(() => {
    Object.defineProperty(window, "navigation", { value: undefined });
    const own = history.pushState.bind(history);
    history.pushState = (...args) => (own(...args), undefined.broken);
    Object.freeze(history);
  });
  await page.goto(SHOP);
  await site.until("v");
  await page.evaluate('try { history.pushState(0, "", "/prices") } catch {}');
  await site.until("v", 2);
  assert.deepEqual(visits(), [["load", "/"], ["route", "/prices"]]);
});

test("a page out of the back/forward cache is a visit", async () => {
  const page = await site.visitor();
  await page.goto(`${SHOP}/one`);
  await site.until("v");
  // A page that still waits for an answer isn't kept.
  await site.settled(page);
  await page.goto(`${SHOP}/two`);
  await site.until("v", 2);
  await page.evaluate("setTimeout(() => history.back())");
  await site.until("v", 3);
  // A page that was loaded again would say so.
  assert.deepEqual(visits()[2], ["bfcache", "/one"]);
});

test("a prerendered page is a visit when it is seen, and not before", async (t) => {
  const rules = JSON.stringify({ prerender: [{ urls: ["/next"], eagerness: "immediate" }] });
  // The first page goes on when /go is answered.
  const goes = '<script>fetch("/go").then(() => (location.href = "/next"))</script>';
  let go;
  site.page("/first", `${TAG_LINE}<script type="speculationrules">${rules}</script>${goes}`);
  site.page("/go", { body: "", after: new Promise((done) => (go = done)) });
  site.page("/next", `${TAG_LINE}<script>setTimeout(() => fetch("/ready?" + document.prerendering), 1000)</script>`);
  t.after(site.alone(`${SHOP}/first`));
  const prerendered = (async () => {
    for await (const [url] of on(site, "request")) if (url.startsWith("/ready")) return url;
  })();
  assert.equal(await prerendered, "/ready?true");
  assert.deepEqual(visits(), [["load", "/first"]]);
  go();
  await site.until("v", 2);
  assert.deepEqual(visits()[1], ["load", "/next"]);
});

test("two tags on a page are one", async () => {
  site.page("/twice", `${TAG_LINE}<script src="/t.js"></script><script src="/other/t.js"></script><form data-lead><input type=email value=jane@example.com></form>`);
  const page = await site.visitor();
  await page.goto(`${SHOP}/twice`);
  await site.until("v");
  await page.evaluate("document.forms[0].requestSubmit()");
  await site.until("e");
  await site.until("v", 2);
  assert.equal(site.of("l").length, 1);
});

test("a site gives the paths any name", async () => {
  site.page("/renamed", '<script async src="/x/hello/t.js?v=1.2"></script>');
  const page = await site.visitor();
  const sent = page.waitForRequest((request) => request.method() == "POST");
  await page.goto(`${SHOP}/renamed`);
  assert.equal((await sent).url(), `${SHOP}/x/hello/t/v`);
});
