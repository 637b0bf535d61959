// The status page in a real browser, beside the demo: `npm test`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { browser as launch, demo as start, desk, phone, serve } from "./demo.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let browser, demo;

before(async () => {
  [browser, demo] = await Promise.all([launch(), start()]);
  // The story must have begun, or there is nothing to see.
  await demo.line(/ back +up again/);
});
after(async () => { await browser?.close(); await demo?.stop(); });

/** A page of its own, and everything that went wrong on it. */
async function open(path = "/", options = {}) {
  const context = await browser.newContext({ ...desk, httpCredentials: demo.credentials, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const wrong = [], elsewhere = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) wrong.push(message.text()); });
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("request", (request) => { if (!request.url().startsWith(demo.url)) elsewhere.push(request.url()); });
  await page.goto(demo.url + path);
  return { page, wrong, elsewhere, close: () => context.close() };
}

/** Waits for something to be so in the page. (Playwright's own wait evaluates text, which our policy forbids.) */
async function until(page, so, ...given) {
  const deadline = Date.now() + 15_000;
  while (!await page.evaluate(so, ...given)) {
    assert.ok(Date.now() < deadline, `not within 15 s: ${so}`);
    await new Promise((soon) => setTimeout(soon, 20));
  }
}

const live = (page) => page.waitForSelector('#live[data-state="on"]');

