// Two questions at night, "what happened?" and "must I do something?": the first screen of the page, the message and
// `history` answer them alike.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browser as launch, demo as start, phone, program, serve } from "./demo.mjs";

let browser, heroku;
before(async () => { [browser, heroku] = await Promise.all([launch(), start({ speed: 1 })]); });
after(async () => { await browser?.close(); await heroku?.stop(); });

/** A server on this machine; `answer(path, body)` gives the status and the text. */
async function server(answer) {
  const open = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => { body += part; });
    request.on("end", () => {
      const [status, text] = answer(request.url, body);
      response.writeHead(status, { "content-type": "application/json" }).end(text);
    });
  });
  await new Promise((ready) => open.listen(0, "127.0.0.1", ready));
  return { url: `http://127.0.0.1:${open.address().port}`, close: () => open.close() };
}

const lights = (apps, data) => JSON.stringify({ status: [{ system: "Apps", status: apps }, { system: "Data", status: data }] });

const reject = () => [401, JSON.stringify({ id: "unauthorized", message: "Invalid credentials provided." })];

for (const { name, env = {}, api, page: [verdict, step], message, past } of [
  {
    name: "a rejected token", api: reject,
    page: [/^Restarts are off: Heroku rejects the API token \(401\)/, /^What to do: set HEROKU_API_KEY to a new token, and restart dynowarden: heroku authorizations:create/],
    message: /Heroku rejects the API token \(401\): restarts are off for all apps/,
    past: /restarts are off: cannot check with Heroku: Heroku rejects the API token/,
  },
  {
    name: "a red status page", env: { status: lights("red", "green") },
    page: [/^Restarts are off: Heroku's status page shows its system Apps red$/, /^Nothing to do: restarts resume when https:\/\/status\.heroku\.com no longer shows Apps red$/],
    message: /Heroku's status page shows Apps red: restarts are off/,
    past: /restarts are off: Heroku's status page shows its system Apps red/,
  },
  {
    name: "a dry run", env: { DYNOWARDEN_DRY_RUN: "true", status: lights("yellow", "red") },
    page: [/dry run: nothing will be restarted$/, /^What to do: restart it by hand if it needs that, because this is a dry run: heroku ps:restart web\.1 -a acme-pay$/],
    message: /acme-pay web\.1: would be restarted for R14/,
    past: /acme-pay web\.1 would have been restarted/,
  },
]) {
  test(`page, message and history agree: ${name}`, async () => {
    const messages = [], dir = mkdtempSync(join(tmpdir(), "night-"));
    const slack = await server((_, body) => { messages.push(JSON.parse(body)); return [200, "ok"]; });
    const { status, ...rest } = env;
    const other = api && await server(api), page_of_heroku = status && await server(() => [200, status]);
    const settings = {
      ...rest, DATABASE_URL: `sqlite://${dir}/history.db`,
      DYNOWARDEN_NOTIFY: `[{type="slack", url="${slack.url}/", group="0s"}]`,
      ...(page_of_heroku && { DYNOWARDEN_HEROKU__STATUS_URL: page_of_heroku.url }),
    };
    const daemon = await serve(other ? other.url : heroku.api, "acme-pay", settings);
    const context = await browser.newContext({ ...phone, javaScriptEnabled: false, httpCredentials: daemon.credentials });
    const page = await context.newPage();
    await page.goto(`${daemon.url}/`);
    let told = "";
    for (let tries = 0; !step.test(told); tries += 1) {
      assert.ok(tries < 60, `${told} on a page that begins with ${await page.textContent(".verdict")}`);
      if (tries % 5 === 0) await daemon.post("web.1");
      await new Promise((soon) => setTimeout(soon, 250));
      await page.goto(`${daemon.url}/`);
      told = await page.locator(".todo").count() ? await page.textContent(".todo") : "";
    }
    assert.match(await page.textContent(".verdict"), verdict);
    const box = await page.locator(".todo").boundingBox();
    assert.ok(box.y + box.height < phone.viewport.height, "it is on the first screen of a phone");
    const texts = () => messages.map((sent) => sent.blocks.map((block) => block.text?.text ?? "").join("\n"));
    for (let tries = 0; !texts().some((text) => message.test(text)); tries += 1) {
      assert.ok(tries < 100, texts().join("\n"));
      await new Promise((soon) => setTimeout(soon, 100));
    }
    assert.ok(texts().some((text) => text.includes(told)), `${told}\nin\n${texts().join("\n")}`);
    // The store writes a moment later.
    let history = "";
    for (let tries = 0; !past.test(history); tries += 1) {
      assert.ok(tries < 50, history);
      await new Promise((soon) => setTimeout(soon, 100));
      history = await new Promise((done) => execFile(program, ["history"], { env: settings }, (_, out, asides) => done(asides)));
    }
    const bare = told.replace(/^(What|Nothing) to do: /, "");
    assert.ok(history.startsWith(told.startsWith("What") ? "What to do" : "Nothing to do") && history.includes(bare), history);
    await context.close();
    await daemon.stop();
    for (const one of [slack, other, page_of_heroku]) one?.close();
    rmSync(dir, { recursive: true });
  });
}
