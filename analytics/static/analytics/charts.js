// Draws the time series of a page with uPlot: one crosshair over all of them, colours of the theme, drag to zoom.
// The numbers come in JSON elements; a table under each chart says the same without drawing.
"use strict";

{
  const HEIGHT = 208;
  const NARROWEST_DRAG = 6; // CSS pixels; less is a click
  const nodes = [...document.querySelectorAll("[data-chart]")];
  const sync = uPlot.sync("page");
  let charts = [];

  // Custom properties with light-dark() are resolved only where they are used: a hidden element uses them for us.
  function colour(node, name) {
    const probe = document.createElement("span");
    probe.className = `series-${name}`;
    probe.hidden = true;
    node.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function withAlpha(rgb, alpha) {
    const parts = rgb.match(/[\d.]+/g);
    return parts ? `rgba(${parts.slice(0, 3).join(", ")}, ${alpha})` : rgb;
  }

  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

  function latency(ms) {
    if (ms === null || ms === undefined) return "–";
    if (ms === 0) return "0";
    if (ms >= 119500) return `${whole.format(ms / 60000)} min`;
    const [value, unit] = ms >= 999.5 ? [ms / 1000, "s"] : [ms, "ms"];
    return `${Number(value.toPrecision(3))} ${unit}`;
  }

  function count(value) {
    return value === null || value === undefined ? "–" : whole.format(value);
  }

  const utc = (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
  const two = (number) => String(number).padStart(2, "0");
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

  function dayText(moment) {
    return `${moment.getDate()} ${MONTHS[moment.getMonth()]}`;
  }

  function timeText(seconds, bucket) {
    const moment = utc(seconds);
    const clock = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
    return bucket >= 86400 ? dayText(moment) : `${dayText(moment)} ${clock}`;
  }

  // Midnight is written as its day, everything else as a time.
  function axisText(seconds) {
    const moment = utc(seconds);
    const isMidnight = moment.getHours() === 0 && moment.getMinutes() === 0;
    return isMidnight ? dayText(moment) : `${two(moment.getHours())}:${two(moment.getMinutes())}`;
  }

  function zoom(chart, bucket) {
    const { left, width } = chart.select;
    if (width < NARROWEST_DRAG) return;
    const from = Math.floor(chart.posToVal(left, "x") / bucket) * bucket;
    const to = Math.max(Math.ceil(chart.posToVal(left + width, "x") / bucket) * bucket, from + 60);
    const url = new URL(location.href);
    for (const name of ["period", "cursor"]) url.searchParams.delete(name);
    url.searchParams.set("from", new Date(from * 1000).toISOString().slice(0, 16));
    url.searchParams.set("to", new Date(to * 1000).toISOString().slice(0, 16));
    location.assign(url);
  }

  function seriesOf(node, data) {
    const bars = uPlot.paths.bars({ size: [0.86, 64], align: 1, gap: 0 });
    const steps = uPlot.paths.stepped({ align: 1, extend: true });
    const format = data.kind === "calls" ? count : latency;
    const told = data.series.map((series) => {
      const stroke = colour(node, series.tone);
      const base = { label: series.label, stroke, points: { show: false } };
      if (data.kind === "calls") {
        return { ...base, fill: stroke, width: 0, paths: bars, value: (chart, _, index, place) =>
          (place === null ? "–" : count(data.series[index - 1].values[place])) };
      }
      const isMain = series.tone === "p95";
      const dash = series.tone === "p99" ? [4, 3] : series.tone === "before" ? [1, 3] : undefined;
      return { ...base, width: isMain ? 2 : 1.25, dash, paths: steps, value: (_, value) => format(value) };
    });
    const moment = (chart, value) => {
      if (value === null || value === undefined) return "–";
      const isLast = data.filling && value === data.times.at(-1);
      return timeText(value, data.bucket) + (isLast ? " (filling)" : "");
    };
    return [{ label: "UTC", value: moment }, ...told];
  }

  // Bars lie over each other: the first is drawn as high as all together, so that the later ones cover its foot.
  function valuesOf(data) {
    if (data.kind !== "calls") return [data.times, ...data.series.map((series) => series.values)];
    const rest = data.series.map((_, place) =>
      data.times.map((__, at) => data.series.slice(place).reduce((sum, series) => sum + series.values[at], 0)));
    return [data.times, ...rest];
  }

  function make(node) {
    const data = JSON.parse(document.getElementById(node.dataset.chart).textContent);
    const text = colour(node, "text");
    const grid = { stroke: withAlpha(text, 0.14), width: 1 };
    const axis = { stroke: text, grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const format = data.kind === "calls" ? count : latency;
    const last = data.times.at(-1) + data.bucket;
    const chart = new uPlot({
      width: node.clientWidth,
      height: HEIGHT,
      tzDate: utc,
      padding: [8, 8, 0, 0],
      cursor: { y: false, sync: { key: sync.key, setSeries: false }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      select: { show: true },
      scales: {
        x: { time: true, range: [data.times[0], last] },
        // Rare values far above all others would flatten everything else; the sentence above the chart names them.
        y: { range: (_, low, high) => [0, data.top ?? (high > 0 ? high * 1.08 : 1)] },
      },
      axes: [
        { ...axis, size: 28, space: 64, values: (_, splits) => splits.map(axisText) },
        { ...axis, size: 64, space: 30, values: (_, splits) => splits.map(format),
          incrs: data.kind === "calls" ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7] : undefined },
      ],
      series: seriesOf(node, data),
      legend: { markers: { width: 2 } },
      hooks: { setSelect: [(chart) => zoom(chart, data.bucket)] },
    }, valuesOf(data), node);
    sync.sub(chart);
    return chart;
  }

  function draw() {
    for (const chart of charts) {
      sync.unsub(chart);
      chart.destroy();
    }
    charts = nodes.map(make);
  }

  draw();
  document.documentElement.addEventListener("themechange", draw);
  new ResizeObserver(() => {
    charts.forEach((chart, place) => {
      const width = nodes[place].clientWidth;
      if (width && width !== chart.width) chart.setSize({ width, height: HEIGHT });
    });
  }).observe(nodes[0]?.parentElement ?? document.body);
}
