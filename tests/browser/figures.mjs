// Measures the page with twenty and with two thousand dynos, a page that is open for a day, and what a hundred
// open streams cost: `node figures.mjs [SECONDS [page|open|streams]]`. The daemon is the one that DYNOWARDEN names; a release build, please.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import { gunzipSync } from "node:zlib";
import { browser as launch, demo, desk, program } from "./demo.mjs";

const seconds = Number(process.argv[2] ?? 30);
const wants = (what) => (process.argv[3] ?? what) === what;
const credentials = { username: "admin", password: "figures" };
const basic = (user, password) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
const admin = { authorization: basic("admin", credentials.password) };
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** A daemon of its own on a free port, that acts on nothing. */
async function daemon() {
  const env = {
    PATH: process.env.PATH, DATABASE_URL: "memory", DRAIN_PASSWORD: "drain", ADMIN_PASSWORD: credentials.password,
    HEROKU_API_KEY: "none", HEROKU_API_URL: "http://127.0.0.1:9", HEROKU_APP: "acme", DYNOWARDEN_DRY_RUN: "true",
    DYNOWARDEN_LISTEN: "127.0.0.1", LOG_FORMAT: "json", PORT: "0",
  };
  const child = spawn(program, ["serve"], { env, stdio: ["ignore", "pipe", "pipe"] });
  const port = await new Promise((found) => {
    for (const out of [child.stdout, child.stderr]) {
      createInterface({ input: out }).on("line", (line) => {
        const at = /listening on http:\/\/[^:]+:(\d+)/.exec(line);
        if (at) found(Number(at[1]));
      });
    }
  });
  const stop = async () => { child.kill("SIGTERM"); await once(child, "exit"); };
  return { pid: child.pid, port, url: `http://127.0.0.1:${port}`, stop };
}

const agent = new Agent({ keepAlive: true });

/** One request; its status, headers and body. */
function ask(port, { path, method = "GET", headers = {}, body }) {
  return new Promise((answered, failed) => {
    const asked = request({ agent, port, host: "127.0.0.1", path, method, headers }, async (response) => {
      const chunks = [];
      for await (const chunk of response) chunks.push(chunk);
      answered({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) });
    });
    asked.on("error", failed).end(body);
  });
}

/** What the platform and the router say of these dynos in one batch. */
function batch(dynos, when = Date.now()) {
  const at = new Date(when).toISOString();
  const frame = (procid, text) => {
    const line = `<45>1 ${at} host heroku ${procid} - ${text}\n`;
    return `${Buffer.byteLength(line)} ${line}`;
  };
  return dynos.map((dyno) => {
    const used = (200 + Math.random() * 280).toFixed(2), id = `00000000-0000-4000-8000-${String(dyno).padStart(12, "0")}`;
    return frame(`web.${dyno}`, `source=web.${dyno} dyno=heroku.1.${id} sample#memory_total=${used}MB ` +
      `sample#memory_rss=${used}MB sample#memory_cache=0.00MB sample#memory_swap=0.00MB sample#memory_quota=512.00MB`) +
      frame("router", `at=info method=GET path="/" host=acme.example.com request_id=${id} fwd="192.0.2.7" ` +
        `dyno=web.${dyno} connect=0ms service=${Math.floor(Math.random() * 300)}ms status=200 bytes=5 protocol=https`);
  }).join("");
}

async function send(port, dynos, when) {
  const headers = { authorization: basic("logplex", "drain"), "content-type": "application/logplex-1" };
  const { status } = await ask(port, { path: "/logs/acme", method: "POST", headers, body: batch(dynos, when) });
  if (status !== 204) throw new Error(`the drain answered ${status}`);
}

const upTo = (count) => Array.from({ length: count }, (_, index) => index + 1);
const median = (all) => [...all].sort((one, other) => one - other)[Math.floor(all.length / 2)];
const spread = (all) => `${median(all).toFixed(0)} ms (${Math.min(...all).toFixed(0)} to ${Math.max(...all).toFixed(0)})`;

