// The charts of days in a real browser: ranges, units, marks, times in the reader's zone, on a phone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { browser as launch, demo as start, desk, phone, serve } from "./demo.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ranges = ["3h", "24h", "7d", "14d"];
const pages = ["/apps/acme-shop/types/web", "/apps/acme-shop/dynos/web.1"];
let browser, demo;

before(async () => {
  [browser, demo] = await Promise.all([launch(), start()]);
  await demo.line(/acme-shop +web\.\d +back +up again/);
});
after(async () => { await browser?.close(); await demo?.stop(); });

async function open(path, options = {}) {
  const context = await browser.newContext({ ...desk, httpCredentials: demo.credentials, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const wrong = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) wrong.push(message.text()); });
  page.on("pageerror", (error) => wrong.push(error.message));
  await page.goto(demo.url + path);
  return { page, wrong, close: () => context.close() };
}

for (const javaScriptEnabled of [true, false]) {
  test(`every range has axes with units ${javaScriptEnabled ? "with" : "without"} JavaScript`, async () => {
    for (const path of pages) {
      const { page, wrong, close } = await open(path, { javaScriptEnabled });
      for (const range of ranges) {
        await page.locator("nav.ranges a", { hasText: new RegExp(`^${range}$`) }).click();
        await page.waitForURL(`${demo.url}${path}?range=${range}`);
        const plot = page.locator("section[aria-labelledby=memory-title] .plot");
        assert.equal(await page.locator('nav.ranges a[aria-current="true"]').textContent(), range);
        assert.match(await plot.locator(".y").textContent(), /51[23] MB 100%.*256 MB 50%.*0/);
        const times = await plot.locator(".axis time").allTextContents();
        assert.equal(times.length, 3);
        for (const time of times) assert.match(time, /\d\d:\d\d/);
        assert.ok(await plot.locator("path.line").count() >= 1, range);
        const label = await plot.locator("svg").getAttribute("aria-label");
        assert.match(label, /^Memory of (web\.1|3 dynos), last (3|24) hours|^Memory of (web\.1|3 dynos), last (7|14) days/);
      }
      assert.deepEqual(wrong, []);
      await close();
    }
  });
}

test("breaches, our restarts and others are told apart, and ours are not red", async () => {
  for (const path of pages) {
    const { page, wrong, close } = await open(`${path}?range=24h`);
    const color = (selector) => page.locator(selector).first().evaluate((one) => getComputedStyle(one).stroke);
    for (const selector of ["path.breach", "path.ours", "path.person"]) assert.ok(await page.locator(selector).count() >= 1, selector);
    const [breach, ours, person] = [await color("path.breach"), await color("path.ours"), await color("path.person")];
    assert.equal(new Set([breach, ours, person]).size, 3, `${breach} ${ours} ${person}`);
    const marks = await page.locator("ul.marks").textContent();
    assert.match(marks, /restarted by dynowarden/);
    assert.match(marks, /restarted by a person or another program/);
    assert.deepEqual(wrong, []);
    await close();
  }
});

// The shapes of each kind of mark in a page's chart, and the words of its legend and of its list.
async function marks(page) {
  const plot = page.locator("section[aria-labelledby=memory-title]");
  const shapes = {};
  for (const kind of ["cycle", "person", "deploy", "crash", "ours"]) {
    const line = plot.locator(`path.${kind}`), dots = plot.locator(kind === "ours" ? "path.dots" : `path.${kind}-dots`);
    if (await line.count() === 0) continue;
    const style = (of, name) => of.first().evaluate((path, name) => getComputedStyle(path)[name], name);
    const dot = await dots.count() ? `${await style(dots, "strokeLinecap")} ${/ (\d+)h0/.exec(await dots.first().getAttribute("d"))[1]}` : "no dot";
    shapes[kind] = `${await style(line, "strokeDasharray")}, ${dot}`;
  }
  return { shapes, legend: await plot.locator(".legend").textContent(), listed: await plot.locator("ul.marks").allTextContents() };
}

