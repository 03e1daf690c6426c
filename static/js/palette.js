// The palette: what the page offers by name, and what the server finds for the words.

const palette = document.getElementById("palette");
let timer = 0;

palette.addEventListener("input", search);
palette.addEventListener("keydown", walk);

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
    palette.close();
    node.click();
  });
  item.setAttribute("role", "option");
  item.append(button);
  return item;
}

export function search() {
  const words = palette.querySelector("input").value.trim();
  const list = palette.querySelector("ul");
  const offered = [...document.querySelectorAll(`.mainnav a, [data-command]${words && ", #view [data-pref]"}`)];
  const fitting = offered.filter((node) => label(node).toLowerCase().includes(words.toLowerCase()));
  list.replaceChildren(...fitting.slice(0, 20).map(entry));
  mark(list, 0);
  clearTimeout(timer);
  if (words) timer = setTimeout(() => ask(words), 150);
}

async function ask(words) {
  const answer = await fetch(`${palette.dataset.href}?q=${encodeURIComponent(words)}`);
  if (!answer.ok || palette.querySelector("input").value.trim() !== words) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const list = palette.querySelector("ul");
  list.append(...page.querySelectorAll("li"));
  if (!list.querySelector("[aria-selected=true]")) mark(list, 0);
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

function walk(event) {
  const list = palette.querySelector("ul");
  const at = [...list.children].findIndex((item) => item.ariaSelected === "true");
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (by) mark(list, (at + by + list.children.length) % list.children.length);
  else if (event.key === "Enter") list.children[at]?.querySelector("a, button").click();
  else return;
  event.preventDefault();
}
