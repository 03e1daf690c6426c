// The overview: the tab's title and icon say when a person is needed, also while the tab is hidden.

const title = document.title.replace(/^\(\d+\) /, "");
const icon = document.querySelector("link[rel=icon]");
const { asking, calm } = icon.dataset;
let known = count();

function count() {
  return Number(document.getElementById("needs-count").textContent);
}

function tell() {
  const now = count();
  document.title = now ? `(${now}) ${title}` : title;
  const wanted = now ? asking : calm;
  if (icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
  if (now > known) document.getElementById("asked").textContent = document.querySelector("#needs .needcard p")?.textContent ?? "";
  known = now;
  const any = document.querySelector("#needs li, #outside li, #running tr, #finished tr");
  if (any) document.getElementById("first")?.remove();
}

document.getElementById("inbox").addEventListener("htmx:ws:after:message:incoming", tell);
tell();
