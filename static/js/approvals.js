// The inbox: the tab tells how many wait, a screen reader hears of new ones, and "e" opens what it is about to change.

import { say } from "./words.js";

const title = document.title.replace(/^\(\d+\) /, "");
const list = document.getElementById("approvals");
let known = count();

function count() {
  return document.querySelectorAll(".approval.waiting").length;
}

function tell() {
  const now = Number(document.getElementById("waiting-count")?.textContent ?? count());
  document.title = now ? `(${now}) ${title}` : title;
  const waiting = count();
  if (waiting > known) document.getElementById("asked").textContent = say("asked");
  known = waiting;
}

list?.addEventListener("htmx:ws:after:message:incoming", tell);
document.addEventListener("htmx:after:swap", tell);
document.addEventListener(
  "toggle",
  (event) => event.target.open && event.target.querySelector("textarea")?.focus(),
  true,
);
