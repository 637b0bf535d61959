// Makes the README's pictures from the demo: `node screenshots.mjs DIRECTORY`.
import { browser as launch, demo as start, desk, phone } from "./demo.mjs";

const directory = process.argv[2] ?? "shots";
const [browser, demo] = await Promise.all([launch(), start()]);
// An hour and a half of the demo's time: leaks, restarts, and a dyno that is given up.
await demo.line(/acme-shop +web\.\d+ +back /);
await new Promise((done) => setTimeout(done, 75_000));
for (const [name, path, options] of [
  ["overview-light", "/", { ...desk, colorScheme: "light" }],
  ["overview-dark", "/", { ...desk, colorScheme: "dark" }],
  ["dyno", "/apps/acme-shop/dynos/web.1", { ...desk, colorScheme: "light" }],
  ["phone", "/", { ...phone, colorScheme: "light" }],
]) {
  const context = await browser.newContext({ ...options, httpCredentials: demo.credentials });
  const page = await context.newPage();
  await page.goto(demo.url + path);
  await page.waitForSelector('#live[data-state="on"]');
  await page.screenshot({ path: `${directory}/${name}.png` });
  await context.close();
}
await browser.close();
await demo.stop();
