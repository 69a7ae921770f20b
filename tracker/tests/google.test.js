// Beside Google's own tag: one id in both, and one sender of each event.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SHOP, Site } from "./site.js";

const site = await Site.forTests();

const STUB = "window.dataLayer = []; function gtag() { dataLayer.push(arguments) } gtag('js', new Date());";
const LOADED = `${STUB} google_tag_manager = {"G-1": {}};`;
const open = async (script, attributes) => {
  site.page("/page", `<script>${script}</script><script async src="/t.js" ${attributes}></script>`);
  const page = await site.visitor();
  await page.goto(`${SHOP}/page`);
  await site.until("v");
  return page;
};
/** A lead and what Google's tag was told of it. */
const lead = async (page) => {
  const id = await page.evaluate("adtrail.lead({email: 'jane@example.com', phone: '+4930901820'})");
  const told = await page.evaluate("(window.dataLayer || []).map((it) => [...it]).filter(([name]) => name != 'js' && name != 'consent')");
  return { id, told: JSON.parse(JSON.stringify(told)), event: (await site.until("e"))[0].body, lead: (await site.until("l"))[0].body };
};
const PERSON = { email: "jane@example.com", phone_number: "+4930901820" };

test("with Google's tag, one transaction_id is in the lead, the event and the conversion", async () => {
  const { id, told, event, lead: sent } = await lead(await open(LOADED, 'data-ga4="gtag" data-ads="AW-1/x"'));
  assert.deepEqual(told, [
    ["set", "user_data", PERSON],
    ["event", "conversion", { send_to: "AW-1/x", transaction_id: id }],
    ["event", "generate_lead", { transaction_id: id, event_id: id }],
  ]);
  assert.deepEqual([sent.transaction_id, event.event_id, event.sent_by], [id, id, "gtag"]);
});

test("with Google's tag blocked, lead and event arrive, and the server is the sender", async () => {
  for (const script of [STUB, ""]) {
    const { id, told, event, lead: sent } = await lead(await open(script, 'data-ga4="gtag" data-ads="AW-1/x"'));
    assert.deepEqual(told, []);
    assert.deepEqual([sent.transaction_id, event.event_id, event.sent_by], [id, id, undefined]);
    await site.reset();
  }
});

test("without the attributes Google's tag is left alone", async () => {
  const { told, event } = await lead(await open(LOADED, ""));
  assert.deepEqual([told, event.sent_by], [[], undefined]);
});

test("Google gets no address of a person who said no", async () => {
  const denied = "gtag('consent', 'default', {ad_user_data: 'denied'});";
  const { told } = await lead(await open(LOADED + denied, 'data-ads="AW-1/x"'));
  assert.deepEqual(told.map(([name]) => name), ["event"]);
});

test("a Google tag that throws costs nothing", async () => {
  const { event } = await lead(await open("google_tag_manager = {}; function gtag() { throw 1 }", 'data-ga4="gtag"'));
  assert.equal(event.sent_by, undefined);
});
