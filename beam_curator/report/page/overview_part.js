"use strict";
function bar(kind, name, amount, part, why, onclick) {
  const fill = element("div", { class: "fill" });
  fill.style.width = `${100 * Math.min(1, part || 0)}%`;
  return element(onclick ? "button" : "div", { class: `bar ${kind}`, type: onclick ? "button" : null, onclick: onclick || (() => {}) },
    element("span", { class: "name" }, name), element("span", { class: "amount" }, amount),
    element("span", { class: "rail" }, fill), why ? element("span", { class: "why" }, why) : null);
}
function setCard(set, ...children) {
  return element("div", { class: "card" }, element("h3", {}, set.directory), element("p", { class: "soft" }, set.command + (set.is_partial ? ", not complete: the rows that were there" : "")), ...children);
}
function showOverview(overview, showLost) {
  document.title = overview.title;
  byId("title").textContent = overview.title;
  const speech = overview.speech_us / 1e6;
  byId("subtitle").textContent = `${count(overview.recordings, "recordings")} of ${count(overview.sets.length, "sets")}` +
    `${speech ? `, somebody talks in ${hours(speech)}` : ""}`;
  const longest = Math.max(...overview.sets.flatMap((set) => set.steps.map((step) => step.seconds)), 1e-9);
  for (const set of overview.sets) {
    const steps = set.steps.map((step) => bar("", step.label, `${hours(step.seconds)} · ${count(step.n, step.what)}`, step.seconds / longest));
    byId("hours").querySelector(".cards").append(setCard(set, ...(steps.length ? steps : [element("p", {}, set.is_partial ? "Hours are counted when the job ends." : "The job counts no hours.")])));
    if (set.losses.length) {
      const most = Math.max(...set.losses.map((loss) => loss.n));
      const bars = set.losses.map((loss) => {
        const [reason, ...meaning] = loss.meaning.split(", ");
        return bar(loss.of === "failures" ? "failed" : "lost", reason, count(loss.n, loss.what), loss.n / most, meaning.join(", "),
          overview.reasons.includes(loss.reason) ? () => showLost(loss.reason) : null);
      });
      byId("losses").querySelector(".cards").append(setCard(set, ...bars));
    }
    for (const cure of set.cures) byId("failures").querySelector(".stack").append(failureCard(set, cure));
  }
  if (!overview.sets.some((set) => set.losses.length)) byId("losses").querySelector(".cards").append(element("p", {}, "Nothing was dropped."));
  if (!overview.sets.some((set) => set.cures.length)) byId("failures").querySelector(".stack").append(element("p", {}, "Nothing has failed."));
}
function failureCard(set, cure) {
  const line = cure.command.length ? commandLine(commandText(cure.command)).box : null;
  return element("div", { class: "card" },
    element("h3", {}, `${number(cure.n)} × ${cure.code}`),
    element("p", { class: "soft" }, `${set.directory} · for example: ${cure.example}`),
    element("p", {}, `Cure: ${cure.cure}`), line);
}
