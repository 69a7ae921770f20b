// Leads: what is read of a form, and that the form itself goes on.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SHOP, Site, TAG_LINE } from "./site.js";

const site = await Site.forTests();

const open = async (form, more = "") => {
  site.page("/form", `${TAG_LINE}${more}<form data-lead action="/thanks">${form}<button>Send</button></form>`);
  const page = await site.visitor();
  await page.goto(`${SHOP}/form`);
  await site.until("v");
  return page;
};
const fields = ({ body: { email, phone, name, message } }) => ({ email, phone, name, message });
const EMAIL = '<input type="email" value="jane@example.com">';

test("a form becomes a lead and an event under one id, and goes on", async () => {
  const page = await open(`<input name="first_name" value="Jane"><input autocomplete="family-name" name="x" value="Doe">
    <input name="your-email" value="jane@example.com"><input type="tel" value="+49 30 901820"><textarea name="t">Hello</textarea>`);
  await page.click("button");
  const [lead] = await site.until("l");
  const [event] = await site.until("e");
  assert.deepEqual(fields(lead), { email: "jane@example.com", phone: "+49 30 901820", name: "Jane Doe", message: "Hello" });
  const { event_id, event_name, params } = event.body;
  const id = lead.body.transaction_id;
  assert.deepEqual([event_id, event_name, params], [id, "generate_lead", { transaction_id: id }]);
  await page.waitForURL(/thanks/);
  assert.match(lead.headers.cookie, /adtrail_visitor/);
});

test("passwords, hidden fields, files and choices are never read unasked, nor what belongs to others", async () => {
  const page = await open(`${EMAIL}<input type="password" name="email2" value="secret-1"><input type="hidden" name="phone" value="secret-2">
    <input type="file" name="message"><input type="checkbox" name="name" value="secret-3" checked>
    <input name="company_name" value="secret-4"><input name="user_name" value="secret-5"><input autocomplete="cc-name" name="c" value="secret-6">
    <input name="friends_email" value="secret-7"><input name="iban" value="secret-8"><select name="name"><option>secret-9</select>`);
  await page.click("button");
  const [lead] = await site.until("l");
  assert.doesNotMatch(JSON.stringify(lead.body), /secret/);
});

test("a field is what its data-lead says, also a hidden one", async () => {
  const page = await open(`<input data-lead="email" name="q1" value="jane@example.com"><input type="hidden" data-lead="transaction_id" value="T-1">
    <select data-lead="message"><option>Blue</select>`);
  await page.click("button");
  const [lead] = await site.until("l");
  assert.deepEqual([lead.body.email, lead.body.message, lead.body.transaction_id], ["jane@example.com", "Blue", "T-1"]);
});

test("a filled trap and the time to fill are told, and stop nothing", async () => {
  const page = await open(`<input type="email"><input name="website" data-honeypot>`);
  await page.evaluate(() => new Promise((done) => setTimeout(done, 300)));
  await page.fill("[type=email]", "jane@example.com");
  await page.fill("[name=website]", "spam");
  const started = Date.now();
  await page.click("button");
  const [{ body }] = await site.until("l");
  assert.equal(body.honeypot, true);
  assert.ok(body.fill_ms >= 0 && body.fill_ms < 300 + Date.now() - started, `${body.fill_ms} ms since the form was touched`);
});

test("a form that navigates at once, whose lead the server couldn't take, is sent again by the next page", async () => {
  site.answer = ({ kind }) => (kind == "l" ? 503 : 200);
  const page = await open(EMAIL);
  await page.click("button");
  await site.until("l");
  await page.waitForURL(/thanks/);
  site.answer = () => 200;
  await page.goto(`${SHOP}/third`);
  await site.until("l", 2);
  assert.equal(new Set(site.of("l").map(({ body }) => body.transaction_id)).size, 1);
});

test("a tab that is closed right after the click has sent its lead", async () => {
  const page = await open(EMAIL);
  await page.evaluate("document.forms[0].addEventListener('submit', (event) => event.preventDefault())");
  await page.evaluate("document.forms[0].requestSubmit()");
  await page.close();
  await site.until("l");
  await site.until("e");
  assert.equal(site.of("l").length, 1);
});

test("the same form twice is one lead, a corrected one is another, and one without an address is none", async () => {
  const page = await open(EMAIL, "<script>addEventListener('submit', (event) => event.preventDefault())</script>");
  for (const value of ["", "jane@example.com", "jane@example.com", "jane.doe@example.com"]) {
    await page.fill("[type=email]", value);
    await page.evaluate("document.forms[0].requestSubmit()");
  }
  await site.until("l", 2);
  await site.settled(page);
  assert.deepEqual(site.of("l").map(({ body }) => body.email), ["jane@example.com", "jane.doe@example.com"]);
});

test("handlers of the page that stop the event don't hide it", async () => {
  const stops = "<script>document.addEventListener('submit', (event) => { event.preventDefault(); event.stopImmediatePropagation() }, true)</script>";
  const page = await open(EMAIL, stops);
  await page.click("button");
  await site.until("l");
});

test("a script may send a lead, and gets its id", async () => {
  const page = await open("");
  const id = await page.evaluate("adtrail.lead({email: 'jane@example.com', phone: 'none', name: 'Jane', gclid: 'One'})");
  const [{ body }] = await site.until("l");
  assert.deepEqual([body.transaction_id, body.phone, body.name, body.gclid], [id, "none", "Jane", "One"]);
});

test("a form without data-lead is nobody's business", async () => {
  site.page("/plain", `${TAG_LINE}<form action="/thanks">${EMAIL}<button>`);
  const page = await site.visitor();
  await page.goto(`${SHOP}/plain`);
  await site.until("v");
  await page.click("button");
  await site.until("v", 2);
  await site.settled(page);
  assert.equal(site.of("l").length, 0);
});
