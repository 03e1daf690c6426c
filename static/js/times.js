// Times in the reader's zone (or UTC, if chosen); "3 m ago" and running clocks keep moving.

import { say } from "./words.js";

const zone = () => (document.documentElement.dataset.zone === "utc" ? "UTC" : undefined);
const format = (options) => new Intl.DateTimeFormat(undefined, { ...options, timeZone: zone() });
let clock, dated, full;
const two = (number) => String(number).padStart(2, "0");

function ago(seconds) {
  const distance = Math.abs(seconds);
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "m"]]) {
    if (distance >= size) {
      return say(seconds >= 0 ? "ago" : "in", say(unit, Math.floor(distance / size)));
    }
  }
  return say(seconds >= 0 ? "now" : "soon");
}

function duration(seconds) {
  if (seconds > 0 && seconds < 0.1) return say("ms", Math.round(seconds * 1000));
  if (seconds < 10) return say("s", seconds.toFixed(1));
  const whole = Math.round(seconds);
  if (whole < 60) return say("s", whole);
  if (whole < 3600) return `${say("m", Math.floor(whole / 60))} ${say("s", two(whole % 60))}`;
  return `${say("h", Math.floor(whole / 3600))} ${say("m", two(Math.floor((whole % 3600) / 60)))}`;
}

function localise() {
  for (const time of document.querySelectorAll("time:not([data-local])")) {
    const moment = new Date(time.dateTime);
    if ("clock" in time.dataset) time.textContent = clock.format(moment);
    if ("moment" in time.dataset) time.textContent = dated.format(moment);
    time.title = full.format(moment);
    time.dataset.local = "";
  }
}

function choose() {
  const hour = { hour: "2-digit", minute: "2-digit", hour12: false };
  clock = format({ ...hour, second: "2-digit" });
  dated = format({ ...hour, weekday: "short", day: "numeric", month: "short", year: "numeric" });
  full = format({ dateStyle: "medium", timeStyle: "long" });
  document.cookie = `zone=${format({}).resolvedOptions().timeZone};path=/;samesite=lax`;
  for (const time of document.querySelectorAll("time[data-local]")) delete time.dataset.local;
  localise();
}

function tick() {
  const now = Date.now();
  for (const node of document.querySelectorAll("[data-since]")) {
    const seconds = Number(node.dataset.base) + Math.max(0, now - Date.parse(node.dataset.since)) / 1000;
    node.textContent = duration(seconds);
  }
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const text = ago((now - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}

export function startTimes() {
  choose();
  tick();
  setInterval(tick, 1000);
  document.addEventListener("htmx:after:swap", localise);
  document.addEventListener("pref", choose);
}
