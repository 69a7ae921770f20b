// The demo site of `make dev`, clicked through as a person would: on a server of its own, or on the one in ADTRAIL_URL.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {chromium} from 'playwright-core';
import {missing, serve} from './server.js';
import {executablePath} from './site.js';

const PATIENCE = 60_000;
let base = process.env.ADTRAIL_URL, server, browser;

before(async () => {
  if (!base) {
    assert.ok(!missing, missing);
    server = await serve();
    base = `http://localhost:${server.port}`;
  }
  browser = await chromium.launch({executablePath, args: ['--no-sandbox']});
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A page of a new visitor, and what went wrong on it. */
async function newVisitor(width, options = {}) {
  const isMobile = width < 500;
  const context = await browser.newContext({
    viewport: {width, height: 800}, isMobile, hasTouch: isMobile, ...options});
  const page = await context.newPage(), errors = [];
  page.setDefaultTimeout(PATIENCE);
  page.on('pageerror', error => errors.push(error.message));
  page.on('console', message => ['error', 'warning'].includes(message.type()) && errors.push(message.text()));
  return {page, errors};
}
const says = (page, text) => page.locator('.step.done strong', {hasText: text}).last().waitFor();
const isWide = page => page.evaluate(() => document.scrollingElement.scrollWidth > innerWidth);

/** From the ad to the form that was sent. */
async function becomeLead(page, answer = 'granted') {
  await page.goto(`${base}/`);
  await page.click('#ad');
  await page.click(`[data-answer=${answer}]`);
  await page.click('#send');
  await page.locator('#closed:enabled').waitFor();
}

for (const [width, colorScheme] of [[390, 'dark'], [1280, 'light']]) {
  test(`from the ad to Google's confirmation within a minute, ${width} pixels wide`, async () => {
    const {page, errors} = await newVisitor(width, {colorScheme});
    const started = Date.now();
    await becomeLead(page);
    assert.equal(await page.locator('#lost').isDisabled(), true, 'there is nothing to lose yet');
    assert.match(await page.locator('#why').innerText(), /Nothing to lose yet/);
    await page.click('#closed');
    await says(page, 'Confirmed by Google');
    const took = (Date.now() - started) / 1000;
    console.log(`${width} pixels: confirmed after ${took} s`);
    assert.ok(took < 60);

    await page.fill('#amount', '7500');
    await page.click('#closed');
    await says(page, 'Corrected by Google');
    await page.click('#lost');
    await says(page, 'Taken back by Google');
    const counted = await (await fetch(`${base}/sandbox/google/conversions`)).json();
    assert.ok(counted.some(it => it.value === 7500 && it.retracted), JSON.stringify(counted));

    assert.equal(await isWide(page), false, 'nothing is wider than the screen');
    assert.deepEqual(errors, []);
    await page.click('#forget button');
    await page.locator('#ad').waitFor();
    assert.equal((await (await page.request.get(`${base}/dev/trail`)).json()).visitor, null);
  });
}

test('a no is kept, and a later yes sends the conversion', async () => {
  const {page, errors} = await newVisitor(390);
  await becomeLead(page, 'denied');
  await page.click('#closed');
  await page.locator('.step.off', {hasText: 'consent is denied'}).waitFor();
  await page.click('#choice');
  await page.click('[data-answer=granted]');
  await says(page, 'Confirmed by Google');
  assert.deepEqual(errors, []);
});

test("Google's 503s and the retry are seen", async () => {
  const {page, errors} = await newVisitor(1280, {reducedMotion: 'reduce'});
  await becomeLead(page);
  await page.click('#trouble summary');
  await page.click('[data-fault*="503"]');
  await page.locator('#armed', {hasText: '2 more times'}).waitFor();
  await page.click('#closed');
  await says(page, 'Confirmed by Google');
  assert.equal(await page.locator('.step', {hasText: 'Google answered 503'}).count(), 2);
  assert.deepEqual(errors, []);
});
