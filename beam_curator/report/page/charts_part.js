"use strict";
const BARS = 48;
const UNITS = [[/bandwidth|sample_rate/, "Hz"], [/duration|seconds|cut|target/, "s"], [/_db$/, "dB"], [/dbfs/, "dBFS"], [/percentage/, "%"]];
const unitOf = (key) => (UNITS.find(([pattern]) => pattern.test(key)) || [null, ""])[1];
const titleOf = (key) => key.replace(/^metrics\./, "").replaceAll("_", " ");
const withUnit = (value, key) => `${number(value, 4)}${unitOf(key) ? ` ${unitOf(key)}` : ""}`;

/* Heights of bars over the positions of edges; neighbours share a bar where there are many. */
function histogram(heights, isKept) {
  const step = Math.ceil(heights.length / BARS);
  const groups = [];
  for (let at = 0; at < heights.length; at += step) groups.push(heights.slice(at, at + step).reduce((sum, n) => sum + n, 0));
  const most = Math.max(...groups, 1);
  const shapes = groups.map((n, k) => {
    const height = n ? Math.max(1.5, (100 * n) / most) : 0;
    return drawing("rect", { x: k * step, y: 100 - height, width: Math.min(step, heights.length - k * step) * 0.9, height });
  });
  return { shapes, mark: (at) => shapes.forEach((shape, k) => shape.classList.toggle("out", !isKept(k * step, at))) };
}
function chartCard(chart) {
  const last = chart.edges.length - 1;
  const { shapes, mark } = histogram(chart.heights, chart.isKept);
  const line = (kind, at) => drawing("line", { class: kind, x1: at, x2: at, y1: -4, y2: 100 });
  const svg = drawing("svg", { viewBox: `0 -4 ${last + 1} 104`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...shapes);
  const card = element("div", { class: "card chart" }, element("h3", {}, chart.title), element("p", { class: "soft" }, chart.about), svg,
    element("div", { class: "axis" }, element("span", {}, withUnit(chart.edges[0], chart.key)), element("span", {}, withUnit(chart.edges[last], chart.key))));
  if (chart.limitAt >= 0) {
    svg.append(line("limit", chart.limitAt));
    card.append(element("p", { class: "soft" }, element("span", { class: "key" }), `in force: ${withUnit(chart.edges[chart.limitAt], chart.key)}`));
  }
  if (!chart.command.length) {
    card.append(element("p", {}, `${count(chart.total[0], chart.what)} · ${hours(chart.total[1] / 1e6)}`));
    return card;
  }
  const moved = svg.appendChild(line("moved", 0));
  const output = element("output", {});
  const { box, code } = commandLine("");
  const slider = element("input", { type: "range", min: 0, max: last, step: 1, value: Math.max(0, chart.limitAt), "aria-label": `Threshold of ${chart.title}` });
  const move = () => {
    const at = Number(slider.value);
    const [n, us] = chart.kept[at];
    const value = chart.edges[at];
    moved.setAttribute("x1", at);
    moved.setAttribute("x2", at);
    mark(at);
    slider.setAttribute("aria-valuetext", withUnit(value, chart.key));
    output.textContent = chart.said(withUnit(value, chart.key), n, us / 1e6);
    code.textContent = commandText(chart.command, value);
  };
  slider.addEventListener("input", move);
  card.append(slider, output, box);
  move();
  return card;
}
function valueChart(chart, set) {
  const kept = [];
  let n = 0, us = 0;
  if (chart.sign === "<") for (const bar of chart.bars) { kept.push([n, us]); n += bar[0]; us += bar[1]; }
  else for (const bar of [...chart.bars].reverse()) { n += bar[0]; us += bar[1]; kept.unshift([n, us]); }
  return {
    key: chart.key, title: titleOf(chart.key), about: `${chart.of} of ${set.directory}`, what: chart.of, edges: chart.edges,
    heights: chart.bars.map((bar) => bar[0]), kept, total: [n, us], command: chart.command,
    said: (value, some, seconds) => `${chart.sign === "<" ? "<" : "≥"} ${value}: ${number(some)} of ${count(n, chart.of)} · ` +
      `${hours(seconds)}${us ? ` of ${hours(us / 1e6)} (${share(seconds, us / 1e6)})` : ""}`,
    limitAt: chart.edges.indexOf(chart.limit), isKept: (k, at) => !chart.command.length || (chart.sign === "<" ? k < at : k >= at),
  };
}
function trialChart(trial, set) {
  const now = trial.values.indexOf(trial.now);
  return {
    key: trial.name, title: `--${trial.name.replaceAll("_", "-")}`, about: `windows that each value would keep · ${set.directory}`, what: "windows",
    edges: trial.values, heights: trial.kept.map((kept) => kept[1]), kept: trial.kept, command: trial.command,
    said: (value, some, seconds) => `${value}: ${count(some, "windows")} · ${hours(seconds)} (now ${number(trial.kept[now][0])} · ${hours(trial.kept[now][1] / 1e6)})`,
    limitAt: now, isKept: (k, at) => k === at,
  };
}
function showCharts(overview) {
  const stack = byId("distributions").querySelector(".stack");
  overview.sets.forEach((set, at) => {
    const charts = [...set.trials.options.map((trial) => trialChart(trial, set)),
      ...overview.charts.filter((chart) => chart.set === at).map((chart) => valueChart(chart, set))];
    if (!charts.length) return;
    const grid = element("div", { class: "charts" }, ...charts.filter((chart) => chart.edges.length > 1).map(chartCard));
    const same = charts.filter((chart) => chart.edges.length === 1);
    const alike = same.length ? element("p", { class: "soft" }, `The same everywhere: ${same.map((chart) => `${alone(chart.title)} ${withUnit(chart.edges[0], chart.key)}`).join(" · ")}.`) : null;
    const why = set.trials.why ? element("p", { class: "note" }, `Options of windows were not tried: ${set.trials.why}.`) : null;
    stack.append(element("details", { open: at === 0 }, element("summary", {}, `${set.directory}: ${count(charts.length, "distributions")}`), why, grid, alike));
  });
}
