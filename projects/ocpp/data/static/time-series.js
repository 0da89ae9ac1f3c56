/* Draws the energy series of a figure with data-series="address of the JSON".
 * Without this script, or without the data, the table below the figure holds the same. */
"use strict";
(() => {
  const HEIGHT = 320;
  const COLOURS = 6;
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]]; // told apart without colours, too

  const colour = (figure, name) => getComputedStyle(figure).getPropertyValue(name).trim();

  function options(figure, width, data) {
    const text = colour(figure, "--muted");
    const grid = { stroke: colour(figure, "--edge"), width: 1 };
    const axis = { stroke: text, grid, ticks: grid };
    const kwh = (plot, value) => (value == null ? "" : `${value.toFixed(3)} kWh`);
    return {
      width,
      height: HEIGHT,
      scales: { x: { time: true }, y: { range: (plot, low, high) => [0, Math.max(high, 0.1) * 1.05] } },
      axes: [axis, { ...axis, label: "kWh", labelSize: 20, size: 56 }],
      series: [
        {},
        ...data.series.map((one, index) => {
          const stroke = colour(figure, `--series-${(index % COLOURS) + 1}`);
          return {
            label: one.charger_id,
            stroke,
            fill: data.series.length === 1 ? `color-mix(in srgb, ${stroke} 20%, transparent)` : undefined,
            width: 2,
            dash: DASHES[Math.floor(index / COLOURS) % DASHES.length],
            paths: uPlot.paths.stepped({ align: 1 }),
            points: { show: false },
            value: kwh,
          };
        }),
      ],
    };
  }

  function columns(data) {
    // A step lasts until the next point: the last interval needs an end.
    const times = [...data.times, data.times[data.times.length - 1] + data.step_s];
    return [times, ...data.series.map((one) => [...one.energy_kwh, one.energy_kwh.at(-1)])];
  }

  async function draw(figure) {
    const place = figure.querySelector(".time-series-plot");
    const answer = await fetch(figure.dataset.series, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`the data could not be read (${answer.status})`);
    const data = await answer.json();
    let plot = null;
    const show = () => {
      plot?.destroy();
      plot = new uPlot(options(figure, place.clientWidth, data), columns(data), place);
    };
    show();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
    new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
    figure.dataset.drawn = String(data.series.length);
  }

  for (const figure of document.querySelectorAll("figure[data-series]")) {
    draw(figure).catch((error) => {
      figure.querySelector(".time-series-plot").textContent = `No chart: ${error.message}. See the table.`;
      document.getElementById("time-series-table").open = true;
    });
  }
})();
