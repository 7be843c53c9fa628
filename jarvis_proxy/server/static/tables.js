// Tables. Every text goes in as a text node, so nothing that a name holds can become markup.

import { REASONS } from "./reasons.js";
import { dollars, duration, language, number, share, timeOfDay, words } from "./words.js";

/** Make an element; children are nodes or texts. */
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Put a table into holder; columns: {label, cell, kind}, cell gives a text or a node. */
export function fill(holder, columns, rows, empty) {
  if (!rows.length) {
    holder.replaceChildren(make("p", "none", empty));
    return;
  }
  const body = make("tbody", "", ...rows.map((row) => line(columns, row)));
  const table = holder.querySelector("table");
  if (table && table.tHead.rows[0].cells.length === columns.length) table.tBodies[0].replaceWith(body);
  else holder.replaceChildren(make("table", "", head(columns), body));
}

function head(columns) {
  const cells = columns.map(({ label, kind }) => make("th", kind ?? "", label));
  return make("thead", "", make("tr", "", ...cells));
}

function line(columns, row) {
  return make("tr", "", ...columns.map(({ cell, kind }) => {
    const content = cell(row);
    const made = make("td", kind ?? "", content);
    if (kind?.startsWith("name")) made.title = made.textContent;
    return made;
  }));
}

function known(name) {
  return name === "-" ? make("span", "soft", words.none) : name === "other" ? words.other : name;
}

/** The columns of sums, for keys, models or upstreams; wide ones have everything. */
export function sumColumns(label, wide) {
  const columns = [
    { label, kind: "name", cell: (row) => known(row.name) },
    { label: words.count, kind: "n", cell: (row) => number(row.calls) },
    { label: words.shareFailed, kind: "n", cell: (row) => failed(row) },
    { label: words.openShort, kind: "n narrow-off", cell: (row) => number(row.open) },
    { label: `${words.ttfbShort} p50`, kind: "n", cell: (row) => duration(row.ttfb[0]) },
    { label: words.p90, kind: "n narrow-off", cell: (row) => duration(row.ttfb[1]), wide: true },
    { label: `${words.msShort} p50`, kind: "n", cell: (row) => duration(row.ms[0]) },
    { label: words.p90, kind: "n narrow-off", cell: (row) => duration(row.ms[1]), wide: true },
    { label: words.tokensIn, kind: "n narrow-off", cell: (row) => number(row.prompt) },
    { label: words.tokensOut, kind: "n narrow-off", cell: (row) => number(row.completion) },
    { label: words.cost, kind: "n narrow-off", cell: (row) => dollars(row.cost), wide: true },
  ];
  return columns.filter((column) => wide || !column.wide);
}

function failed(row) {
  const text = share(row.errors, row.calls);
  return row.errors ? make("span", "bad", text) : make("span", "soft", text);
}

export const causeColumns = [
  { label: words.cause, kind: "name", cell: (row) => (/^\d+$/.test(row.code) ? `HTTP ${row.code}` : row.code) },
  { label: words.status, cell: (row) => outcome(row.outcome) },
  { label: words.count, kind: "n", cell: (row) => number(row.calls) },
];

function outcome(name) {
  const mild = name === "ok" || name === "client_closed";
  return make("span", mild ? "soft" : "bad", words.outcomes[name] ?? name);
}

export const healthColumns = [
  { label: words.upstream, kind: "name", cell: (row) => row.name },
  { label: words.state, kind: "wrap", cell: (row) => state(row) },
  { label: words.upstreamKeys, kind: "wrap", cell: (row) => keys(row) },
];

function state(row) {
  if (row.circuit_open) return make("span", "bad", words.circuitOpen);
  if (row.name !== "jarvis" && !row.keys.length) return make("span", "soft", words.noKey);
  if (row.models_with_open_circuit) return make("span", "warn", words.modelsWithOpenCircuit(row.models_with_open_circuit));
  return row.is_stale ? make("span", "warn", words.stale) : words.healthy;
}

function keys(row) {
  if (row.name === "jarvis") return make("span", "soft", words.needsNoKey);
  const resting = row.keys.filter((seconds) => seconds > 0);
  const dots = make("span", "dots", ...row.keys.slice(0, 24).map((seconds) => (
    make("i", seconds > 0 ? "resting" : "")
  )));
  if (!resting.length) return make("span", "", dots, ` ${row.keys.length || ""}`);
  const longest = Math.max(...resting);
  return make("span", "", dots, " ", words.keysRest(
    resting.length, row.keys.length, longest < 60 ? `${longest} s` : duration(1000 * longest),
  ));
}