test("Heroku's daily restart, a person's and a deploy have marks of their own in the chart of hours", async () => {
  const heroku = await start({ speed: 1 });
  const daemon = await serve(heroku.api, "acme-shop");
  const context = await browser.newContext({ ...desk, httpCredentials: daemon.credentials });
  const page = await context.newPage();
  const ago = (minutes) => Date.now() - minutes * 60_000;
  const begin = async (dyno, text, at) => {
    await daemon.say(dyno, text, at);
    await daemon.say(dyno, "Starting process with command `bin/web`", at + 5000);
  };
  await begin("web.1", "Cycling", ago(50));
  await begin("web.1", "Restarting", ago(30));
  await daemon.say("api", "Release v42 created by user ann@example.com", ago(10), "app");
  await begin("web.1", "Restarting", ago(9));
  await page.goto(`${daemon.url}/apps/acme-shop/dynos/web.1`);
  const { shapes, legend, listed } = await marks(page);
  assert.deepEqual(Object.keys(shapes), ["cycle", "person", "deploy"]);
  assert.equal(new Set(Object.values(shapes)).size, 3, JSON.stringify(shapes));
  assert.match(legend, /Deployed.*Heroku's daily restart.*Restarted by a person or another program/);
  assert.match(listed.join(), /v42 deployed[\s\S]*restarted by a person or another program[\s\S]*restarted by Heroku, as every day/);
  await context.close();
  await daemon.stop();
  await heroku.stop();
});

test("Heroku's daily restarts have a mark of their own in the chart of days", async () => {
  const { page, wrong, close } = await open("/apps/acme-pay/types/web?range=7d");
  // The list has the newest marks only, and those of the demo's last hour may fill it.
  const { shapes, legend } = await marks(page);
  assert.ok(shapes.cycle, JSON.stringify(shapes));
  assert.match(legend, /Heroku's daily restart/);
  assert.deepEqual(wrong, []);
  await close();
});

test("crashes have marks of their own in the charts of hours and of days", async () => {
  for (const path of ["/apps/acme-blog/dynos/web.1", "/apps/acme-blog/types/web?range=24h"]) {
    const { page, wrong, close } = await open(path);
    // The app crashes every quarter of an hour or so, and a step of the chart of days lasts five minutes.
    for (const deadline = Date.now() + 90_000; await page.locator("path.crash").count() === 0;) {
      assert.ok(Date.now() < deadline, `no crash at ${path}`);
      await page.waitForTimeout(500);
      await page.reload();
    }
    const { shapes, legend, listed } = await marks(page);
    const alike = Object.keys(shapes).filter((kind) => shapes[kind] === shapes.crash);
    assert.deepEqual(alike, ["crash"], JSON.stringify(shapes));
    assert.match(legend, /Crashed/);
    assert.match(listed.join(), /crashed/);
    assert.deepEqual(wrong, []);
    await close();
  }
});

test("times are the reader's, with UTC as their title, and the pointer reads the chart", async () => {
  for (const path of pages) {
    const { page, wrong, close } = await open(`${path}?range=24h`, { timezoneId: "Asia/Kolkata", locale: "en-GB" });
    const plot = page.locator("section[aria-labelledby=memory-title] .plot");
    // All at once, because an update moves the axis.
    const time = plot.locator(".axis time").nth(1);
    const [utc, title, text] = await time.evaluate((time) => [time.dateTime, time.title, time.textContent]);
    assert.match(title, / UTC$/);
    const there = new Date(new Date(utc).getTime() + 5.5 * 3600 * 1000).toISOString().slice(11, 16);
    assert.ok(text.endsWith(there), `${text}: ${utc} is ${there} there`);
    // The page renews itself, which takes the reading away again.
    let read = "";
    for (let tries = 0; tries < 50 && !/% of the quota/.test(read); tries++) {
      const box = await plot.locator("svg").boundingBox();
      if (!box) continue;
      await page.mouse.move(box.x + box.width / 2 + tries % 2, box.y + box.height / 2);
      read = await plot.locator(".readout").textContent();
    }
    assert.match(read, /\d\d:\d\d: \d+ MB, \d+% of the quota/);
    // Half of a day ago, to within a few steps.
    const end = Number(await plot.getAttribute("data-end")) * 1000;
    const middle = new Date(end - 12 * 3600 * 1000 + 5.5 * 3600 * 1000).toISOString().slice(11, 16);
    const minutes = (clock) => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));
    const apart = Math.abs(minutes(/\d\d:\d\d/.exec(read)[0]) - minutes(middle));
    assert.ok(Math.min(apart, 1440 - apart) <= 20, `${read}: not about ${middle}`);
    // The other charts of the page have no readings, and pointing at them is no error.
    for (const other of await page.locator("svg.chart").all()) await other.hover({ force: true, timeout: 5000 }).catch(() => {});
    assert.deepEqual(wrong, []);
    await close();
  }
});

for (const [name, options] of [["desk", {}], ["phone", phone], ["dark", { colorScheme: "dark" }]]) {
  test(`charts of days are accessible and fit: ${name}`, async () => {
    for (const path of pages) {
      for (const range of ["24h", "14d"]) {
        const { page, wrong, close } = await open(`${path}?range=${range}`, options);
        await page.waitForSelector("#live");
        await page.evaluate(axe);
        const found = await page.evaluate(() => axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
        assert.deepEqual(found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" | ")}`), [], path);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${path} is ${wide} pixels wider than the window`);
        if (options.hasTouch) {
          const small = await page.locator("nav.ranges a").evaluateAll((all) => all.map((one) => one.getBoundingClientRect()).filter((box) => box.height < 43.5 || box.width < 43.5).length);
          assert.equal(small, 0, "a finger hits every range");
        }
        const weight = (await page.content()).length;
        assert.ok(weight < 100_000, `${path}?range=${range}: ${weight} characters`);
        assert.deepEqual(wrong, []);
        await close();
      }
    }
  });
}
