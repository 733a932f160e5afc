"use strict";
/* Data comes in scripts, which call take: a page from the disk may read no other files. In a page of one file it is there. */
const loading = new Map();
function take(name, value) { loading.get(name)?.resolve(value); }
function load(name) {
  if (!loading.has(name)) {
    const entry = {};
    entry.promise = new Promise((resolve, reject) => { Object.assign(entry, { resolve, reject }); });
    loading.set(name, entry);
    const block = document.getElementById(`data-${name}`);
    if (block) {
      entry.resolve(JSON.parse(block.textContent));
      return entry.promise;
    }
    const script = document.createElement("script");
    script.src = `page_files/${name}.js`;
    script.onerror = () => entry.reject(new Error(`page_files/${name}.js is missing: keep the folder page_files beside index.html`));
    document.head.append(script);
  }
  return loading.get(name).promise;
}

/* Texts get into the page as text alone, so that no name can become a tag. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}
function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
/* A name that is written from right to left, or pretends to be, leaves the words around it alone. */
const alone = (text) => `\u2068${text}\u2069`;
const byId = (id) => document.getElementById(id);

const number = (value, digits = 2) => value.toLocaleString("en-US", { maximumFractionDigits: digits });
function hours(seconds) {
  if (seconds >= 360) return `${number(seconds / 3600)} h`;
  return seconds >= 60 ? `${number(seconds / 60, 1)} min` : `${number(seconds, 1)} s`;
}
function clock(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  return (whole >= 3600 ? `${Math.floor(whole / 3600)}:` : "") + parts.join(":");
}
const SINGULAR = { entries: "entry", "kept": "kept" };
const count = (n, what) => `${number(n)} ${n === 1 ? SINGULAR[what] || what.replace(/s$/, "") : what}`;
const share = (part, whole) => (whole ? `${number((100 * part) / whole, 1)} %` : "0 %");

/* As shlex.quote of Python does it. */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);
const commandText = (words, value) => words.map((word) => quoted(value === undefined ? word : word.replace("{}", value))).join(" ");

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", {}, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  byId("said").textContent = "Copied.";
}
function commandLine(text) {
  const code = element("code", { tabindex: "0" }, text);
  const button = element("button", { type: "button", class: "plain", "aria-label": "Copy the command" }, "Copy");
  button.addEventListener("click", async () => {
    await copy(code.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return { box: element("div", { class: "command" }, code, button), code };
}
