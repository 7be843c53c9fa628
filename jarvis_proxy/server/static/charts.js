// Charts by uPlot, in the page's colours, as wide as their place, redrawn when either changes.

import { number, timeOfDay, words } from "./words.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const LEGEND = 24;
const WHOLE = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((n) => n * 10 ** power)).flat();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export class Chart {
  /** lines: {label, colour, fill, bars}; empty: what stands in place of a chart of nothing. */
  constructor(holder, lines, { days = false, value = number, empty = words.nothingLately } = {}) {
    this.holder = holder;
    this.lines = lines;
    this.days = days;
    this.value = value;
    this.empty = empty;
    this.data = [[], ...lines.map(() => [])];
    dark.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.resize()).observe(holder);
  }

  set(data) {
    this.data = data;
    if (this.plot && !this.isEmpty) this.plot.setData(data);
    else if (this.plot || !this.isEmpty || !this.holder.firstChild) this.draw();
  }

  get isEmpty() {
    return !this.data.slice(1).some((line) => line.some(Boolean));
  }

  size() {
    return { width: this.holder.clientWidth, height: this.holder.clientHeight - LEGEND };
  }

  resize() {
    if (this.plot && this.holder.clientWidth) this.plot.setSize(this.size());
  }

  draw() {
    this.plot?.destroy();
    this.plot = null;
    if (!this.holder.clientWidth) return; // not shown yet
    this.holder.replaceChildren();
    if (this.isEmpty) {
      const says = document.createElement("p");
      says.className = "none";
      says.textContent = this.empty;
      this.holder.append(says);
      return;
    }
    this.plot = new uPlot(this.options(), this.data, this.holder);
  }

  options() {
    const axis = {
      stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const day = (seconds) => new Date(seconds * 1000).toISOString().slice(5, 10);
    const time = (seconds) => timeOfDay(seconds).slice(0, 5);
    return {
      ...this.size(),
      padding: [6, 4, 0, 0],
      cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
      scales: { x: this.width(), y: { range: (_, _low, high) => [0, Math.max(high * 1.1, 1)] } },
      axes: [
        {
          ...axis, grid: { show: false }, size: 22, space: 60,
          incrs: this.days ? [86400, 2 * 86400, 7 * 86400] : [60, 120, 300],
          values: (_, splits) => splits.map(this.days ? day : time),
        },
        {
          ...axis, size: 44, space: 26, incrs: this.value === number ? WHOLE : undefined,
          values: (_, splits) => this.labels(splits),
        },
      ],
      series: [
        {
          label: this.days ? words.day : words.time,
          value: (plot, x) => (this.days ? day : timeOfDay)(x ?? plot.data[0].at(-1) ?? 0),
        },
        ...this.lines.map((line, index) => this.series(line, index + 1)),
      ],
    };
  }

  /** The numbers of the upright axis, none of them twice. */
  labels(splits) {
    const texts = splits.map((split) => this.value(split));
    return texts.map((text, at) => (text === texts[at - 1] ? "" : text));
  }

  /** The time axis; bars of days need room for half a bar at both ends. */
  width() {
    const half = 43200;
    return this.days ? { time: false, range: (_, first, last) => [first - half, last + half] } : {};
  }

  series(line, index) {
    const bars = this.days || line.bars;
    return {
      label: line.label,
      stroke: colour(line.colour),
      width: bars ? 0 : 1.25,
      fill: line.fill ? colour(line.fill) : undefined,
      paths: bars ? uPlot.paths.bars({ size: [this.days ? 0.7 : 1, 28] }) : uPlot.paths.stepped({ align: 1 }),
      points: { show: false },
      // Where no pointer is, the newest value is shown.
      value: (plot, y, _, at) => this.value(at === null ? plot.data[index].at(-1) : y),
    };
  }
}
