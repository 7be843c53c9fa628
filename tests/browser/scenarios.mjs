// What is done in the browser, by name; reads a task from stdin, writes what was seen to stdout.

import { createRequire } from "node:module";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const task = JSON.parse(Buffer.concat(chunks).toString("utf8"));
const { chromium } = createRequire(task.package)("playwright-core");

const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };

const browser = await chromium.launch({
  executablePath: task.browser,
  args: ["--no-sandbox", "--disable-dev-shm-usage"], // root has no sandbox
});
const trouble = [];

async function open({ viewport = DESKTOP, scheme = "light", locale = "en-US", ...more } = {}) {
  const context = await browser.newContext({ viewport, colorScheme: scheme, locale, ...more });
  const page = await context.newPage();
  page.on("pageerror", (error) => trouble.push(`page error: ${error}`));
  page.on("console", (message) => {
    // A refused key is told by its status; the browser notes that as an error of its own.
    if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) {
      trouble.push(`console: ${message.text()}`);
    }
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(task.url)) trouble.push(`foreign request: ${request.url()}`);
  });
  page.setDefaultTimeout(15000);
  await page.goto(`${task.url}/dashboard`);
  return page;
}

async function login(page, key = task.adminKey) {
  await page.fill("#admin-key", key);
  await page.click("#login button");
}

async function enter(options) {
  const page = await open(options);
  await login(page);
  await page.waitForSelector("#state.live");
  return page;
}

const text = (page, selector) => page.textContent(selector);
const texts = (page, selector) => page.$$eval(selector, (all) => all.map((e) => e.textContent));

const scenarios = {
  async pictures() {
    const { viewport, scheme, locale, scale = 1, mobile = false } = task;
    const page = await enter({ viewport, scheme, locale, deviceScaleFactor: scale, isMobile: mobile });
    await page.waitForFunction(() => document.querySelectorAll("#call-list tbody tr").length > 50);
    if (task.ask) {
      await page.fill("#client-key", task.clientKey);
      await page.fill("#message", task.ask);
      await page.click("#send");
      await page.waitForFunction(() => !document.getElementById("send").disabled);
    }
    for (const [selector, path] of task.stops) {
      // At once, whatever the page's own scrolling is like.
      await page.$eval(selector, (element) => element.scrollIntoView({ behavior: "instant" }));
      await page.screenshot({ path });
    }
    return {};
  },
  async door() {
    const page = await open({ viewport: task.viewport, scheme: task.scheme, locale: task.locale });
    await page.screenshot({ path: task.path });
    return {};
  },
};

try {
  const seen = await scenarios[task.scenario]();
  process.stdout.write(JSON.stringify({ ...seen, trouble }));
} catch (error) {
  process.stderr.write(`${error.stack}\n${trouble.join("\n")}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
