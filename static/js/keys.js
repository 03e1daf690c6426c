// The keyboard: data-key="g s" on an element makes those keys press it (or focus a field); j and k walk through
// [data-row]; "?" shows the table; Ctrl K the palette. Single keys rest while one types.

const PAUSE = 1200;
const PREFIX = "g";
const ROWS = "[data-row], #log > .row";
const visible = (node) => node.checkVisibility?.() ?? node.offsetParent !== null;
const typing = (node) => node.matches?.("input, textarea, select, [contenteditable]") && node.type !== "checkbox";
const asked = () => import("./asked.js");

let before = "";
let timer = 0;
let on = "";

export function startKeys() {
  document.addEventListener("keydown", pressed);
  document.addEventListener("htmx:after:swap", swapped);
  document.addEventListener("pointerdown", () => (on = ""));
  document.addEventListener("click", (event) => event.target.closest("[data-palette]") && openPalette());
  const palette = document.getElementById("palette");
  palette?.addEventListener("input", () => search(palette));
  palette?.addEventListener("keydown", (event) => walk(palette, event));
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
  if (keys === "?") return asked().then((it) => it.openSheet());
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

// A swap may take the focus: back to the same row.
function swapped() {
  const row = document.activeElement === document.body && on && document.getElementById(on);
  if (row) stand(row);
}

// The palette: navigation and [data-command] at once, then what the server finds.

function openPalette() {
  const palette = document.getElementById("palette");
  if (!palette || palette.open) return;
  palette.querySelector("input").value = "";
  palette.showModal();
  search(palette);
}

const label = (node) => {
  const group = node.closest("fieldset")?.querySelector("legend").textContent;
  return (group ? `${group}: ` : "") + (node.dataset.command || node.textContent.trim() || node.title);
};

function entry(node) {
  const item = document.createElement("li");
  const button = Object.assign(document.createElement("button"), { type: "button" });
  const icon = node.querySelector("svg")?.cloneNode(true);
  icon?.setAttribute("aria-hidden", "true");
  button.append(icon ?? "", label(node));
  button.addEventListener("click", () => {
    document.getElementById("palette").close();
    node.click();
  });
  item.setAttribute("role", "option");
  item.append(button);
  return item;
}

function search(palette) {
  const words = palette.querySelector("input").value.trim();
  const list = palette.querySelector("ul");
  const offered = [...document.querySelectorAll(`.mainnav a, [data-command]${words && ", #view [data-pref]"}`)];
  const fitting = offered.filter((node) => label(node).toLowerCase().includes(words.toLowerCase()));
  list.replaceChildren(...fitting.slice(0, 20).map(entry));
  mark(list, 0);
  clearTimeout(timer);
  if (words) timer = setTimeout(async () => (await asked()).ask(palette, words, mark), 150);
}

function mark(list, at) {
  const items = [...list.children];
  items.forEach((item, index) => {
    item.id = `found-${index}`;
    item.setAttribute("aria-selected", String(index === at));
  });
  items[at]?.scrollIntoView({ block: "nearest" });
  list.previousElementSibling.setAttribute("aria-activedescendant", items[at]?.id ?? "");
}

function walk(palette, event) {
  const list = palette.querySelector("ul");
  const at = [...list.children].findIndex((item) => item.ariaSelected === "true");
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (by) mark(list, (at + by + list.children.length) % list.children.length);
  else if (event.key === "Enter") list.children[at]?.querySelector("a, button").click();
  else return;
  event.preventDefault();
}
