// What scripts add to pages that work without them: charts that answer the pointer, clocks, keys.
"use strict";

// Charts name colours as roles; the stylesheet knows them.
function painted(part) {
  if (Array.isArray(part)) return part.map(painted);
  if (part && typeof part === "object") return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, painted(value)]));
  if (typeof part !== "string" || !part.startsWith("role:")) return part;
  return getComputedStyle(document.documentElement).getPropertyValue(`--${part.slice(5)}`).trim();
}

function draw(root) {
  for (const chart of root.querySelectorAll("[data-chart]")) {
    const spec = painted(JSON.parse(chart.nextElementSibling.textContent));
    // `ast` evaluates expressions without eval, the styles vega-embed would inject are in portal.css.
    vegaEmbed(chart, spec, { ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true } });
  }
}

function drawWhenReady(root) {
  if (window.vegaEmbed) document.fonts.ready.then(() => draw(root));
}

// Clocks run on the server's time: what it said when the clock was made, plus what has passed since it came.
const came = new WeakMap();
function tick() {
  for (const clock of document.querySelectorAll("[data-countdown]")) {
    if (!came.has(clock)) came.set(clock, performance.now());
    const seconds = (performance.now() - came.get(clock)) / 1000;
    const left = Math.round((Date.parse(clock.dateTime) - Date.parse(clock.dataset.now)) / 1000 - seconds);
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(left / 3600);
    const span = `${hours ? `${hours}:` : ""}${two(Math.floor(left / 60) % 60)}:${two(left % 60)}`;
    clock.textContent = left <= 0 ? clock.dataset.over : clock.dataset.in.replace("{left}", span);
  }
}

// A form that acts is sent once a moment, however often its button is pressed.
const sent = new WeakSet();
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (sent.has(event.target)) event.preventDefault();
  sent.add(event.target);
  // A form may also answer with a file and stay: it can be sent again in a moment.
  setTimeout(() => sent.delete(event.target), 3000);
});
const typing = (target) => target.closest("input, select, textarea");
let going = false;

function moveRow(step) {
  const rows = [...document.querySelectorAll("table[data-rows] tbody tr")];
  const here = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.max(0, Math.min(rows.length - 1, here + step))];
  if (next) (next.querySelector("a") || next).focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const key = event.key;
  if (going) {
    going = false;
    const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
    if (link) link.click();
  } else if (key === "g") {
    going = true;
  } else if (key === "?") {
    document.getElementById("keys").showModal();
  } else if (key === "/") {
    event.preventDefault();
    const search = document.querySelector("[data-search]");
    if (search) search.focus();
    else location.assign("/find");
  } else if (key === "j" || key === "k") {
    moveRow(key === "j" ? 1 : -1);
  }
});

// Empty fields say nothing: they stay out of the address.
document.addEventListener("htmx:configRequest", (event) => {
  const said = event.detail.formData;
  for (const name of [...said.keys()]) {
    const values = said.getAll(name).filter((value) => value !== "");
    said.delete(name);
    values.forEach((value) => said.append(name, value));
  }
});
document.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData.entries()]) if (value === "") event.formData.delete(name);
});

// A swapped form keeps the reader's place: what was unfolded stays so (htmx itself keeps the focus, by id).
let unfolded = null;
document.addEventListener("htmx:beforeSwap", () => {
  unfolded = new Map([...document.querySelectorAll("details[id]")].map((fold) => [fold.id, fold.open]));
});
document.addEventListener("htmx:afterSettle", (event) => {
  for (const [id, open] of unfolded || []) {
    const fold = document.getElementById(id);
    if (fold) fold.open = open;
  }
  drawWhenReady(event.detail.elt);
});

// Live refresh waits while nobody looks, and while somebody is choosing.
document.addEventListener("htmx:beforeRequest", (event) => {
  const live = event.detail.elt;
  if (!live.matches("[data-live]")) return;
  if (document.hidden || (live.contains(document.activeElement) && typing(document.activeElement))) event.preventDefault();
});

// On a narrow screen the results of a search come first.
const filters = document.getElementById("fold-filters");
if (filters && location.search && matchMedia("(max-width: 52rem)").matches) filters.open = false;

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawWhenReady(document));
drawWhenReady(document);
tick();
setInterval(tick, 1000);
