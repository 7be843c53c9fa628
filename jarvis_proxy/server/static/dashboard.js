// The dashboard: asks for the admin key, reads the events, shows the numbers.
//
// The key stays in this tab's session storage and goes out in a header only.

import { Chart } from "./charts.js";
import * as clients from "./clients.js";
import * as playground from "./playground.js";
import { ask, isKey, serverEvents } from "./stream.js";
import { CallList, causeColumns, fill, filterOf, healthColumns, sumColumns } from "./tables.js";
import * as usage from "./usage.js";
import { dayAndTime, duration, number, rate, share, translate, words } from "./words.js";

const KEY = "jarvis-admin-key";
const WINDOW = 300;
const RATE_OVER = 10;
const SILENCE = 6000;
const LONGEST_WAIT = 10000;
const AWAY = 30000;

const get = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

translate(document);

const charts = {
  calls: new Chart(get("chart-calls"), [
    { label: words.requests, colour: "accent", fill: "tint" },
    { label: words.errors, colour: "bad", fill: "bad", bars: true },
  ]),
  tokens: new Chart(get("chart-tokens"), [
    { label: words.completion, colour: "accent", fill: "tint" },
    { label: words.prompt, colour: "soft" },
  ]),
};
const columns = {
  models: sumColumns(words.model, true),
  keys: sumColumns(words.key, false),
  upstreams: sumColumns(words.upstream, false),
};
const callList = new CallList(get("call-list"));
let seconds = new Map();

// -- the connection ----------------------------------------------------------------------------

let connection = null;

/** Show the board for as long as the key is right. */
async function watch(key) {
  connection?.abort();
  const mine = new AbortController();
  connection = mine;
  let wait = 500;
  while (!mine.signal.aborted) {
    const outcome = await readEvents(key, mine.signal);
    if (mine.signal.aborted) return;
    if (outcome === "refused" || outcome === "limited") {
      forget(outcome === "refused" ? words.wrongKey : words.tooMany);
      return;
    }
    wait = outcome === "ended" ? 500 : Math.min(wait * 2, LONGEST_WAIT);
    say("lost", words.lost, { crowded: words.crowded, unreachable: words.unreachable }[outcome]);
    await sleep(wait);
  }
}

/** Read events until they end; say how they did. */
async function readEvents(key, given) {
  const silence = new AbortController();
  const signal = AbortSignal.any([given, silence.signal]);
  let timer = setTimeout(() => silence.abort(), SILENCE);
  let outcome = "unreachable";
  try {
    const response = await ask("dashboard/events", key, { signal });
    if (response.status === 401 || response.status === 404) return "refused";
    if (response.status === 429) return "limited";
    if (!response.ok) return response.status === 503 ? "crowded" : "unreachable";
    outcome = "ended";
    sessionStorage.setItem(KEY, key);
    openBoard();
    clients.load(key);
    for await (const { event, data } of serverEvents(response.body)) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE);
      handlers[event]?.(JSON.parse(data));
    }
  } catch (error) {
    if (!(error instanceof TypeError) && error.name !== "AbortError") throw error;
  } finally {
    clearTimeout(timer);
  }
  return outcome;
}

function forget(reason) {
  connection?.abort();
  sessionStorage.removeItem(KEY);
  get("admin-key").value = "";
  get("board").hidden = get("nav").hidden = true;
  get("door").hidden = false;
  get("about").textContent = "";
  say("", "");
  get("refused").textContent = reason;
  get("admin-key").focus();
}

function openBoard() {
  get("refused").textContent = get("admin-key").value = "";
  get("door").hidden = true;
  get("board").hidden = get("nav").hidden = false;
}

function say(state, text, more) {
  get("state").className = state;
  get("state").textContent = more ?? text;
  if (!get("door").hidden) get("refused").textContent = more ?? "";
}

// -- the events --------------------------------------------------------------------------------

