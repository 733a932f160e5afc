"use strict";
const MOST_LISTED = 500;
const ROWS = 24;

/* Pieces that overlap lie below each other. */
function packed(spans) {
  const ends = [];
  return spans.map((span) => {
    let row = ends.findIndex((end) => end <= span[0]);
    if (row < 0) row = ends.length < ROWS ? ends.length : ROWS - 1;
    ends[row] = span[1];
    return row;
  });
}
function lane(label, duration, spans, classOf, textOf, height = 16) {
  const rows = packed(spans);
  const n = Math.max(1, ...rows.map((row) => row + 1));
  const svg = drawing("svg", { viewBox: `0 0 ${duration} ${n}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    ...spans.map((span, k) => drawing("rect", { x: span[0], y: rows[k] + 0.08, width: Math.max(span[1] - span[0], duration / 2000), height: 0.84, class: classOf(span) },
      drawing("title", {}, textOf(span)))));
  svg.style.height = `${n === 1 ? height : Math.max(7, height / 2) * n}px`;
  return element("div", { class: "lane" }, element("span", { class: "label" }, label), svg);
}
function waveform(peaks) {
  const bytes = Uint8Array.from(atob(peaks), (letter) => letter.charCodeAt(0));
  const loudest = Math.max(...bytes, 1);
  const height = (byte) => 48 * Math.sqrt(byte / loudest);
  const points = [...Array.from(bytes, (byte, k) => `${k},${50 - height(byte)}`), ...Array.from(bytes, (byte, k) => `${k},${50 + height(byte)}`).reverse()];
  const svg = drawing("svg", { viewBox: `0 0 ${bytes.length} 100`, preserveAspectRatio: "none", "aria-hidden": "true" }, drawing("polygon", { class: "wave", points: points.join(" ") }));
  svg.style.height = "64px";
  return element("div", { class: "lane" }, element("span", { class: "label" }, "waveform"), svg);
}
/* Levels from dark to bright: black, purple, orange, yellow, as far as the recording uses them. */
const GLOW = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]];
function spectrogram({ levels, n_bands: bands, highest }) {
  const bytes = Uint8Array.from(atob(levels), (letter) => letter.charCodeAt(0));
  const width = bytes.length / bands;
  const canvas = element("canvas", { width, height: bands, role: "img", "aria-label": `Spectrogram from 0 to ${number(highest)} Hz` });
  const brush = canvas.getContext("2d");
  const picture = brush.createImageData(width, bands);
  const loudest = bytes.reduce((most, byte) => Math.max(most, byte), 1);
  bytes.forEach((byte, at) => {
    const place = ((GLOW.length - 1) * byte) / loudest;
    const k = Math.min(GLOW.length - 2, Math.floor(place));
    picture.data.set([...GLOW[k].map((low, c) => low + (GLOW[k + 1][c] - low) * (place - k)), 255], 4 * at);
  });
  brush.putImageData(picture, 0, 0);
  return element("div", { class: "lane" }, element("span", { class: "label" }, `spectrogram · 0–${number(highest / 1000)} kHz`), canvas);
}
/* A button that fetches the spectrogram when it is first asked for, and hides it or shows it again. */
function spectrogramButton(name, lanes) {
  let lane = null;
  const button = element("button", { type: "button", class: "plain", "aria-pressed": "false" }, "Spectrogram");
  button.addEventListener("click", async () => {
    const isShown = button.getAttribute("aria-pressed") === "true";
    button.setAttribute("aria-pressed", String(!isShown));
    if (!lane) {
      lane = element("div", {});
      lanes.querySelector(".lane").after(lane);
      lane.append(await load(name).then(spectrogram, (error) => element("p", { class: "note", role: "alert" }, error.message)));
    } else lane.hidden = isShown;
  });
  return button;
}
function lanesOf(details, sets, duration) {
  const of = (span) => `${clock(span[0])}–${clock(span[1])}`;
  const lanes = details.peaks ? [waveform(details.peaks)] : [];
  const names = (numbers) => (sets.length > 1 ? ` · ${numbers.map((k) => sets[k].directory).join(", ")}` : "");
  for (const turns of details.turns) {
    turns.speakers.forEach((speaker, k) => lanes.push(lane(alone(speaker || "(no name)") + names(turns.sets), duration,
      turns.spans.filter((span) => span[2] === k), () => `s${k % 6}`, (span) => `${speaker}, ${of(span)}`)));
  }
  const reference = details.reference || [];
  [...new Set(reference.map((span) => span[2]))].forEach((speaker, k) => lanes.push(lane(`${alone(speaker)} · reference`, duration,
    reference.filter((span) => span[2] === speaker), () => `s${k % 6}`, (span) => `${speaker}, ${of(span)}`)));
  for (const kind of ["missed", "false alarm", "confused"]) {
    const spans = (details.errors || []).filter((span) => span[2] === kind);
    if (spans.length) lanes.push(lane(`${kind} · ${hours(spans.reduce((sum, span) => sum + span[1] - span[0], 0))}`, duration, spans, () => "error", (span) => `${kind}, ${of(span)}`));
  }
  for (const [set, spans] of Object.entries(details.windows)) {
    const kept = spans.filter((span) => span[3]), dropped = spans.filter((span) => !span[3]);
    lanes.push(lane(`windows kept${names([set])}`, duration, kept, () => "kept", (span) => `${of(span)}, ${span[2]} speakers`));
    if (dropped.length) lanes.push(lane(`windows dropped, as others share too much with them${names([set])}`, duration, dropped, () => "dropped", (span) => `${of(span)}, ${span[2]} speakers`));
  }
  for (const [set, spans] of Object.entries(details.clips)) {
    lanes.push(lane(`clips${names([set])}`, duration, spans, (span) => (span[4] ? "rejected" : "clip"), (span) => `${of(span)} ${span[2]} ${span[3]}${span[4] ? `, failed ${span[4]}` : ""}`));
  }
  return lanes;
}
function listing(title, head, rows, seek) {
  if (!rows.length) return null;
  const body = element("tbody", {});
  const box = element("details", {}, element("summary", {}, `${title} (${number(rows.length)})`));
  box.addEventListener("toggle", () => {
    if (!box.open || body.childElementCount) return;
    for (const row of rows.slice(0, MOST_LISTED)) {
      const [start, ...rest] = row;
      const first = typeof start === "number" ? element("button", { type: "button", class: "plain", "aria-label": `Play from ${clock(start)}`, onclick: () => seek(start, true) }, clock(start)) : String(start);
      body.append(element("tr", {}, element("td", {}, first), ...rest.map((cell) => element("td", {}, String(cell)))));
    }
    if (rows.length > MOST_LISTED) body.append(element("tr", {}, element("td", { colspan: head.length }, `and ${number(rows.length - MOST_LISTED)} more`)));
    box.append(element("div", { class: "scroll", tabindex: "0" }, element("table", {}, element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))), body)));
  });
  return box;
}
function listingsOf(details, sets, seek) {
  const end = (span) => clock(span[1]);
  const turns = details.turns.flatMap((of) => of.spans.map((span) => [span[0], end(span), of.speakers[span[2]]]));
  const windows = Object.values(details.windows).flatMap((spans) => spans.map((span) => [span[0], end(span), span[2], span[3] ? "kept" : "dropped: overlap"]));
  const clips = Object.values(details.clips).flatMap((spans) => spans.map((span) => [span[0], end(span), span[2], span[3], span[4] ? `failed ${span[4]}` : "written"]));
  const lost = Object.entries(details.lost).map(([reason, n]) => [reason, number(n)]);
  const failures = details.failures.map(([set, stage, code, message, cure]) => [sets[set].directory, stage, code, message, cure]);
  return [listing("Turns", ["from", "to", "who"], turns, seek), listing("Errors", ["from", "to", "kind"], (details.errors || []).map((span) => [span[0], end(span), span[2]]), seek),
    listing("Windows", ["from", "to", "speakers", "fate"], windows, seek),
    listing("Clips", ["from", "to", "who", "file", "fate"], clips, seek), listing("Lost here, by reason", ["reason", "how much"], lost, seek),
    listing("Failures", ["set", "stage", "code", "message", "cure"], failures, seek)].filter((box) => box);
}
/* The player, the picture that it moves over, and the lists whose times it jumps to. */
function recordingView(details, sets) {
  const duration = details.duration || 1;
  const audio = details.audio ? element("audio", { controls: true, preload: "metadata", src: details.audio }) : null;
  const note = element("p", { class: "note", hidden: !details.path || (audio && !details.problem) }, details.problem || "No browser plays this kind of file: it is shown without sound.");
  const head = element("div", { class: "head" });
  const lanes = element("div", { class: "lanes" }, ...lanesOf(details, sets, duration), head);
  const place = (seconds) => { head.style.left = `${(100 * seconds) / duration}%`; };
  const seek = (seconds, plays) => {
    place(seconds);
    if (!audio) return;
    audio.currentTime = seconds;
    if (plays) audio.play().catch(() => {});
  };
  audio?.addEventListener("timeupdate", () => place(audio.currentTime));
  audio?.addEventListener("error", () => { note.hidden = false; note.textContent = details.problem || "The recording is not where it was, or this browser cannot play it."; });
  lanes.addEventListener("click", (event) => {
    const box = lanes.getBoundingClientRect();
    seek((duration * (event.clientX - box.left)) / box.width, true);
  });
  let zoom = 1;
  const zoomed = (factor) => {
    zoom = Math.min(64, Math.max(1, zoom * factor));
    lanes.style.width = `${100 * zoom}%`;
  };
  const button = (text, label, onclick) => element("button", { type: "button", class: "plain", "aria-label": label, onclick }, text);
  const legend = (kind, text) => element("span", {}, element("i", { class: kind }), text);
  const legends = [Object.keys(details.windows).length ? [legend("kept", "window kept"), legend("dropped", "window dropped")] : [],
    Object.keys(details.clips).length ? [legend("clip", "clip"), legend("rejected", "clip that failed a filter")] : []].flat();
  return element("div", { class: "opened" }, element("p", { class: "soft" }, details.path ? `${alone(details.path)} · ${hours(duration)}` : "Rows that name no recording."), note, audio,
    element("div", { class: "tools" }, button("−", "Zoom out", () => zoomed(0.5)), button("+", "Zoom in", () => zoomed(2)), details.spectrogram ? spectrogramButton(details.spectrogram, lanes) : null, element("span", { class: "soft" }, "click the picture to play from there")),
    element("div", { class: "timeline", tabindex: "0", role: "region", "aria-label": "Turns, windows and clips over time" }, lanes),
    element("div", { class: "legend" }, ...legends), ...listingsOf(details, sets, seek));
}