const callColumns = [
  { label: words.time, cell: (call) => timeOfDay(call.at) },
  { label: words.key, kind: "name short narrow-off", cell: (call) => known(call.key) },
  { label: words.model, kind: "name", cell: (call) => modelAndKey(call) },
  { label: words.upstream, kind: "name short narrow-off", cell: (call) => known(call.upstream) },
  { label: words.status, kind: "status", cell: (call) => status(call) },
  { label: words.ttfbShort, kind: "n narrow-off", cell: (call) => duration(call.ttfb) },
  { label: words.msShort, kind: "n", cell: (call) => duration(call.ms) },
  { label: words.tokensIn, kind: "n narrow-off", cell: (call) => number(call.prompt) },
  { label: words.tokensOut, kind: "n narrow-off", cell: (call) => number(call.completion) },
  { label: words.cost, kind: "n narrow-off", cell: (call) => dollars(call.cost) },
  { label: words.attempts, kind: "n narrow-off", cell: (call) => number(call.attempts) },
];

/** The model and, next to it, what it stands for; on a phone the key is below, not in a column. */
function modelAndKey(call) {
  const isNamed = call.model !== "-", key = make("small", "narrow-on", known(call.key));
  const model = isNamed ? call.model : make("span", "soft", call.route || words.none);
  const renamed = isNamed && call.target !== "-" && !call.model.endsWith(call.target);
  return make("span", "", model, renamed ? make("small", "narrow-off", ` ${call.target}`) : "", key);
}

function status(call) {
  if (call.outcome === "ok") return String(call.status);
  const mild = call.outcome === "client_closed";
  const why = mild ? words.outcomes.client_closed : call.code || words.outcomes[call.outcome];
  return make("span", mild ? "soft" : "bad", `${call.status} ${why}`);
}

/** One sentence on why a call failed, and where docs/errors says more; null if it did not fail. */
function why(call) {
  if (call.outcome === "ok") return null;
  const reasons = REASONS[language];
  if (!Object.hasOwn(reasons, call.code)) return words.whys[call.outcome] ?? null;
  const link = make("a", "", `docs/errors#${call.code}`);
  link.href = `${words.errorsPage}#${call.code}`;
  link.target = "_blank";
  link.rel = "noopener";
  return make("span", "", reasons[call.code], " ", link);
}

/** The last calls, newest first. Rows that are there stay, so that text can be marked and copied. */
export class CallList {
  constructor(holder) {
    this.body = make("tbody", "");
    this.holder = holder;
    this.calls = [];
    this.keeps = 200;
    this.shows = () => true;
    this.held = false;
    this.draw();
  }

  reset(keeps) {
    this.calls = [];
    this.keeps = keeps;
    if (!this.held) this.draw();
  }

  add(calls) {
    this.calls.unshift(...calls.toReversed());
    this.calls.length = Math.min(this.calls.length, this.keeps);
    if (this.held) return;
    if (!this.body.isConnected) return this.draw();
    this.body.prepend(...calls.filter(this.shows).toReversed().flatMap((call) => this.rows(call)));
    const oldest = this.calls.at(-1)?.n ?? 0;
    while (this.body.lastChild && Number(this.body.lastChild.dataset.n) < oldest) {
      this.body.lastChild.remove();
    }
  }

  draw() {
    const shown = this.calls.filter(this.shows);
    this.body.replaceChildren(...shown.flatMap((call) => this.rows(call)));
    this.holder.replaceChildren(shown.length
      ? make("table", "", head(callColumns), this.body) : make("p", "none", words.nothing));
  }

  /** The row of a call; below that of a failed one, why it failed. */
  rows(call) {
    const row = line(callColumns, call), sentence = why(call), all = [row];
    if (sentence) {
      const cell = make("td", "wrap soft", sentence);
      cell.colSpan = callColumns.length;
      all.push(make("tr", "why", cell));
      row.className = "failed";
    }
    for (const each of all) each.dataset.n = call.n;
    return all;
  }

  get shown() {
    return this.body.isConnected ? this.body.querySelectorAll("tr:not(.why)").length : 0;
  }
}

/** A filter of calls by words that must all be in their names, codes or outcome. */
export function filterOf(text, onlyFailed) {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (call) => {
    if (onlyFailed && call.outcome === "ok") return false;
    if (!wanted.length) return true;
    const all = [call.key, call.model, call.target, call.upstream, call.route, call.status,
      call.code, call.outcome].join(" ").toLowerCase();
    return wanted.every((word) => all.includes(word));
  };
}
