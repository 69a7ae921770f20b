// A website with the tag on it, a Chromium that visits it, and a backend that writes down what it is told.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach } from "node:test";
import { chromium } from "playwright-core";

const dist = new URL("../dist/t.js", import.meta.url);
const TAG = process.env.TAG_SOURCE ? new URL("../t.js", import.meta.url) : dist;

export const executablePath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
  .concat("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
  .find((path) => path && existsSync(path));

const certificate = () => {
  const folder = mkdtempSync(join(tmpdir(), "adtrail-tag-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=www.shop.example", "-nodes", "-days", "2", "-newkey", "rsa:2048"];
  execFileSync("openssl", ["req", "-x509", ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
  const read = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(folder, { recursive: true });
  return read;
};

export const SHOP = "https://www.shop.example";
export const TAG_LINE = '<script async src="/t.js"></script>';

export class Site extends EventEmitter {
  calls = []; // {kind, body, headers, status}
  errors = []; // what reached a page
  pages = new Map();
  /** Which test it is, as its browser says in its name: a page that was closed may still be heard. */
  #test = 0;
  /** What the backend answers, now or later: a status, or "hang" or "drop". */
  answer = () => 200;

  static async open() {
    const site = new Site();
    site.server = createServer(certificate(), (incoming, outgoing) => site.#serve(incoming, outgoing));
    await once(site.server.listen(0, "127.0.0.1"), "listening");
    const port = site.server.address().port;
    site.arguments = [
      "--no-sandbox",
      "--ignore-certificate-errors",
      `--host-resolver-rules=MAP *:443 127.0.0.1:${port}`,
      "--disable-background-networking",
      // Containers keep /dev/shm so small that Chromium crashes in long tests.
      "--disable-dev-shm-usage",
    ];
    site.browser = await chromium.launch({
      executablePath,
      channel: executablePath ? undefined : "chromium",
      // Playwright switches these off, and both are tested here.
      ignoreDefaultArgs: ["--disable-back-forward-cache"],
      args: site.arguments,
    });
    return site;
  }

  /** One for the tests of a file: no test leaves anything to the next one, and nothing may have reached a page. */
  static async forTests() {
    const site = await Site.open();
    after(() => site.close());
    afterEach(async () => {
      assert.deepEqual(site.errors, []);
      await site.reset();
    });
    return site;
  }

  async close() {
    await this.browser.close();
    this.server.closeAllConnections();
    this.server.close();
  }

  /** A tab of a new visitor. */
  async visitor(options = {}) {
    const userAgent = `Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0 Safari/537.36 test/${this.#test}`;
    const context = await this.browser.newContext({ ignoreHTTPSErrors: true, userAgent, ...options });
    context.on("page", (page) => page.on("pageerror", (error) => this.errors.push(String(error))));
    return context.newPage();
  }

  /** Opens an address in a Chromium that nobody looks into: with DevTools attached it never prerenders. */
  alone(address) {
    const folder = mkdtempSync(join(tmpdir(), "adtrail-tag-"));
    const args = ["--headless", "--disable-gpu", "--no-first-run", `--user-data-dir=${folder}`, ...this.arguments, address];
    // In a group of its own, so that no process of it writes to the folder while that is removed.
    const chromium = spawn(executablePath, args, { stdio: "ignore", detached: true });
    return async () => {
      process.kill(-chromium.pid, "SIGKILL");
      await once(chromium, "exit");
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    };
  }

  /** What lies at a path: a page's body, or {headers, body, type, redirect, after}. */
  page(path, content) {
    this.pages.set(path, typeof content == "string" ? { body: content } : content);
  }

  /** Everything as for a new test. */
  async reset() {
    await Promise.all(this.browser.contexts().map((context) => context.close()));
    this.#test += 1;
    [this.calls, this.errors, this.answer, this.backend] = [[], [], () => 200, undefined];
    this.pages.clear();
  }

  of(kind) {
    return this.calls.filter((call) => call.kind == kind);
  }

  kinds() {
    return this.calls.map((call) => call.kind).join("");
  }

  /** The calls, once there are so many of this kind. */
  async until(kind, count = 1) {
    const timeout = AbortSignal.timeout(10_000);
    while (this.of(kind).length < count) {
      await once(this, "call", { signal: timeout }).catch(() => {
        throw new Error(`waited for ${count} ${kind}, and have ${JSON.stringify(this.calls, null, 1)}`);
      });
    }
    return this.of(kind);
  }

  /** Whatever a page still had to say has been said after this. */
  async settled(page) {
    const before = this.of("e").length;
    await page.evaluate(() => new Promise((done) => setTimeout(done, 600)));
    await page.evaluate("adtrail.event('settled')");
    await this.until("e", before + 1);
    this.calls = this.calls.filter((call) => call.body.event_name != "settled");
  }

  async #serve(incoming, outgoing) {
    const { pathname } = new URL(incoming.url, SHOP);
    if (pathname.endsWith("/t.js")) {
      const headers = { "content-type": "text/javascript", "access-control-allow-origin": "*" };
      return outgoing.writeHead(200, headers).end(readFileSync(TAG));
    }
    const kind = /^\/\w+\/([velc])$/.exec(pathname)?.[1];
    if (kind) return this.#receive(kind, incoming, outgoing);
    const found = this.pages.get(pathname) ?? { body: TAG_LINE };
    if (found.redirect) return outgoing.writeHead(302, { location: found.redirect }).end();
    const headers = { "content-type": found.type ?? "text/html; charset=utf-8", ...found.headers };
    const head = headers["content-type"].startsWith("text/html") ? "<!doctype html><title>Shop</title>" : "";
    incoming.resume();
    this.emit("request", incoming.url);
    await found.after;
    outgoing.writeHead(200, headers).end(head + found.body);
  }

  async #receive(kind, incoming, outgoing) {
    const chunks = await incoming.toArray();
    const test = / test\/(\d+)$/.exec(incoming.headers["user-agent"]);
    if (test && Number(test[1]) != this.#test) return outgoing.writeHead(200).end("{}");
    const text = Buffer.concat(chunks).toString();
    const call = { kind, body: text && JSON.parse(text), headers: incoming.headers, method: incoming.method };
    const origin = incoming.headers.origin;
    const answer = this.backend ? await forward(this.backend, kind, incoming, text) : { status: await this.answer(call) };
    call.status = answer.status;
    if (call.method == "POST") this.calls.push(call);
    this.emit("call");
    if (answer.status == "hang") return;
    if (answer.status == "drop") return incoming.socket.destroy();
    const headers = { "content-type": "application/json", ...answer.headers };
    if (origin && !this.backend) {
      headers["access-control-allow-origin"] = origin;
      headers["access-control-allow-credentials"] = "true";
    }
    if (kind == "v" && !this.backend)
      headers["set-cookie"] = "adtrail_visitor=1; Path=/; Max-Age=34560000; HttpOnly; Secure; SameSite=Lax";
    outgoing.writeHead(answer.status, headers).end(answer.text ?? "{}");
  }
}

/** Hands a call to a real server at this port, as a site's proxy does. */
const forward = (port, kind, incoming, text) =>
  new Promise((done, failed) => {
    const headers = { ...incoming.headers, host: `127.0.0.1:${port}` };
    const to = { host: "127.0.0.1", port, path: `/t/${kind}`, method: incoming.method, headers };
    const call = request(to, async (answer) => {
      const text = Buffer.concat(await answer.toArray()).toString();
      done({ status: answer.statusCode, headers: answer.headers, text });
    });
    call.on("error", failed).end(text);
  });
