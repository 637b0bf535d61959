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

/** The browser: CHROMIUM, or where Debian puts it. */
export async function browser() {
  const { chromium } = await import("playwright-core");
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  // In a container there is no room for a sandbox of its own, and nothing but our own page is opened.
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

export const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
export const desk = { viewport: { width: 1360, height: 900 } };
