// The keyboard: data-key="g s" on an element makes those keys press it (or focus a field); j and k walk through
// [data-row]; "?" shows the table; Ctrl or Command and K opens the palette. Single keys rest while one types.

const PAUSE = 1200;
const PREFIX = "g";
const ROWS = "[data-row], #log > .row";
const visible = (node) => node.checkVisibility?.() ?? node.offsetParent !== null;
const typing = (node) => node.matches?.("input, textarea, select, [contenteditable]") && node.type !== "checkbox";

let before = "";
let timer = 0;
let on = "";

export function startKeys() {
  document.addEventListener("keydown", pressed);
  document.addEventListener("htmx:after:swap", swapped);
  document.addEventListener("pointerdown", () => (on = ""));
  document.addEventListener("click", (event) => event.target.closest("[data-palette]") && openPalette());
}

function pressed(event) {
  if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
  if (document.documentElement.dataset.keys === "off" || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const keys = before ? `${before} ${event.key}` : event.key;
  remember(keys === PREFIX ? PREFIX : "");
  if (single(keys, event) !== false) event.preventDefault();
}

function remember(keys) {
  clearTimeout(timer);
  before = keys;
  if (keys) timer = setTimeout(() => remember(""), PAUSE);
}

function single(keys, event) {
  if (keys === "?") return openSheet();
  if (keys === "j" || keys === "k") return move(keys === "j" ? 1 : -1);
  if (keys === "Enter" && event.target.matches(ROWS)) return event.target.querySelector("a, button")?.click();
  const target = find(keys);
  if (!target) return false;
  if (typing(target) || "arm" in target.dataset) target.focus(); // Enter then presses what must not go off by itself
  else target.click();
}

// The row one is on comes first; a key that every row offers does nothing until one is on a row.
function find(keys) {
  const offered = [...document.querySelectorAll(`[data-key="${CSS.escape(keys)}"]`)].filter(visible);
  const row = document.querySelector(".current");
  return offered.find((node) => row?.contains(node)) ?? offered.find((node) => !node.closest("[data-row]"));
}

function move(by) {
  const rows = [...document.querySelectorAll(ROWS)].filter(visible);
  if (!rows.length) return false;
  const at = rows.indexOf(document.activeElement?.closest(ROWS) ?? document.querySelector(".current"));
  document.querySelector(".current")?.classList.remove("current");
  stand(rows[Math.min(rows.length - 1, Math.max(0, at + by))]).scrollIntoView({ block: "nearest" });
}

function stand(row) {
  row.classList.add("current");
  row.tabIndex = -1;
  row.focus({ preventScroll: true });
  on = row.id;
  return row;
}

// A swap may take the focus: back to the same row, never to another.
function swapped() {
  const row = document.activeElement === document.body && on && document.getElementById(on);
  if (row) stand(row);
}

async function openSheet() {
  const sheet = document.getElementById("sheet");
  const place = sheet.querySelector("div");
  sheet.showModal();
  if (place.childElementCount) return;
  const answer = await fetch(sheet.dataset.href);
  if (!answer.ok || answer.redirected) return location.assign(sheet.dataset.href); // signed out: the page says so
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  place.replaceChildren(page.querySelector(".keysheet"));
}

// The palette opens at once; what it does comes with its module, which most pages never need.
async function openPalette() {
  const palette = document.getElementById("palette");
  if (!palette || palette.open) return;
  palette.querySelector("input").value = "";
  palette.showModal();
  (await import("./palette.js")).search();
}
