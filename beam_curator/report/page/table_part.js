"use strict";
const PAGE = 50;
const COLUMNS = [
  ["name", "recording", (line) => line.name, String],
  ["duration", "length", (line) => line.duration, (value) => clock(value)],
  ["rate", "Hz", (line) => line.rate, number],
  ["speakers", "speakers", (line) => line.speakers, number],
  ["speech", "speech", (line) => (line.duration && line.speech ? (100 * line.speech) / line.duration : undefined), (value) => `${number(value, 0)} %`],
  ["overlap", "overlap", (line) => line.overlap, (value) => `${number(value, 1)} %`],
  ["turns", "turns", (line) => line.turns, number],
  ["kept", "windows kept", (line) => line.kept, number],
  ["windows", "windows", (line) => line.windows, number],
  ["clips", "clips", (line) => line.clips, number],
  ["failures", "failures", (line) => line.failures, number],
];
/* Files of the table are read when they are needed: the first one alone, until one searches or sorts. */
class Table {
  constructor(overview) {
    this.overview = overview;
    this.n = Math.ceil(overview.recordings / overview.page_size);
    this.columns = [...COLUMNS.filter(([key]) => overview.columns.includes(key)),
      ...overview.scores.map((key) => [key, key.replaceAll("_", " "), (line) => (line.scores || {})[key], (value) => number(value, 3)])];
    this.state = { search: "", reason: "", sort: overview.sort || null, down: Boolean(overview.sort), at: 0 };
    this.opened = new Set();
  }
  isWhole() { return !this.state.search && !this.state.reason && !this.state.sort; }
  async all() {
    const some = await Promise.all(Array.from({ length: this.n }, (_, k) => load(`table-${String(k).padStart(5, "0")}`)));
    return some.flat();
  }
  /* Return the lines to show, and how many there are. */
  async lines() {
    const { search, reason, sort, down, at } = this.state;
    if (this.isWhole()) {
      const size = this.overview.page_size, first = at * PAGE, found = [];
      for (let k = first; k < Math.min(first + PAGE, this.overview.recordings); k += 1) {
        found.push((await load(`table-${String(Math.floor(k / size)).padStart(5, "0")}`))[k % size]);
      }
      return [found, this.overview.recordings];
    }
    const wanted = search.toLowerCase();
    let lines = (await this.all()).filter((line) => line.name.toLowerCase().includes(wanted) && (!reason || (line.lost && reason in line.lost)));
    if (sort) {
      const [, , of] = this.columns.find(([key]) => key === sort);
      const order = (a, b) => (typeof a === "string" ? (a < b ? -1 : Number(a > b)) : a - b);
      // what has no value comes last, whichever way
      lines = lines.map((line) => [of(line), line]).sort(([a], [b]) => (a === undefined ? Number(b !== undefined) : b === undefined ? -1 : order(a, b) * (down ? -1 : 1))).map(([, line]) => line);
    }
    return [lines.slice(at * PAGE, at * PAGE + PAGE), lines.length];
  }
  change(values) { Object.assign(this.state, { at: 0 }, values); return this.show(); }
  async show() {
    const shown = {};
    this.latest = shown;
    const [lines, n] = await this.lines();
    if (this.latest !== shown) return; // another search was quicker
    const { at, sort, down, reason } = this.state;
    const head = this.columns.map(([key, title]) => element("th", { scope: "col", "aria-sort": key === sort ? (down ? "descending" : "ascending") : null },
      element("button", { type: "button", onclick: () => this.change({ sort: key, down: key === sort ? !down : key !== "name" }) }, title + (key === sort ? (down ? " ▼" : " ▲") : ""))));
    const body = element("tbody", {}, ...lines.flatMap((line) => this.rows(line)));
    const focused = [...byId("table").querySelectorAll("th button")].indexOf(document.activeElement);
    byId("table").replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...head)), body));
    if (focused >= 0) byId("table").querySelectorAll("th button")[focused].focus();
    byId("found").textContent = n === this.overview.recordings ? count(n, "recordings") : `${number(n)} of ${count(this.overview.recordings, "recordings")}`;
    byId("filter").replaceChildren(...(reason ? [element("button", { type: "button", onclick: () => this.change({ reason: "" }) }, `with ${reason} ✕`)] : []));
    const last = Math.max(0, Math.ceil(n / PAGE) - 1);
    byId("pager").replaceChildren(...(last ? [
      element("button", { type: "button", disabled: at === 0, onclick: () => this.change({ at: at - 1 }) }, "Previous"),
      element("span", {}, `${number(at * PAGE + 1)}–${number(Math.min(n, at * PAGE + PAGE))} of ${number(n)}`),
      element("button", { type: "button", disabled: at === last, onclick: () => this.change({ at: at + 1 }) }, "Next")] : []));
  }
  rows(line) {
    const wide = element("td", { class: "wide", colspan: this.columns.length });
    const below = element("tr", { hidden: true }, wide);
    const button = element("button", { type: "button", class: "open", "aria-expanded": "false" }, line.name);
    button.addEventListener("click", async () => {
      below.hidden = !below.hidden;
      button.setAttribute("aria-expanded", String(!below.hidden));
      below.querySelector("audio")?.pause();
      if (below.hidden || wide.childElementCount) return;
      const [page, place] = line.at;
      const details = await load(`details-${String(page).padStart(5, "0")}`);
      wide.replaceChildren(recordingView(details[place], this.overview.sets));
    });
    const cells = this.columns.slice(1).map(([, , of, said]) => {
      const value = of(line);
      return element("td", {}, value === undefined ? "" : said(value));
    });
    return [element("tr", {}, element("td", {}, button), ...cells), below];
  }
}
