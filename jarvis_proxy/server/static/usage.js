// Usage and cost by day and by key.

import { Chart } from "./charts.js";
import { fill, make } from "./tables.js";
import { dollars, number, words } from "./words.js";

const get = (id) => document.getElementById(id);

const allDayColumns = [
  { label: words.day, kind: "day", cell: (row) => row.name },
  { label: words.count, kind: "n", cell: (row) => number(row.calls) },
  { label: words.tokensIn, kind: "n", cell: (row) => number(row.prompt) },
  { label: words.tokensOut, kind: "n", cell: (row) => number(row.completion) },
  { label: words.cost, kind: "n", cell: (row) => dollars(row.cost) },
  { label: words.unpriced, kind: "n", cell: (row) => number(row.unpriced) },
];

const keyColumns = [
  { label: words.key, kind: "name", cell: (row) => row.name },
  { label: words.count, kind: "n", cell: (row) => number(row.calls) },
  { label: words.thisMonth, kind: "n", cell: (row) => dollars(row.cost) },
];

const budgetColumns = [
  { label: words.budget, kind: "name", cell: (row) => row.key },
  { label: words.used, kind: "wrap", cell: (row) => budget(row) },
];

const chart = new Chart(get("chart-usage"), [
  { label: words.cost, colour: "accent", fill: "accent" },
], { days: true, value: dollars, empty: words.noCost });

function budget({ unit, period, amount, spent }) {
  const show = unit === "USD" ? dollars : number;
  const text = words.budgetOf(show(spent), show(amount), words.periods[period]);
  const bar = make("progress", spent >= amount ? "over" : "");
  bar.max = amount;
  bar.value = Math.min(spent, amount);
  bar.ariaLabel = text;
  return make("div", "budget", bar, make("span", spent >= amount ? "bad" : "", text));
}

/** Show what the usage event tells. */
export function show({ days, keys, budgets }) {
  // The last column matters only where there is something in it.
  const dayColumns = days.some((day) => day.unpriced) ? allDayColumns : allDayColumns.slice(0, -1);
  fill(get("by-day"), dayColumns, days.toReversed(), words.noUsage);
  fill(get("by-key"), keyColumns, keys, words.noUsage);
  fill(get("budgets"), budgetColumns, budgets, "");
  get("budgets").hidden = !budgets.length;
  const cost = new Map(days.map((day) => [Date.parse(day.name) / 1000, day.cost]));
  const last = Math.floor(Date.now() / 86400000) * 86400;
  const times = Array.from({ length: 31 }, (_, back) => last - (30 - back) * 86400);
  // A day without calls cost nothing; what calls without a price cost is unknown, as is what was
  // before the first record.
  const first = Math.min(...cost.keys());
  chart.set([times, times.map((time) => (
    cost.has(time) ? cost.get(time) : time < first ? null : 0
  ))]);
}