const handlers = {
  history(history) {
    seconds = new Map(history.seconds.map((second) => [second.t, second]));
    callList.reset(history.keeps);
    get("about").textContent = words.about(history.version, dayAndTime(history.started_at));
    showSeconds(history.clock);
  },
  calls(calls) {
    callList.add(calls);
    countCalls();
  },
  snapshot(snapshot) {
    say("live", words.live);
    for (const second of snapshot.seconds) seconds.set(second.t, second);
    showSeconds(snapshot.clock);
    callList.add(snapshot.calls);
    countCalls();
    showTotals(snapshot.totals);
    fill(get("health"), healthColumns, snapshot.upstreams, words.nothing);
  },
  usage: usage.show,
};

/** Draw the last minutes, every second of them; those that are not there had nothing. */
function showSeconds([now, epoch]) {
  const last = Math.floor(now) - 1, shift = Math.round(epoch - now);
  const times = [], rows = [];
  for (let t = last - WINDOW + 1; t <= last; t++) {
    times.push(t + shift);
    rows.push(seconds.get(t) ?? { calls: 0, errors: 0, prompt: 0, completion: 0 });
  }
  for (const t of seconds.keys()) if (t <= last - WINDOW) seconds.delete(t);
  const column = (name) => rows.map((row) => row[name]);
  charts.calls.set([times, column("calls"), column("errors")]);
  charts.tokens.set([times, column("completion"), column("prompt")]);
  const lately = (name) => column(name).slice(-RATE_OVER).reduce((a, b) => a + b, 0) / RATE_OVER;
  get("rate").textContent = rate(lately("calls"));
  get("tokens").textContent = rate(lately("prompt") + lately("completion"));
}

function showTotals({ all, ...groups }) {
  const [ttfb, ms] = [all.ttfb, all.ms];
  const set = (id, text) => { get(id).textContent = text; };
  set("rate-more", words.rateMore(number(all.calls)));
  set("tokens-more", words.tokensMore(number(all.prompt), number(all.completion)));
  set("open", number(all.open));
  set("open-more", groups.upstreams.filter((row) => row.open)
    .map((row) => `${row.name === "-" ? words.none : row.name} ${row.open}`).join(" · "));
  set("failed", share(all.errors, all.calls));
  get("failed").classList.toggle("bad", all.errors > 0);
  set("failed-more", words.failedMore(number(all.errors)));
  set("ttfb", duration(ttfb[0]));
  set("ttfb-more", words.percentiles(duration(ttfb[1]), duration(ttfb[2])));
  set("ms", duration(ms[0]));
  set("ms-more", words.percentiles(duration(ms[1]), duration(ms[2])));
  for (const name of ["models", "keys", "upstreams"]) {
    fill(get(name), columns[name], groups[name], words.nothing);
  }
  fill(get("causes"), causeColumns, groups.causes, words.noErrors);
}

function countCalls() {
  const { shown, calls } = callList;
  get("calls-count").textContent = words.callsShown(number(shown), number(calls.length));
}

// -- the controls ------------------------------------------------------------------------------

get("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = get("admin-key").value.trim();
  if (isKey(key)) watch(key);
  else forget(words.wrongKey);
});
get("leave").addEventListener("click", () => forget(""));

for (const id of ["filter", "only-failed"]) {
  get(id).addEventListener("input", () => {
    callList.shows = filterOf(get("filter").value, get("only-failed").checked);
    callList.draw();
    countCalls();
  });
}
get("hold").addEventListener("change", () => {
  callList.held = get("hold").checked;
  if (!callList.held) callList.draw();
});

// A tab that nobody sees gives its place away, and takes it again.
let away = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(away);
  const key = sessionStorage.getItem(KEY);
  if (document.hidden) away = setTimeout(() => connection?.abort(), AWAY);
  else if (key && connection?.signal.aborted) watch(key);
});

playground.start();
const kept = sessionStorage.getItem(KEY);
if (kept) watch(kept);
else get("admin-key").focus();
