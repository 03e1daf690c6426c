// The list of sessions: what is chosen stays chosen when a row is told anew, and the page says when it lost its socket.

import { ENDS } from "./requests.js";

const form = document.getElementById("bulk");
const all = document.getElementById("all");
const chosen = new Set();
const boxes = () => [...document.querySelectorAll("#rows input[name=id]")];

function count() {
  form.querySelector("#picked").textContent = chosen.size ? `${chosen.size} ✓` : "";
  all.checked = chosen.size > 0 && chosen.size === boxes().length;
  all.indeterminate = chosen.size > 0 && !all.checked;
}

function keep() {
  for (const box of boxes()) box.checked = chosen.has(box.value);
}

if (form) {
  document.addEventListener("change", ({ target }) => {
    if (target === all) for (const box of boxes()) all.checked ? chosen.add(box.value) : chosen.delete(box.value);
    else if (target.name === "id") target.checked ? chosen.add(target.value) : chosen.delete(target.value);
    else return;
    keep();
    count();
  });
  for (const box of boxes()) if (box.checked) chosen.add(box.value);
  count();
}

const live = document.getElementById("live");
const banner = document.getElementById("connection");
live.addEventListener("htmx:ws:after:message:incoming", () => form && keep());
live.addEventListener("htmx:ws:after:connection", () => {
  banner.hidden = true;
  live.dataset.connected = "yes";
});
live.addEventListener("htmx:ws:close", ({ detail }) => {
  delete live.dataset.connected;
  if (ENDS.includes(detail.code) || document.hidden || detail.code === 1000) return;
  banner.hidden = false;
});