/** The page's weight, and how long a browser takes until something, and until all of it, is there. */
async function page(browser, count) {
  const here = await daemon();
  for (let minute = 180; minute >= 0; minute -= 1) {
    for (let from = 0; from < count; from += 500) await send(here.port, upTo(count).slice(from, from + 500), Date.now() - minute * 60_000);
  }
  const packed = await ask(here.port, { path: "/", headers: { ...admin, "accept-encoding": "gzip" } });
  const html = gunzipSync(packed.body).toString();
  let bytes = html.length, sent = packed.body.length;
  for (const [, path] of html.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)) {
    const asset = await ask(here.port, { path, headers: { ...admin, "accept-encoding": "gzip" } });
    sent += asset.body.length;
    bytes += asset.headers["content-encoding"] === "gzip" ? gunzipSync(asset.body).length : asset.body.length;
  }
  const first = [], whole = [], made = [];
  for (let round = 0; round < 11; round += 1) {
    const context = await browser.newContext({ ...desk, httpCredentials: credentials });
    const tab = await context.newPage();
    await tab.goto(here.url, { waitUntil: "load" });
    await tab.waitForSelector("#live[data-state=on]");
    const times = await tab.evaluate(() => {
      const [navigation] = performance.getEntriesByType("navigation");
      const [paint] = performance.getEntriesByName("first-contentful-paint");
      // From the request that is not refused: the first answer asks for the password.
      return { from: navigation.requestStart, made: navigation.responseStart, paint: paint?.startTime, load: navigation.loadEventEnd };
    });
    await context.close();
    if (round === 0) continue; // The browser itself is still warming up.
    first.push(times.paint - times.from);
    whole.push(times.load - times.from);
    made.push(times.made - times.from);
  }
  console.log(`${count} dynos: ${sent} bytes sent with style, script and icon, ${bytes} unpacked; ` +
    `first byte ${spread(made)}, first paint ${spread(first)}, loaded ${spread(whole)}`);
  await here.stop();
}

const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
const ticks = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return Number(fields[11]) + Number(fields[12]);
};

/** Processor time and memory while every dyno is heard of every 20 s, with so many open streams. */
async function streams(count, dynos) {
  const here = await daemon();
  for (let from = 0; from < dynos; from += 500) await send(here.port, upTo(dynos).slice(from, from + 500));
  let arrived = 0, ended = 0;
  const open = [];
  for (let number = 0; number < count; number += 1) {
    const asked = request({ agent: false, port: here.port, host: "127.0.0.1", path: "/api/v1/events?as=html", headers: admin }, (response) => {
      response.on("data", (chunk) => { arrived += chunk.length; }).on("close", () => { ended += 1; });
    });
    asked.on("error", () => {}).end();
    open.push(asked);
  }
  await sleep(3000);
  const [began, used, seen] = [Date.now(), ticks(here.pid), arrived];
  for (let second = 0; second < seconds; second += 1) {
    await send(here.port, upTo(dynos).filter((dyno) => dyno % 20 === second % 20));
    await sleep(Math.max(0, began + (second + 1) * 1000 - Date.now()));
  }
  const span = (Date.now() - began) / 1000;
  const cpu = (ticks(here.pid) - used) / span; // A tick is a hundredth of a second, so this is per cent.
  console.log(`${count} streams, ${dynos} dynos: ${cpu.toFixed(1)}% of one core, ${(rss(here.pid) / 1024).toFixed(1)} MiB resident, ` +
    `${count ? ((arrived - seen) / count / span / 1024).toFixed(1) : 0} KiB/s to each, ${ended} ended`);
  for (const asked of open) asked.destroy();
  await here.stop();
}

/** What a page holds on to that has been open for a day of a demo that runs six hundred times as fast. */
async function open(browser) {
  const shop = await demo({ speed: 600 });
  const context = await browser.newContext({ ...desk, httpCredentials: shop.credentials });
  const tab = await context.newPage();
  const devtools = await context.newCDPSession(tab);
  await devtools.send("Performance.enable");
  await tab.goto(shop.url);
  const began = Date.now(), told = [];
  for (const second of [24, 72, 144]) { // 4, 12 and 24 hours.
    await sleep(began + second * 1000 - Date.now());
    await devtools.send("HeapProfiler.collectGarbage");
    const { metrics } = await devtools.send("Performance.getMetrics");
    const of = (name) => metrics.find((metric) => metric.name === name).value;
    told.push(`${second / 6} h: ${(of("JSHeapUsedSize") / 2 ** 20).toFixed(1)} MiB, ${of("Nodes")} nodes, ${of("JSEventListeners")} listeners`);
  }
  console.log(`an open page after ${told.join("; ")}`);
  await context.close();
  await shop.stop();
}

if (wants("page") || wants("open")) {
  const browser = await launch();
  if (wants("page")) for (const count of [20, 2000]) await page(browser, count);
  if (wants("open")) await open(browser);
  await browser.close();
}
if (wants("streams")) for (const dynos of [20, 200, 2000]) for (const count of [0, 100]) await streams(count, dynos);
agent.destroy();
