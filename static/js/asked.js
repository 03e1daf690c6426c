// What the server tells the palette and the table of keys; loaded when somebody asks.

export async function openSheet() {
  const sheet = document.getElementById("sheet");
  const place = sheet.querySelector("div");
  sheet.showModal();
  if (place.childElementCount) return;
  const answer = await fetch(sheet.dataset.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  place.replaceChildren(page.querySelector(".keysheet"));
}

export async function ask(palette, words, mark) {
  const answer = await fetch(`${palette.dataset.href}?q=${encodeURIComponent(words)}`);
  if (!answer.ok || palette.querySelector("input").value.trim() !== words) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const list = palette.querySelector("ul");
  list.append(...page.querySelectorAll("li"));
  if (!list.querySelector("[aria-selected=true]")) mark(list, 0);
}
