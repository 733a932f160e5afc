"use strict";
function reveal(id) {
  byId(id).hidden = false;
  document.querySelector(`nav a[href="#${id}"]`).hidden = false;
}
/* Two sets of one command, one after the other: what came out of each stage, and what was lost by each reason. */
function comparison(before, after) {
  const rows = [];
  const add = (what, of, said = number) => rows.push([what, of(before), of(after), said]);
  for (const { name } of after.stages) {
    const stage = (set) => set.stages.find((one) => one.name === name);
    add(`${name}: ${stage(after).what_out}`, (set) => stage(set)?.n_out ?? 0);
    if (stage(after).seconds !== null) add(`${name}: audio`, (set) => stage(set)?.seconds ?? 0, hours);
  }
  const reasons = new Set([before, after].flatMap((set) => set.losses.map((loss) => loss.reason)));
  for (const reason of reasons) add(`lost: ${reason}`, (set) => set.losses.filter((loss) => loss.reason === reason).reduce((sum, loss) => sum + loss.n, 0));
  const change = (was, is, said) => (was === is ? "" : `${is > was ? "+" : "−"}${said(Math.abs(is - was))}${was ? ` (${number((100 * Math.abs(is - was)) / was, 1)} %)` : ""}`);
  const cells = ([what, was, is, said]) => [what, said(was), said(is), change(was, is, said)].map((text) => element("td", {}, text));
  const head = ["", before.directory, after.directory, "change"].map((text) => (text ? element("th", { scope: "col" }, text) : element("td", {})));
  return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `${before.directory} and ${after.directory}` },
    element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row))))));
}
function showCompared(overview) {
  overview.sets.forEach((set, at) => {
    const before = overview.sets.slice(0, at).reverse().find((one) => one.command === set.command && !one.is_partial && !set.is_partial);
    if (!before) return;
    reveal("compared");
    byId("compared").querySelector(".stack").append(comparison(before, set));
  });
}
function speakerMap(set) {
  const ranks = new Map();
  const dots = set.map.points.map(([name, x, y]) => {
    const recording = name.slice(0, name.lastIndexOf("/"));
    const rank = ranks.get(recording) ?? 0;
    ranks.set(recording, rank + 1);
    return drawing("circle", { class: `s${rank % 6}`, cx: 100 * x, cy: -100 * y, r: 2.5 }, drawing("title", {}, name));
  });
  const svg = drawing("svg", { class: "map", viewBox: "-106 -106 212 212", role: "img", "aria-label": `Map of ${count(dots.length, "speakers")} of ${set.directory}` }, ...dots);
  const some = set.map.n > dots.length ? `the first ${number(dots.length)} of ${count(set.map.n, "speakers")}` : count(set.map.n, "speakers");
  return element("div", { class: "card" }, element("h3", {}, set.directory), element("p", { class: "soft" }, some), svg);
}
function showMaps(overview) {
  for (const set of overview.sets.filter((one) => one.map.points.length > 1)) {
    reveal("speakers");
    byId("speakers").querySelector(".charts").append(speakerMap(set));
  }
}
