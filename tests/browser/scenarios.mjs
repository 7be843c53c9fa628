// What is done in the browser, by name; reads a task from stdin, writes what was seen to stdout.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const task = JSON.parse(Buffer.concat(chunks).toString("utf8"));
const { chromium } = createRequire(task.package)("playwright-core");

const DESKTOP = { width: 1280, height: 900 };

const browser = await chromium.connect(task.browser);
const trouble = [];

async function open({ viewport = DESKTOP, scheme = "light", locale = "en-US", init, ...more } = {}) {
  const context = await browser.newContext({ viewport, colorScheme: scheme, locale, ...more });
  const page = await context.newPage();
  if (init) await page.addInitScript(init);
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

/** Where a key could be found by someone who comes after, or by another site. */
async function whereKeysAre(page) {
  return page.evaluate(async () => ({
    session: Object.values(sessionStorage), local: localStorage.length, cookies: document.cookie,
    address: location.href, databases: (await indexedDB.databases()).length,
  }));
}

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

  /** A wrong key, then the right one, a reload, a way out: and where the key is meanwhile. */
  async login() {
    const page = await open();
    const before = { board: await page.isVisible("#board"), door: await page.isVisible("#door") };
    await login(page, task.wrongKey);
    await page.waitForFunction(() => document.getElementById("refused").textContent !== "");
    const wrong = { said: await text(page, "#refused"), board: await page.isVisible("#board"),
      kept: await page.evaluate(() => sessionStorage.length) };
    await login(page, "schlüssel");
    const odd = await text(page, "#refused");
    await login(page);
    await page.waitForSelector("#state.live");
    const inside = { ...await whereKeysAre(page), field: await page.inputValue("#admin-key"),
      door: await page.isVisible("#door") };
    await page.reload();
    await page.waitForSelector("#state.live");
    await page.click("#leave");
    const outside = { ...await whereKeysAre(page), board: await page.isVisible("#board") };
    await page.reload();
    const after = await page.isVisible("#login");
    return { before, wrong, odd, inside, outside, after };
  },

  /** The numbers at one moment and when more calls have ended. */
  async numbers() {
    const page = await enter();
    const read = () => page.evaluate(() => ({
      calls: Number(document.getElementById("rate-more").textContent.split(" ")[0]),
      rate: Number(document.getElementById("rate").textContent),
      tokens: document.getElementById("tokens").textContent,
      ttfb: document.getElementById("ttfb").textContent,
      first: Number(document.querySelector("#call-list tbody tr").dataset.n),
    }));
    await page.waitForFunction(() => document.querySelectorAll("#call-list tbody tr").length > 2);
    await page.waitForFunction(() => document.getElementById("rate-more").textContent);
    const first = await read();
    await page.waitForFunction((calls) => (
      Number(document.getElementById("rate-more").textContent.split(" ")[0]) > calls + 3
    ), first.calls);
    const second = await read();
    const tables = {};
    for (const id of ["models", "keys", "upstreams", "causes", "health", "by-day"]) {
      tables[id] = await texts(page, `#${id} tbody td:first-child`);
    }
    const ink = await page.$$eval("#now ~ .charts canvas", (all) => all.map((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    }));
    await page.fill("#filter", "invalid_json");
    const filtered = await texts(page, "#call-list tbody tr");
    return { first, second, tables, ink, filtered };
  },

  /** What the charts write beside their axes, and what the tables say of costs. */
  async axes() {
    const page = await enter({
      init: () => {
        window.drawn = [];
        const { fillText } = CanvasRenderingContext2D.prototype;
        CanvasRenderingContext2D.prototype.fillText = function draw(text, ...more) {
          window.drawn.push(text);
          return fillText.call(this, text, ...more);
        };
      },
    });
    await page.waitForFunction(
      (calls) => document.querySelectorAll("#call-list tbody tr td.n").length >= calls, task.calls,
    );
    const cells = {};
    for (const id of ["models", "keys", "upstreams", "by-day", "by-key", "call-list"]) {
      cells[id] = await texts(page, `#${id} tbody td`);
    }
    const charts = await texts(page, ".chart");
    return { drawn: await page.evaluate(() => window.drawn), cells, charts };
  },

  /** Why calls failed, by code, and what is at the link behind it. */
  async whys() {
    const page = await enter({ locale: task.locale });
    await page.waitForFunction(
      (count) => document.querySelectorAll("#call-list tr.why").length >= count, task.count,
    );
    const said = await texts(page, "#call-list tr.why");
    const [shown] = await Promise.all([
      page.context().waitForEvent("page"), page.click("#call-list tr.why a"),
    ]);
    await shown.waitForSelector(":target");
    return { said, target: await text(shown, ":target"), title: await shown.title(),
      at: await shown.evaluate(() => location.pathname), count: await text(page, "#calls-count") };
  },

  /** The settings of each client, what is copied of them, and the budgets' bars. */
  async clients() {
    const page = await enter({ locale: task.locale, permissions: ["clipboard-read", "clipboard-write"] });
    await page.waitForSelector("#guide pre");
    const names = await texts(page, "#client option"), shown = {};
    for (const id of await page.$$eval("#client option", (all) => all.map((each) => each.value))) {
      await page.selectOption("#client", id);
      shown[id] = await text(page, "#guide");
    }
    await page.selectOption("#client", "codex");
    await page.click("#guide button");
    await page.waitForFunction((said) => (
      document.querySelector("#guide button").textContent === said
    ), task.copied);
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    await page.waitForSelector("#budgets progress");
    const bars = await page.$$eval("#budgets progress", (all) => all.map((bar) => (
      [bar.position, bar.className, bar.ariaLabel]
    )));
    return { names, shown, copied, bars };
  },

  /** What messages to models look like at every moment, one after the other. */
  async ask() {
    const page = await enter();
    await page.evaluate(() => {
      window.seen = [];
      new MutationObserver(() => window.seen.push([
        document.getElementById("thoughts-text").textContent,
        document.getElementById("answer-text").textContent,
      ])).observe(document.getElementById("answer"), { subtree: true, childList: true });
    });
    const answers = [];
    const api = await page.inputValue("#api");
    for (const { key, model, message, stopAt, api, think } of task.asks) {
      if (api) await page.selectOption("#api", api);
      await page.setChecked("#think", think);
      await page.fill("#client-key", key);
      await page.fill("#model", model);
      await page.fill("#message", message);
      await page.click("#send");
      if (stopAt) {
        await page.waitForFunction((wanted) => (
          document.getElementById("answer-text").textContent.includes(wanted)
        ), stopAt);
        await page.click("#stop");
      }
      await page.waitForFunction(() => !document.getElementById("send").disabled);
      answers.push({
        seen: await page.evaluate(() => window.seen.splice(0)),
        thoughts: await page.isVisible("#thoughts-text"),
        facts: await text(page, "#answer-facts"),
        error: await text(page, "#answer-error"),
        request: await text(page, "#request-text"),
      });
    }
    return { api, answers, ...await whereKeysAre(page) };
  },

  /** Names, codes, messages and answers that are markup: what became of them. */
  async markup() {
    const page = await enter();
    await page.waitForFunction(() => document.querySelectorAll("#call-list tbody tr").length > 0);
    await page.waitForSelector("#models tbody td");
    await page.fill("#client-key", task.clientKey);
    await page.dispatchEvent("#client-key", "change");
    await page.waitForFunction(() => document.querySelectorAll("#model-names option").length > 0);
    const answers = [];
    for (const model of task.models) {
      await page.fill("#model", model);
      await page.fill("#message", task.payload);
      await page.click("#send");
      await page.waitForFunction(() => !document.getElementById("send").disabled);
      answers.push(await text(page, "#answer"));
    }
    return {
      answers,
      models: await texts(page, "#models tbody td:first-child"),
      keys: await texts(page, "#keys tbody td:first-child"),
      causes: await texts(page, "#causes tbody td:first-child"),
      calls: await texts(page, "#call-list tbody tr"),
      offered: await page.$$eval("#model-names option", (all) => all.map((one) => one.value)),
      strangers: (await page.$$("main :is(img, script, iframe, svg, a)")).length,
      ran: await page.evaluate(() => "ran" in window),
      assignment: await page.evaluate(() => {
        try {
          document.body.innerHTML = "<b>x</b>";
          return "allowed";
        } catch (error) {
          return error.name;
        }
      }),
    };
  },

  /** How wide everything is, on each of the screens. */
  async widths() {
    const found = [];
    for (const [width, locale, scheme] of task.screens) {
      const isMobile = width < 500;
      const viewport = { width, height: isMobile ? 844 : 900 };
      const page = await enter({ viewport, isMobile, hasTouch: isMobile, locale, scheme });
      await page.waitForFunction(() => document.querySelectorAll("#call-list tbody tr").length > 9);
      await page.waitForSelector("#by-day tbody td");
      found.push(await page.evaluate(() => {
        const shown = (selector) => [...document.querySelectorAll(selector)].filter((element) => (
          element.checkVisibility()
        ));
        const beyond = (element) => element.getBoundingClientRect().right > innerWidth + 0.5;
        const scrolls = (element) => element.scrollWidth > element.clientWidth + 1;
        const fontSize = (element) => parseFloat(getComputedStyle(element).fontSize);
        return {
          send: document.getElementById("send").textContent,
          ground: getComputedStyle(document.body).backgroundColor,
          width: document.documentElement.scrollWidth,
          beyond: shown("main *:not(option)").filter(beyond).slice(0, 5)
            .map((element) => element.outerHTML.slice(0, 200)),
          scrolls: shown(".wide").filter(scrolls).map((element) => `${element.id} ${element.scrollWidth - element.clientWidth}`),
          small: shown("input:not([type=checkbox]), select, textarea")
            .filter((element) => fontSize(element) < 16).map((element) => element.id),
        };
      }));
      const address = locale === "zh-CN" ? "errors.zh-CN.html" : "errors.html";
      await page.goto(`${task.url}/dashboard/${address}`);
      await page.waitForSelector("h1");
      found.at(-1).errors = await page.evaluate(() => ({
        width: document.documentElement.scrollWidth,
        beyond: [...document.querySelectorAll("body *")]
          .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
          .slice(0, 5).map((element) => element.outerHTML.slice(0, 200)),
        ground: getComputedStyle(document.body).backgroundColor,
      }));
      await page.context().close();
    }
    return { found };
  },

  /** The serious faults that axe-core finds at the door, on the board and on the page of errors. */
  async faults() {
    const source = await readFile(task.axe, "utf8"), found = [];
    const check = async (page, place) => {
      await page.evaluate(source);
      const { violations, passes } = await page.evaluate(() => window.axe.run());
      found.push({ place, passes: passes.length, faults: violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => [id, ...nodes.slice(0, 4).map(({ html, failureSummary }) => (
          `${html.slice(0, 150)} ${failureSummary}`
        ))]) });
    };
    for (const [width, locale, scheme] of task.screens) {
      const page = await open({ viewport: { width, height: 844 }, locale, scheme });
      await check(page, `door ${width}`);
      await login(page);
      await page.waitForSelector("#call-list tr.why a");
      await page.waitForSelector("#guide pre");
      await page.waitForSelector("#by-day tbody td");
      await page.fill("#client-key", task.clientKey);
      await page.fill("#message", "Hello");
      await page.click("#ask summary");
      await page.click("#send");
      await page.waitForFunction(() => !document.getElementById("send").disabled);
      await check(page, `board ${width}`);
      const address = locale === "zh-CN" ? "errors.zh-CN.html" : "errors.html";
      await page.goto(`${task.url}/dashboard/${address}`);
      await check(page, `errors ${width}`);
      await page.context().close();
    }
    return { found };
  },

  /** The words at the door, for browsers of several languages. */
  async languages() {
    const found = {};
    for (const locale of task.locales) {
      const page = await open({ locale });
      found[locale] = [await page.getAttribute("html", "lang"), await text(page, "#login button")];
      await page.context().close();
    }
    return { found };
  },

  /** A page of another site that uses OpenAI's SDK: what it may ask, and what it may read. */
  async another_site() {
    const page = await (await browser.newContext()).newPage();
    page.on("pageerror", (error) => trouble.push(`page error: ${error}`));
    await page.goto(task.url);
    return page.evaluate(async ({ proxy, key, models }) => {
      const { default: OpenAI } = await import("/openai/index.mjs");
      const make = (apiKey) => new OpenAI({
        baseURL: `${proxy}/v1`, apiKey, maxRetries: 0, dangerouslyAllowBrowser: true,
      });
      const client = make(key);
      const messages = [{ role: "user", content: "How is the weather?" }];
      const told = { origin: location.origin, texts: {}, errors: {} };
      for (const model of models) {
        const { data, response } = await client.chat.completions
          .create({ model, messages, stream: true }).withResponse();
        let text = "";
        for await (const chunk of data) text += chunk.choices[0]?.delta?.content ?? "";
        told.texts[model] = text;
        told.id = response.headers.get("x-request-id");
      }
      told.models = (await client.models.list()).data.map((model) => model.id);
      const fail = async (name, call) => {
        try {
          await call();
        } catch (error) {
          told.errors[name] = [error.status ?? null, error.code ?? error.constructor.name];
        }
      };
      await fail("wrong key", () => make("wrong").models.list());
      await fail("wrong place", () => client.embeddings.create({ model: "jarvis-echo", input: "x" }));
      return told;
    }, task);
  },

  /** What the page says while the events are gone, and that it finds back. */
  async recovery() {
    const page = await enter();
    await page.evaluate(() => {
      const state = document.getElementById("state");
      window.states = [state.textContent];
      new MutationObserver(() => {
        if (window.states.at(-1) !== state.textContent) window.states.push(state.textContent);
      }).observe(state, { childList: true });
    });
    process.stdout.write("inside\n");
    await page.waitForFunction(() => window.states.length >= 3);
    return { states: await page.evaluate(() => window.states), rows: (await texts(page, "#call-list tbody tr:not(.why)")).length };
  },
};

try {
  const seen = await scenarios[task.scenario]();
  process.stdout.write(JSON.stringify({ ...seen, trouble }));
} catch (error) {
  process.stderr.write(`${error.stack}\n${trouble.join("\n")}\n`);
  process.exitCode = 1;
} finally {
  await browser.close(); // what this scenario opened; others have pages of their own
}