for (const [name, options] of [
  ["light", { colorScheme: "light" }],
  ["dark", { colorScheme: "dark" }],
  ["phone", { ...phone, colorScheme: "light" }],
]) {
  test(`loads clean and is accessible: ${name}`, async () => {
    const { page, wrong, elsewhere, close } = await open("/", options);
    await live(page);
    const dyno = await page.getAttribute(".table tbody th a", "href");
    for (const path of ["/", "/decisions", "/apps/acme-shop", dyno, `${dyno}#restart`]) {
      await page.goto(demo.url + path);
      await live(page);
      await page.locator("details").evaluateAll((all) => all.forEach((one) => { one.open = true; }));
      await page.evaluate(axe);
      const found = await page.evaluate(() => axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
      const told = found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" | ")}`);
      assert.deepEqual(told, [], `${path}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${path} is ${wide} pixels wider than the window`);
      for (const landmark of ["banner", "main", "contentinfo", "navigation"]) {
        assert.ok(await page.getByRole(landmark).count() >= 1, landmark);
      }
      assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1);
    }
    assert.deepEqual(wrong, []);
    assert.deepEqual(elsewhere, []);
    await close();
  });
}

test("shows a restart within a second of its happening", async () => {
  const { page, wrong, close } = await open();
  await live(page);
  const took = [];
  for (const wanted of ["web.1", "web.2", "web.3"]) {
    const line = demo.line(new RegExp(`^\\S+ \\S+ +(acme-shop) +(${wanted}) +restart `));
    const asked = await fetch(`${demo.url}/hooks/restart/acme-shop?key=demo-hook`, { method: "POST", body: JSON.stringify({ dyno: wanted }) });
    assert.equal(asked.status, 202);
    const [, app, dyno] = await line;
    const began = Date.now();
    await until(page, ([app, dyno]) => [...document.querySelectorAll("#decided li")].slice(0, 4).some((row) =>
      row.querySelector(".badge").textContent === "Restart" &&
      row.querySelector("a").textContent === `${app} ${dyno}` &&
      (!row.querySelector(".then") || !/up again/.test(row.querySelector(".then").textContent))), [app, dyno]);
    took.push(Date.now() - began);
  }
  // The tab tells as much as the page, and it keeps up.
  const title = await page.evaluate(() => [document.title, document.querySelector(".verdict").textContent + " · dynowarden"]);
  assert.equal(title[0], title[1]);
  console.log(`shown after ${took.join(", ")} ms`);
  assert.ok(Math.max(...took) < 1000, took.join(" "));
  assert.deepEqual(wrong, []);
  await close();
});

test("memory, states and times move without a reload", async () => {
  const { page, close } = await open();
  await live(page);
  await page.evaluate(() => { window.untouched = true; });
  const table = () => page.locator("#t-0").innerHTML();
  const first = await table();
  await until(page, (first) => document.getElementById("t-0").innerHTML !== first, first);
  assert.equal(await page.evaluate(() => window.untouched), true);
  await close();
});

for (const javaScriptEnabled of [true, false]) {
  test(`pause, resume and restart work ${javaScriptEnabled ? "with" : "without"} JavaScript`, async () => {
    const { page, wrong, close } = await open("/", { javaScriptEnabled });
    const app = page.getByRole("article", { name: "acme-pay" });
    await app.getByText("Pause…").click();
    await app.getByLabel("Duration").selectOption("30m");
    await app.getByLabel("Reason").fill(`a "test" <b>&amp;`);
    await app.getByRole("button", { name: "Pause acme-pay" }).click();
    await app.getByRole("button", { name: "Resume acme-pay" }).waitFor();
    assert.match(await app.textContent(), /Paused.*left.*a "test" <b>&amp;/);
    await app.getByRole("button", { name: "Resume acme-pay" }).click();
    await app.getByRole("button", { name: "Resume acme-pay" }).waitFor({ state: "detached" });

    await app.getByRole("link", { name: "Restart… web.1" }).click();
    assert.match(page.url(), /\/apps\/acme-pay\/dynos\/web\.1#restart$/);
    const sure = page.getByRole("button", { name: "Yes, restart web.1" });
    assert.equal(await sure.isVisible(), false, "one click does not restart");
    await page.locator("summary", { hasText: "Restart…" }).click();
    await sure.click();
    await page.waitForURL(/\/apps\/acme-pay\/dynos\/web\.1\?told=\d+$/);
    for (let tries = 0; !/manual restart by "admin" from 127\.0\.0\.1/.test(await page.textContent("main")); tries += 1) {
      // Another dyno of the type may be out, and has to boot and settle first.
      assert.ok(tries < 300, "the decision is shown");
      await page.waitForTimeout(200);
      if (!javaScriptEnabled) await page.reload();
    }
    assert.deepEqual(wrong, []);
    await close();
  });
}

/** The JSON API, as a script uses it. */
const api = (path, body) => fetch(`${demo.url}/api/v1/${path}`, {
  method: "POST", body: JSON.stringify(body),
  headers: { "content-type": "application/json", authorization: "Basic " + btoa(`${demo.credentials.username}:${demo.credentials.password}`) },
});

test("a refused restart is answered above the page, and a paused dyno has no live button", async () => {
  const { page, close } = await open("/apps/acme-pay/dynos/web.2", { ...phone, javaScriptEnabled: false });
  await page.locator("summary", { hasText: "Restart…" }).click();
  // Paused in another window, while the confirmation was open.
  assert.equal((await api("pause", { app: "acme-pay", for: "30m", reason: "load test" })).status, 200);
  await page.getByRole("button", { name: "Yes, restart web.2" }).click();
  const answer = page.getByRole("status", { name: "Answer" });
  assert.match(await answer.textContent(), /web\.2 was not restarted: .*paused.*heroku ps:restart web\.2 -a acme-pay/s);
  const box = await answer.boundingBox();
  assert.ok(box.y >= 0 && box.y + box.height < phone.viewport.height, "it is on the first screen");
  assert.equal(await page.getByText("Yes, restart web.2").count(), 0, "no button that must fail");
  const way = page.locator("#restart");
  assert.match(await way.textContent(), /paused: .*load test.*heroku ps:restart web\.2 -a acme-pay/s);
  await way.getByRole("button", { name: "Resume acme-pay" }).click();
  assert.match(await page.getByRole("status", { name: "Answer" }).textContent(), /allowed again/);
  await close();
});

test("a person's restart of a given-up dyno goes", async () => {
  const headers = { authorization: "Basic " + btoa(`${demo.credentials.username}:${demo.credentials.password}`) };
  let given;
  for (const deadline = Date.now() + 60_000; !given;) {
    assert.ok(Date.now() < deadline, "no dyno is given up within a minute");
    const { dynos } = await (await fetch(`${demo.url}/api/v1/dynos?app=acme-search`, { headers })).json();
    // Its peer may be out, and then it waits for its turn.
    given = dynos.every((dyno) => dyno.platform_state === "up") && dynos.find((dyno) => dyno.state === "given_up");
    await new Promise((soon) => setTimeout(soon, 50));
  }
  const { page, close } = await open(`/apps/acme-search/dynos/${given.dyno}`, phone);
  await page.locator("summary", { hasText: "Restart…" }).click();
  await page.getByRole("button", { name: `Yes, restart ${given.dyno}` }).click();
  const answer = page.getByRole("status", { name: "Answer" });
  assert.match(await answer.textContent(), new RegExp(`${given.dyno} (is being|will be) restarted`));
  await close();
});

test("an empty page says the next step, a dry run is plain, and a dyno that the API denies is not there", async () => {
  // As fast as life, so that the API's times are this machine's.
  const heroku = await start({ speed: 1 });
  const daemon = await serve(heroku.api, "acme-pay", { DYNOWARDEN_DRY_RUN: "true" });
  const context = await browser.newContext({ ...desk, httpCredentials: daemon.credentials });
  const page = await context.newPage();
  await page.goto(`${daemon.url}/`);
  assert.match(await page.textContent("main"), /heroku drains:add "https:\/\/drain:\$DRAIN_PASSWORD@\S+\/logs\/acme-pay" -a acme-pay/);
  assert.match(await page.textContent(".verdict"), /No logs received yet · dry run: nothing will be restarted/);
  await live(page);
  for (const dyno of ["web.1", "web.9", "worker.1"]) await daemon.post(dyno);
  await until(page, () => /Would be cooling down/.test(document.querySelector("#t-0").textContent));
  assert.match(await page.textContent(".verdict"), /All is well · dry run: nothing will be restarted/);
  assert.equal(await page.locator(".good > .verdict, .good .verdict").count(), 0, "a dry run is not all good");
  assert.deepEqual(await page.locator("#t-0 tbody th").allTextContents(), ["web.1"]);
  assert.match(await page.textContent("#decided"), /Would restart/);
  await page.goto(`${daemon.url}/decisions?kind=hold&since=1h`);
  assert.match(await page.textContent(".decisions"), /worker\.1[\s\S]*not in process_types/);
  assert.match(await page.textContent(".decisions"), /web\.9[\s\S]*Heroku has no dyno of this name/);
  await context.close();
  await daemon.stop();
  await heroku.stop();
});

test("a restart that did not help is not green", async () => {
  const { page, close } = await open("/apps/acme-search");
  await until(page, () => [...document.querySelectorAll(".then.bad")].some((row) => /did not help/.test(row.textContent)));
  const green = await page.locator(".then.good").allTextContents();
  assert.ok(green.every((text) => !/did not help/.test(text)), green.join("\n"));
  await close();
});

test("decisions are filtered by day without a script, and refusals stay behind", async () => {
  const { page, close } = await open("/decisions", { javaScriptEnabled: false });
  const badges = () => page.locator(".decisions .badge").allTextContents();
  assert.ok((await badges()).includes("Restart"));
  assert.ok(await page.locator("h2.day").count() >= 1);
  await page.getByLabel("App").selectOption("acme-shop");
  await page.getByLabel("Show").selectOption("hold");
  await page.getByRole("button", { name: "Filter" }).click();
  assert.match(page.url(), /app=acme-shop&dyno=&kind=hold/);
  assert.deepEqual([...new Set(await badges())], ["Not restarted"]);
  const apps = await page.locator(".decisions .what a").allTextContents();
  assert.ok(apps.length > 0 && apps.every((app) => app.startsWith("acme-shop ")), apps.join());
  await page.getByLabel("Dyno").fill("web.1");
  await page.getByLabel("Reason").fill("queued");
  await page.getByRole("button", { name: "Filter" }).click();
  const dynos = await page.locator(".decisions .what b").allTextContents();
  assert.ok(dynos.every((dyno) => dyno === "web.1"), dynos.join());
  await page.getByRole("link", { name: "Clear" }).click();
  assert.equal(new URL(page.url()).search, "");
  await page.goto(`${demo.url}/`);
  const overview = await page.locator("#decided li").evaluateAll((rows) => rows.map((row) => row.textContent));
  // A refusal to a person is news, once; those of a rule repeat.
  assert.ok(overview.every((row) => !/waiting for its turn|cooling down for .* times, last/.test(row)), overview.join("\n"));
  await page.getByRole("link", { name: "Not restarted, and why" }).click();
  assert.ok((await badges()).includes("Not restarted"));
  await close();
});

test("times are the reader's, relative first, with UTC as their title", async () => {
  const { page, close } = await open("/decisions", { timezoneId: "Asia/Kolkata" });
  await until(page, () => /Asia\/(Kolkata|Calcutta)/.test(document.getElementById("zone").textContent));
  const [text, title, utc] = await page.locator(".what time").first().evaluate((time) => [time.textContent, time.title, time.dateTime]);
  assert.match(text, /^\d+ (s|min|h) ago · .*\d\d:\d\d$/);
  assert.match(title, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
  const there = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", hour: "2-digit", minute: "2-digit" }).format(new Date(utc));
  assert.ok(text.endsWith(there), `${text} is ${there} in Kolkata`);
  await close();
});

test("a chart has units and clock times, its values under the pointer, and tells deploys apart", async () => {
  const { page, close } = await open("/apps/acme-shop/dynos/web.1");
  await live(page);
  await until(page, () => [...document.querySelectorAll(".plot .y span")].map((label) => label.textContent.trim()).join() ===
    "512 MB 100%,256 MB 50%,0");
  assert.match(await page.locator(".axis time").first().textContent(), /\d\d:\d\d$/);
  const chart = page.locator(".plot svg");
  // An update may replace the chart at any moment, so the pointer moves until it is read.
  let read = "";
  for (let tries = 0; !/\d\d:\d\d: \d+ MB, \d+% of the quota$/.test(read); tries += 1) {
    assert.ok(tries < 100, read);
    const box = await chart.boundingBox();
    if (box) await page.mouse.move(box.x + box.width - 3 - tries % 3, box.y + box.height / 2);
    read = await page.textContent(".readout");
  }
  assert.match(await page.locator(".marks").textContent(), /restarted by dynowarden/);
  const color = (selector) => page.locator(selector).first().evaluate((path) => getComputedStyle(path).stroke);
  const bad = await page.evaluate(() => { const at = document.createElement("i"); at.style.color = "var(--bad)"; document.body.append(at); return getComputedStyle(at).color; });
  assert.notEqual(await color("path.ours"), bad, "our restarts are not red");
  await page.goto(`${demo.url}/apps/acme-pay/dynos/web.1`);
  await until(page, () => /v2 deployed/.test((document.querySelector(".marks") ?? document.body).textContent));
  assert.ok(await page.locator("path.deploy").count() >= 1);
  await close();
});

test("a finger hits every link and button", async () => {
  const { page, close } = await open("/", phone);
  for (const path of ["/", "/decisions", "/apps/acme-shop", "/apps/acme-shop/dynos/web.1"]) {
    await page.goto(demo.url + path);
    const small = await page.evaluate(() => [...document.querySelectorAll("main a, main button, main summary, main select, header.top a")]
      .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height > 1)
      .filter((one) => one.getBoundingClientRect().height < 43.5)
      .map((one) => `${one.outerHTML.slice(0, 80)} ${one.getBoundingClientRect().height}`));
    assert.deepEqual(small, [], path);
  }
  await close();
});

test("the keyboard reaches everything, and an update does not take its place away", async () => {
  const { page, close } = await open();
  await live(page);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  const seen = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(seen, "solid");
  const link = page.locator("#t-0 tbody th a").first();
  await link.focus();
  const href = await link.getAttribute("href");
  const row = page.locator("#t-0 tbody tr").first();
  const before = await row.innerHTML();
  await until(page, (before) => document.querySelector("#t-0 tbody tr").innerHTML !== before, before);
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("href")), href);
  await close();
});

test("a form that is open is not taken away by an update", async () => {
  const { page, close } = await open("/apps/acme-shop");
  await live(page);
  await page.getByLabel("Reason").fill("half a senten");
  const seen = await page.evaluate(() => document.body.dataset.seen);
  await demo.line(/./);
  await page.waitForTimeout(3000);
  assert.equal(await page.getByLabel("Reason").inputValue(), "half a senten", seen);
  await close();
});

test("a page outlives a restart of the program", async () => {
  const first = await start({ seed: 3 });
  const context = await browser.newContext({ ...desk, httpCredentials: first.credentials });
  const page = await context.newPage();
  await page.goto(`${first.url}/`);
  await live(page);
  await first.stop();
  await page.waitForSelector('#live[data-state="off"]');
  const second = await start({ seed: 3, port: new URL(first.url).port });
  await live(page);
  await second.line(/ back +up again/);
  await until(page, () => /up again/.test(document.getElementById("decided").textContent));
  await context.close();
  await second.stop();
});
