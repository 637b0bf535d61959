// The official heroku command against the demo's simulated Platform API: `npm test`.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { demo as start } from "../browser/demo.mjs";

const run = promisify(execFile);
const command = fileURLToPath(new URL("node_modules/heroku/bin/run.js", import.meta.url));
const app = "acme-pay";
let demo, home;

before(async () => {
  home = mkdtempSync(join(tmpdir(), "heroku-"));
  // So slow that nothing happens by itself while a command runs, and a restart is still soon over.
  demo = await start({ speed: 4 });
});
after(async () => { await demo?.stop(); if (home) rmSync(home, { recursive: true, force: true }); });

/** What the command prints; it fails the test if the command fails. */
async function heroku(...args) {
  const env = {
    PATH: process.env.PATH, HOME: home, XDG_CACHE_HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home,
    HEROKU_HOST: demo.api, HEROKU_API_KEY: "any-token", CI: "true",
    DISABLE_TELEMETRY: "true", HEROKU_SKIP_NEW_VERSION_CHECK: "true",
  };
  const { stdout } = await run(process.execPath, [command, ...args, "-a", app], { env, timeout: 60_000 });
  return stdout;
}

/** A drain of our own: what arrives at it, as text. */
async function drain() {
  const bodies = [];
  let arrived = () => {};
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    bodies.push(Buffer.concat(chunks).toString());
    response.writeHead(204).end();
    arrived();
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const text = async (pattern) => {
    const late = setTimeout(() => { throw new Error(`never arrived: ${pattern}`); }, 30_000);
    while (!pattern.test(bodies.join(""))) await new Promise((more) => { arrived = more; });
    clearTimeout(late);
  };
  return { url: `http://logplex:secret@127.0.0.1:${server.address().port}/logs`, text, close: () => server.close() };
}

/** The same question without the command, for what is not the command's to prove. */
async function api(path) {
  const headers = { accept: "application/vnd.heroku+json; version=3", authorization: "Bearer any" };
  return (await fetch(`${demo.api}/apps/${app}${path}`, { headers })).json();
}

test("apps:info, ps and drains show the app as it is", async () => {
  const [info, ps, drains] = await Promise.all([heroku("apps:info"), heroku("ps"), heroku("drains")]);
  assert.match(info, /acme-pay[\s\S]*Dynos:\s+web: 2[\s\S]*Stack:/);
  assert.match(ps, /=== web \(standard-1X\)[\s\S]*web\.1: up [\s\S]*web\.2: up /i);
  assert.match(drains, new RegExp(`${demo.url.slice("http://".length)}/logs/${app} \\(d\\.`));
});

test("a drain that the command adds sees the restart that the command makes", async () => {
  const ours = await drain();
  await heroku("drains:add", ours.url);
  assert.ok((await heroku("drains")).includes(ours.url));

  const dynos = async () => Object.fromEntries((await api("/dynos")).map((dyno) => [dyno.name, dyno.id]));
  const first = await dynos();
  const seen = demo.line(/acme-pay +web\.1 +heroku +State changed from up to starting/);
  await heroku("ps:restart", "--dyno-name", "web.1");
  await seen;
  await ours.text(/ heroku web\.1 - State changed from up to starting/);
  await ours.text(/ heroku web\.1 - State changed from starting to up/);
  const second = await dynos();
  assert.notEqual(second["web.1"], first["web.1"]);
  assert.equal(second["web.2"], first["web.2"], "the other dyno was left alone");

  await heroku("drains:remove", ours.url);
  assert.deepEqual((await api("/log-drains")).filter((one) => one.url === ours.url), []);
  ours.close();
});
