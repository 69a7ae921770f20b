// The tag and Adtrail itself: a story from the page into Postgres, then addresses and forms that nobody would write who
// means well. Nothing of them reaches the page, and nothing breaks the server. HOSTILE=10 makes ten times as many.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { missing, serve } from "./server.js";
import { SHOP, Site, TAG_LINE } from "./site.js";

const TIMES = Number(process.env.HOSTILE ?? 1);
let site;
let server;
before(async () => {
  site = await Site.open();
  server = missing ? undefined : await serve(SHOP);
});
after(async () => {
  await site.close();
  await server?.stop();
});

test("an ad click, a form and an event are rows of one visitor", { skip: missing }, async () => {
  site.backend = server.port;
  site.page("/lp", `${TAG_LINE}<form data-lead action="/thanks"><input type="email" value="jane@example.com"><button>`);
  const page = await site.visitor();
  await page.goto(`${SHOP}/lp?gclid=Test-1_x&gad_source=1&utm_source=google#form`);
  await site.until("v");
  await page.evaluate("adtrail.event('view_item', {item: 'x'}); adtrail.consent({ad_user_data: 'granted', ad_personalization: 'granted'})");
  await site.until("c");
  await page.click("button");
  await site.until("l");
  await site.until("e", 2);
  await site.until("v", 2);
  assert.deepEqual(site.calls.map(({ status }) => status).filter((status) => status > 299), []);
  const { visitors, leads } = await server.rows();
  assert.deepEqual([visitors.length, leads.length], [1, 1]);
  assert.deepEqual([visitors[0].gclid, visitors[0].ad_user_data, visitors[0].landing_page], ["Test-1_x", "granted", `${SHOP}/lp?gclid=Test-1_x&gad_source=1&utm_source=google#form`]);
  assert.deepEqual([leads[0].gclid, leads[0].visitor_id], ["Test-1_x", visitors[0].visitor_id]);
  assert.deepEqual(site.errors, []);
});

/** The same numbers in every run. */
const chance = (seed) => {
  let state = seed;
  const below = (limit) => {
    state = (state * 48271) % 2147483647;
    return state % limit;
  };
  return { below, of: (list) => list[below(list.length)] };
};

const NAMES = ["gclid", "utm_source", "fbclid", "__proto__", "constructor", "gclid[]", "%", "%E0%A4%A", "", "q", "utm_campaign"];
const VALUES = ["<script>throw 1</script>", "%", "%zz", "%C3%28", "%00", "\\", "'\"`", "${1}", "javascript:throw 1", "x".repeat(600),
  "x".repeat(10_000), "😀", "\u202e", "'; drop table leads; --", "{{7*7}}", "\ud800", "+", "=&=&", "#", "../..", "null"];
const address = ({ below, of }) => {
  const pairs = Array.from({ length: below(6) }, () => `${of(NAMES)}=${of(VALUES)}`).join(of(["&", ";", "&&", "?"]));
  return `/${of(["", "lp", "a%zz", "%E4", "x/../y", "..%2f"])}?${pairs}${of(["", "#", `#/${of(VALUES)}`, `#!/${of(NAMES)}`, `#${pairs}`])}`;
};

const TYPES = ["text", "email", "tel", "password", "hidden", "file", "number", "checkbox", "radio", "url", "nonsense", "submit", "image"];
const FIELDS = ["email", "phone", "name", "message", "elements", "dataset", "nodeType", "value", "type", "submit", "action", "__proto__", "honeypot", "getAttribute"];
const form = ({ below, of }) =>
  Array.from({ length: 1 + below(8) }, () => ({
    tag: of(["input", "input", "input", "textarea", "select", "button", "fieldset", "output", "object"]),
    attributes: Object.fromEntries(
      [["type", of(TYPES)], ["name", of(FIELDS)], ["id", of(FIELDS)], ["data-lead", of(FIELDS)], ["data-honeypot", ""], ["autocomplete", of(["off", "email", "name", "cc-number"])]]
        .filter(() => below(2))
    ),
    value: of([...VALUES, "jane@example.com", "jane@example.com", "+49 30 901820"]),
  }));

const unharmed = () => {
  assert.deepEqual(site.errors, []);
  assert.deepEqual(site.calls.filter(({ status }) => status >= 500), []);
};

test(`${1000 * TIMES} hostile addresses`, async () => {
  await site.reset();
  site.backend = server?.port;
  const dice = chance(1);
  const page = await site.visitor();
  await page.goto(SHOP);
  await site.until("v");
  // A whole page load for one in twenty; the others as routes, which pass the same code.
  for (let round = 0; round < 50 * TIMES; round += 1) {
    await page.goto(SHOP + address(dice));
    const routes = Array.from({ length: 19 }, () => address(dice));
    await page.evaluate(async (routes) => {
      for (const route of routes) {
        try {
          history.pushState(0, "", route);
        } catch {}
        await new Promise((done) => setTimeout(done));
        adtrail.event(route, { [route]: route });
      }
    }, routes);
  }
  await site.settled(page);
  assert.ok(site.of("v").length > 400 * TIMES, `${site.of("v").length} visits`);
  unharmed();
});

test(`${500 * TIMES} hostile forms`, async () => {
  await site.reset();
  site.backend = server?.port;
  const dice = chance(2);
  site.page("/forms", TAG_LINE);
  const page = await site.visitor();
  await page.goto(`${SHOP}/forms`);
  await site.until("v");
  const forms = Array.from({ length: 500 * TIMES }, () => form(dice));
  await page.evaluate(async (forms) => {
    addEventListener("submit", (event) => event.preventDefault());
    for (const fields of forms) {
      const form = document.body.appendChild(document.createElement("form"));
      form.setAttribute("data-lead", "");
      form.noValidate = true;
      for (const { tag, attributes, value } of fields) {
        const field = document.createElement(tag);
        for (const [name, text] of Object.entries(attributes)) field.setAttribute(name, text);
        try {
          field.value = value;
        } catch {}
        form.appendChild(field);
      }
      HTMLFormElement.prototype.requestSubmit.call(form);
      adtrail.lead(form);
      await new Promise((done) => setTimeout(done));
      form.remove();
    }
  }, forms);
  await site.settled(page);
  assert.ok(site.of("l").length > 30 * TIMES, `${site.of("l").length} leads`);
  unharmed();
  if (server) {
    // The server took only what is one.
    const { leads } = await server.rows();
    assert.deepEqual([...new Set(leads.map(({ email }) => email))], ["jane@example.com"]);
  }
});
