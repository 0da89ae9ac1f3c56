/* Charts of the stored data, drawn by uPlot in the theme's colours.
 *
 * figure[data-series="address of the JSON"]  energy per interval; a drag asks the server for that span
 * figure[data-curves="address of the JSON"]  power and energy of one transaction; a drag zooms in
 *
 * Each has a .chart-area[gw-keep], which stays while its surroundings are renewed. The chart in it is
 * drawn on then: with what came meanwhile, and as closely as the reader had zoomed in.
 *
 * [data-moment="ISO 8601"]                   a time with its date
 *
 * Null is no figure: nothing is drawn there. Times are the reader's own. Without this script, or
 * without the data, the table below a figure holds the same.
 */
"use strict";
(() => {
  const HEIGHT = 320;
  const COLOURS = 6;
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]]; // told apart without colours, too
  const DAY_S = 86400;
  const LEAST_DRAG_PX = 8;

  // A canvas knows colours, not the names and functions of style sheets: a probe has them resolved.
  function colour(figure, name) {
    const probe = figure.appendChild(document.createElement("span"));
    probe.style.color = `var(${name})`;
    const resolved = getComputedStyle(probe).color;
    probe.remove();
    return resolved;
  }

  const two = (number) => String(number).padStart(2, "0");
  const at = (seconds) => new Date(seconds * 1000);
  const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = (date, seconds) =>
    `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
  const moment = (seconds, exact) => `${day(at(seconds))} ${clock(at(seconds), exact)}`;

  // The date stands where it changes; 2026-11-24, whatever the browser's language.
  function ticks(plot, splits, axis, space, step) {
    let before = "";
    return splits.map((seconds) => {
      const date = at(seconds);
      const today = day(date);
      const changed = today !== before;
      before = today;
      if (step >= 28 * DAY_S) return today.slice(0, 7);
      if (step >= DAY_S) return today;
      return changed ? `${clock(date, step < 60)}\n${today}` : clock(date, step < 60);
    });
  }

  function axes(figure, ...sides) {
    const text = colour(figure, "--muted");
    const grid = { stroke: colour(figure, "--edge"), width: 1 };
    const axis = { stroke: text, grid, ticks: grid };
    return [
      { ...axis, values: ticks, size: 48, space: 78 },
      ...sides.map((side, index) => ({ ...axis, labelSize: 18, size: 52, ...side, grid: index ? { show: false } : grid })),
    ];
  }

  const fromZero = (plot, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 0, 0.1) * 1.05];

  function frame(width) {
    // The mark in the legend is a piece of its line.
    const fill = (plot, index) => piece(plot.series[index].stroke(plot, index), plot.series[index].dash);
    return { width, height: HEIGHT, legend: { live: true, markers: { width: 0, fill } } };
  }

  function piece(stroke, dash) {
    let at = 0;
    const parts = (dash.length ? dash : [1]).map((long, index) => {
      const part = `${index % 2 ? "transparent" : stroke} ${at}px ${at + long}px`;
      at += long;
      return part;
    });
    return `repeating-linear-gradient(90deg, ${parts.join(", ")})`;
  }

  // Two neighbours differ in both; of 24 chargers no two have the same line.
  function look(figure, index) {
    const dash = DASHES[(index + Math.floor(index / 12)) % DASHES.length];
    return { stroke: colour(figure, `--series-${(index % COLOURS) + 1}`), dash };
  }

  // --- energy per interval -----------------------------------------------------

  function seriesOptions(figure, width, data) {
    const until = (begin) => Math.min(begin + data.step_s, Math.max(begin, Date.now() / 1000));
    const span = (begin, last = begin) => `${moment(begin)} to ${moment(until(last))}`;
    const begun = (time) => data.times.findLast((begin) => begin <= time) ?? time;
    return {
      ...frame(width),
      padding: [null, 40, null, null],
      cursor: { drag: { x: true, y: false, setScale: false } },
      hooks: { setSelect: [(plot) => zoom(plot, data)] },
      scales: { x: { time: true }, y: { range: fromZero } },
      axes: axes(figure, { label: "kWh" }),
      series: [
        { label: "Interval", value: (plot, value) => (value == null ? span(data.times[0], data.times.at(-1)) : span(begun(value))) },
        ...data.series.map((one, index) => {
          const { stroke, dash } = look(figure, index);
          return {
            label: one.charger_id,
            stroke,
            dash,
            fill: data.series.length === 1 ? stroke.replace("rgb(", "rgba(").replace(")", ", 0.2)") : undefined,
            width: 2,
            paths: uPlot.paths.stepped({ align: 1 }),
            points: { show: false },
            value: (plot, value, series, at) =>
              at == null ? `${data.series[index].total_kwh.toFixed(2)} kWh in all` : value == null ? "not known" : `${value.toFixed(3)} kWh`,
          };
        }),
      ],
    };
  }

  function seriesColumns(data) {
    // A step lasts until the next point: the last interval needs an end, and the one that is
    // under way ends now.
    const now = Date.now() / 1000;
    const running = data.times.findIndex((begin) => begin < now && now < begin + data.step_s);
    const last = running < 0 ? data.times.length - 1 : running;
    const end = running < 0 ? data.times.at(-1) + data.step_s : now;
    const ended = (values, then) => [...values.slice(0, last + 1), then, ...values.slice(last + 1)];
    return [ended(data.times, end), ...data.series.map((one) => ended(one.energy_kwh, one.energy_kwh[last]))];
  }

  // Who gave nothing comes last: their lines lie on each other at zero.
  function sortedSeries(data) {
    data.series?.sort((one, other) => (other.total_kwh > 0) - (one.total_kwh > 0));
    return data;
  }

  // The server makes the steps: a shorter span comes back with finer ones.
  function zoom(plot, data) {
    if (plot.select.width < LEAST_DRAG_PX) return;
    const least = 600;
    const begin = plot.posToVal(plot.select.left, "x");
    const end = Math.max(plot.posToVal(plot.select.left + plot.select.width, "x"), begin + least);
    const there = new URL(location.href);
    const iso = (seconds) => at(Math.round(seconds)).toISOString().replace(".000Z", "Z");
    there.searchParams.set("since", iso(begin));
    there.searchParams.set("until", iso(end));
    for (const name of ["step", "span", "page"]) there.searchParams.delete(name);
    location.assign(there);
  }

  // --- one transaction ------------------------------------------------------------

  function highest(values, unit, otherwise) {
    const known = values.filter((value) => value != null);
    return known.length ? `${(Math.max(...known) / 1000).toFixed(2)} ${unit} at most` : otherwise;
  }

  function curveOptions(figure, width, data) {
    const marks = (data.shown ?? 0) < 300;
    const line = (index, label, scale, digits, whole) => ({
      label,
      scale,
      stroke: colour(figure, `--series-${index}`),
      dash: DASHES[index - 1],
      width: 2,
      points: { show: marks, size: 5 },
      value: (plot, value, series, at) =>
        at == null ? whole() : value == null ? "not measured" : `${value.toFixed(digits)} ${scale}`,
    });
    return {
      ...frame(width),
      cursor: { drag: { x: true, y: false } },
      scales: { x: { time: true }, kW: { range: fromZero }, kWh: { range: fromZero } },
      axes: axes(figure, { scale: "kW", label: "kW" }, { scale: "kWh", label: "kWh", side: 1 }),
      series: [
        { label: "Time", value: (plot, value) => (value == null ? `${data.points} points` : moment(value, true)) },
        line(1, "Power", "kW", 2, () => highest(data.power_w, "kW", "none measured")),
        line(2, "Energy", "kWh", 3, () => highest(data.energy_wh, "kWh", "none measured")),
      ],
    };
  }

  function curveColumns(data) {
    const kilo = (values) => values.map((value) => (value == null ? null : value / 1000));
    return [data.times, kilo(data.power_w), kilo(data.energy_wh)];
  }

  // --- both --------------------------------------------------------------------------

  const KINDS = {
    series: {
      options: seriesOptions,
      columns: seriesColumns,
      drawn: (data) => data.series.length,
      lines: (data) => data.series.map((one) => one.charger_id).join("\n"),
      zooms: false, // the server does
    },
    curves: { options: curveOptions, columns: curveColumns, drawn: (data) => data.points, lines: () => "", zooms: true },
  };
  const charts = new Map(); // .chart-area -> Chart

  /* One chart: reads its data when it is told to, and draws them. */
  class Chart {
    constructor(area, kind) {
      this.area = area;
      this.kind = kind;
      this.place = area.querySelector(".chart-plot");
      this.plot = null;
      this.data = {};
      this.lines = null;
      this.busy = false;
      this.again = false;
      this.failed = false;
      this.end = () => {}; // stops what watches it
    }

    get figure() {
      return this.area.closest("figure");
    }

    async read() {
      if (this.busy) {
        this.again = true;
        return;
      }
      this.busy = true;
      try {
        const { series, curves } = this.figure.dataset;
        const got = await gway.ask(series ?? curves, { headers: { Accept: "application/json" } });
        if (!this.area.isConnected) return;
        if (!got) this.fail("the server cannot be reached");
        else if (!got.response.ok) this.fail(`the data could not be read (${got.response.status})`);
        else this.show(sortedSeries(JSON.parse(got.text)));
      } finally {
        this.busy = false;
        if (this.again && this.area.isConnected) {
          this.again = false;
          this.read();
        }
      }
    }

    show(data) {
      const empty = this.area.querySelector(".empty");
      const nothing = Boolean(empty) && data.times.length < 2;
      if (empty) empty.hidden = !nothing;
      this.place.hidden = nothing;
      this.area.querySelector(".stale")?.remove();
      if (!nothing) {
        const lines = this.kind.lines(data);
        const same = this.plot && lines === this.lines;
        Object.assign(this.data, data);
        this.lines = lines;
        if (same) this.drawOn();
        else this.draw();
      }
      this.area.dataset.drawn = nothing ? "0" : String(this.kind.drawn(data));
    }

    // As it was looked at before: zoomed in, and without the lines that were hidden.
    draw() {
      const zoom = this.zoom();
      const hidden = new Set(this.plot?.series.filter((one) => !one.show).map((one) => one.label));
      this.plot?.destroy();
      this.place.replaceChildren();
      const width = this.place.clientWidth;
      const first = !this.plot;
      this.plot = new uPlot(this.kind.options(this.figure, width, this.data), this.kind.columns(this.data), this.place);
      this.plot.series.forEach((one, index) => {
        if (hidden.has(one.label)) this.plot.setSeries(index, { show: false });
      });
      if (zoom) this.plot.setScale("x", zoom);
      if (first) this.watch();
    }

    drawOn() {
      const zoom = this.zoom();
      this.plot.setData(this.kind.columns(this.data), !zoom);
      if (zoom) this.plot.setScale("x", zoom);
    }

    /* What the reader zoomed in to; null for all there is. */
    zoom() {
      if (!this.plot || !this.kind.zooms) return null;
      const { min, max } = this.plot.scales.x;
      const times = this.plot.data[0];
      return min > times[0] || max < times.at(-1) ? { min, max } : null;
    }

    // The theme may follow the system, or be chosen on the page.
    watch() {
      const ended = new AbortController();
      const redraw = () => this.draw();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw, { signal: ended.signal });
      const theme = new MutationObserver(redraw);
      theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
      const size = new ResizeObserver(() => this.plot.setSize({ width: this.place.clientWidth, height: HEIGHT }));
      size.observe(this.place);
      this.end = () => {
        ended.abort();
        theme.disconnect();
        size.disconnect();
        this.plot.destroy();
      };
    }

    // What is drawn stays, with a line that it is old; a table that the reader closed again stays closed.
    fail(why) {
      if (this.plot) {
        const line = this.area.querySelector(".stale") ?? document.createElement("p");
        line.className = "stale";
        line.setAttribute("role", "status");
        line.textContent = `Not current: ${why}.`;
        this.area.prepend(line);
        return;
      }
      this.place.textContent = `No chart: ${why}. See the table.`;
      const table = document.getElementById("time-series-table");
      if (table && !this.failed) table.open = true;
      this.failed = true;
    }
  }

  function drawAll() {
    for (const time of document.querySelectorAll("[data-moment]")) {
      time.textContent = moment(Date.parse(time.dataset.moment) / 1000);
    }
    for (const [area, chart] of charts) {
      if (!area.isConnected) {
        chart.end();
        charts.delete(area);
      }
    }
    for (const figure of document.querySelectorAll("figure[data-series], figure[data-curves]")) {
      const area = figure.querySelector(".chart-area");
      if (!charts.has(area)) charts.set(area, new Chart(area, figure.dataset.series ? KINDS.series : KINDS.curves));
      charts.get(area).read();
    }
  }

  document.addEventListener("gw:refreshed", drawAll);
  drawAll();
})();
