// Adtrail itself, on a free port, with the database of DATABASE_URL: `make test-browser` starts that.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

const BINARY = new URL("../../target/debug/dev", import.meta.url).pathname;

const freePort = async () => {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
};

/** Why there is no server to test with, if there is none. */
export const missing = process.env.DATABASE_URL ? false : "needs a server and its database: run make test-browser";

/** A server for pages of this origin, or for its own pages. */
export const serve = async (origin) => {
  const port = await freePort();
  const limits = { VISITS_PER_HOUR: "1000000", EVENTS_PER_HOUR: "1000000", LEADS_PER_HOUR: "1000000" };
  const env = { ...process.env, ...limits, PORT: String(port), ALLOWED_ORIGINS: origin ?? "", RUST_LOG: "error" };
  const child = spawn(BINARY, ["serve"], { env, stdio: ["ignore", "ignore", "inherit"] });
  const answers = () => fetch(`http://127.0.0.1:${port}/t.js`).then((answer) => answer.ok, () => false);
  while (!(await answers())) {
    if (child.exitCode !== null) throw new Error("dev serve didn't start");
    await new Promise((done) => setTimeout(done, 100));
  }
  return {
    port,
    rows: async () => (await fetch(`http://127.0.0.1:${port}/dev/rows`)).json(),
    stop: async () => {
      child.kill();
      await once(child, "exit");
    },
  };
};
