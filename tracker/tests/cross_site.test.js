// Where the endpoints may be: on the page's own host, on a subdomain, or elsewhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SHOP, Site } from "./site.js";

const site = await Site.forTests();

/** Whether the second page's visit brought the cookie of the first's. */
const keepsTheCookie = async (host, options) => {
  for (const path of ["/one", "/two"]) site.page(path, `<script async src="https://${host}/t.js"></script>`);
  const page = await site.visitor(options);
  await page.goto(`${SHOP}/one`);
  await site.until("v");
  await page.waitForLoadState("networkidle");
  await page.goto(`${SHOP}/two`);
  const [, second] = await site.until("v", 2);
  return /adtrail_visitor=1/.test(second.headers.cookie ?? "");
};

test("on the page's own host the cookie is kept", async () => {
  assert.equal(await keepsTheCookie("www.shop.example"), true);
});

test("on a subdomain the cookie is kept", async () => {
  assert.equal(await keepsTheCookie("api.shop.example"), true);
});

test("on another site visits arrive, but each is a new visitor's", async () => {
  assert.equal(await keepsTheCookie("api.other.example"), false);
});

test("on another site leads and events arrive as well, without a preflight", async () => {
  site.page("/one", '<script async src="https://api.other.example/t.js"></script>');
  const page = await site.visitor();
  await page.goto(`${SHOP}/one`);
  await page.evaluate("adtrail.lead({email: 'jane@example.com'})");
  await site.until("l");
  await site.until("e");
  assert.ok(site.calls.every(({ method, headers }) => method == "POST" && headers.origin == SHOP));
});
