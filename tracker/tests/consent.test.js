// Consent Mode, late answers, and Global Privacy Control.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SHOP, Site, TAG_LINE } from "./site.js";

const site = await Site.forTests();

const GTAG = "window.dataLayer = window.dataLayer || []; function gtag() { dataLayer.push(arguments) }";
const both = (value) => ({ ad_user_data: value, ad_personalization: value });
const open = async (script) => {
  site.page("/page", `<script>${GTAG};${script}</script>${TAG_LINE}`);
  const page = await site.visitor();
  await page.goto(`${SHOP}/page`);
  await site.until("v");
  return page;
};
const answer = (page, value) => page.evaluate(`gtag("consent", "update", ${JSON.stringify(both(value))})`);
const said = (kind) => site.of(kind).map(({ body: { ad_user_data, ad_personalization } }) => [ad_user_data, ad_personalization]);

test("denied, then granted, then denied again: the visit says the first, and each change is posted once", async () => {
  const page = await open(`gtag("consent", "default", ${JSON.stringify({ ...both("denied"), analytics_storage: "granted" })})`);
  assert.deepEqual(site.calls[0].body.consent, { ...both("denied"), analytics_storage: "granted" });
  for (const [nth, value] of ["granted", "denied"].entries()) {
    await answer(page, value);
    await site.until("c", nth + 1);
  }
  await answer(page, "denied");
  await site.settled(page);
  assert.deepEqual(said("c"), [["granted", "granted"], ["denied", "denied"]]);
});

test("a lead says the consent at its time", async () => {
  const page = await open(`gtag("consent", "default", ${JSON.stringify(both("denied"))})`);
  await answer(page, "granted");
  await page.evaluate("adtrail.lead({email: 'jane@example.com'})");
  const [{ body }] = await site.until("l");
  assert.deepEqual(body.consent, both("granted"));
});

test("a default for a region: a no counts for everybody, a yes for nobody", async () => {
  await open(`gtag("consent", "default", {...${JSON.stringify(both("granted"))}, region: ["US"]});`);
  assert.deepEqual(site.calls[0].body.consent, {});
  site.calls = [];
  await open(`gtag("consent", "default", {...${JSON.stringify(both("granted"))}});
    gtag("consent", "default", {...${JSON.stringify(both("denied"))}, region: ["DE"]})`);
  assert.deepEqual(site.calls[0].body.consent, both("denied"));
});

test("the state of Google's tag counts, which a template of a consent platform sets directly", async () => {
  const page = await open(`google_tag_data = {ics: {entries: {ad_user_data: {default: false}, ad_personalization: {default: false, update: true}, security_storage: {}}}}`);
  assert.deepEqual(site.calls[0].body.consent, { ad_user_data: "denied", ad_personalization: "granted" });
  await page.evaluate("google_tag_data.ics.entries.ad_user_data.update = true");
  await site.until("c");
  assert.deepEqual(said("c"), [["granted", "granted"]]);
});

test("adtrail.consent() says it without Google's tag, and tells it as well", async () => {
  const page = await open("");
  await page.evaluate(`adtrail.consent(${JSON.stringify(both("granted"))})`);
  await site.until("c");
  assert.deepEqual(said("c"), [["granted", "granted"]]);
  assert.equal(await page.evaluate("Object.prototype.toString.call(dataLayer.at(-1)) + dataLayer.at(-1)[1]"), "[object Arguments]update");
});

test("a visitor that the server doesn't know is reported first, with the consent", async () => {
  site.answer = ({ kind }) => (kind == "c" ? 409 : 200);
  const page = await open("");
  await answer(page, "granted");
  await site.until("v", 2);
  assert.deepEqual(site.calls.at(-1).body.consent, both("granted"));
  await site.settled(page);
  assert.equal(site.kinds(), "vcv");
});

test("Global Privacy Control is in every body", async () => {
  site.page("/page", TAG_LINE);
  const page = await site.visitor();
  await page.addInitScript("Object.defineProperty(navigator, 'globalPrivacyControl', { value: true })");
  await page.goto(`${SHOP}/page`);
  await page.evaluate("adtrail.lead({email: 'jane@example.com'}); adtrail.consent({ad_user_data: 'granted'})");
  for (const kind of ["v", "l", "e", "c"]) assert.equal((await site.until(kind))[0].body.gpc, true, kind);
});

test("wrong commands and a broken dataLayer are nobody's problem", async () => {
  await open(`gtag("consent"); gtag("consent", "update", {ad_user_data: "yes", ad_personalization: 1, marketing: "granted"});
    dataLayer.push(null, undefined, 7, "consent", {get 0() { throw 1 }}); dataLayer.push({event: "x"})`);
  assert.deepEqual(site.calls[0].body.consent, {});
  site.calls = [];
  await open("dataLayer = {push: 7}");
  assert.deepEqual(site.calls[0].body.consent, {});
});
