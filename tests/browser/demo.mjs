// Starts `dynowarden demo`, and a browser for it; shared by all that is done beside a demo.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";

const root = new URL("../..", import.meta.url).pathname;

/** Where the program is: DYNOWARDEN, or what cargo built last. */
export const program = process.env.DYNOWARDEN ??
  ["release", "debug"].map((profile) => `${root}target/${profile}/dynowarden`).find(existsSync);

/** A running demo. `line(pattern)` waits for the next line of its story that matches. */
export async function demo({ port = 0, speed = 60, seed = 7 } = {}) {
  const args = ["demo", "--port", String(port), "--api-port", "0", "--speed", String(speed), "--seed", String(seed)];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  const waiting = new Set();
  createInterface({ input: child.stdout }).on("line", (line) => {
    for (const wait of waiting) {
      const match = wait.pattern.exec(line);
      if (match) { waiting.delete(wait); wait.found(match); }
    }
  });
  const line = (pattern) => new Promise((found) => waiting.add({ pattern, found }));
  const place = line(/status page +http:\/\/([^:]+):([^@]+)@([^/]+)\//), platform = line(/Platform API +(http:\S+)/);
  const [, user, password, authority] = await place;
  const [, api] = await platform;
  const stop = async () => {
    if (child.exitCode === null) { child.kill("SIGTERM"); await once(child, "exit"); }
  };
  return { api, url: `http://${authority}`, credentials: { username: user, password }, line, stop };
}

/** A daemon of its own, with the demo's simulated Heroku as its API. `say(name, text)` delivers a line, and `post(name)` an R14 of that dyno. */
export async function serve(api, app, env = {}) {
  const credentials = { username: "admin", password: "admin-of-the-tests" }, drain = "drain-of-the-tests";
  const child = spawn(program, ["serve"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      HEROKU_API_URL: api, HEROKU_API_KEY: "any", HEROKU_APP: app, DRAIN_PASSWORD: drain, DATABASE_URL: "memory",
      ADMIN_PASSWORD: credentials.password, PORT: "0", DYNOWARDEN_LISTEN: "127.0.0.1", LOG_FORMAT: "text", ...env,
    },
  });
  const url = await new Promise((found, failed) => {
    child.once("exit", (code) => failed(new Error(`serve ended with ${code}`)));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const match = /listening on (http:\/\/\S+)/.exec(line);
      if (match) found(match[1]);
    });
  });
  const say = async (dyno, text, when = Date.now(), source = "heroku") => {
    const at = new Date(when).toISOString().replace(/\.\d+Z$/, "+00:00");
    const line = `<134>1 ${at} host ${source} ${dyno} - ${text}\n`;
    const answer = await fetch(`${url}/logs/${app}`, {
      method: "POST", body: `${line.length} ${line}`,
      headers: { "content-type": "application/logplex-1", authorization: `Basic ${btoa(`drain:${drain}`)}` },
    });
    if (answer.status !== 204) throw new Error(`the drain answers ${answer.status}`);
  };
  const post = (dyno) => say(dyno, "Error R14 (Memory quota exceeded)");
  const stop = async () => {
    if (child.exitCode === null) { child.kill("SIGTERM"); await once(child, "exit"); }
  };
  return { url, credentials, post, say, stop };
}

/** The browser: CHROMIUM, or where Debian puts it. */
export async function browser() {
  const { chromium } = await import("playwright-core");
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  // In a container there is no room for a sandbox of its own, and nothing but our own page is opened.
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

export const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
export const desk = { viewport: { width: 1360, height: 900 } };
