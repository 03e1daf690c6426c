// A session's pages: one selected event in every reading; the timeline.
import { startLive } from "./live.js";

startLive(document.getElementById("live"));

// The number of a row selects it; the tabs then lead to that event.
function select(seq, row) {
  const url = new URL(location.href);
  url.searchParams.set("event", seq);
  history.replaceState(null, "", url);
  for (const marked of document.querySelectorAll("#log > [aria-current]")) marked.removeAttribute("aria-current");
  row?.setAttribute("aria-current", "true");
  row?.scrollIntoView({ block: "center" });
  for (const tab of document.querySelectorAll(".sessionhead .tabs a")) tab.search = `?event=${seq}`;
}

document.addEventListener("click", (event) => {
  const fork = event.target.closest("#fork");
  if (fork) fork.search = location.search; // from the selected event
  const number = event.target.closest("#log a.seq");
  if (!number || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  const row = number.closest(".row");
  select(row.dataset.seq, row);
});

document.querySelector("#log > [aria-current], :is(#trace, .events) [aria-current]")?.scrollIntoView({ block: "center" });

// The timeline. data-stops="x:seq …" says where the playhead can stand, x from 0 to 1000.
const map = () => document.querySelector("#minimap[data-stops]");
const stops = () => map().dataset.stops.split(" ").filter(Boolean).map((stop) => stop.split(":").map(Number));
let from = null;

function place(event) {
  const box = map().querySelector("svg").getBoundingClientRect();
  return Math.min(1000, Math.max(0, ((event.clientX - box.left) / box.width) * 1000));
}

const nearest = (x) => stops().reduce((best, stop) => (Math.abs(stop[0] - x) < Math.abs(best[0] - x) ? stop : best));

function stand([x, seq]) {
  const svg = map().querySelector("svg");
  svg.querySelector(".head").setAttribute("x", Math.min(998, x));
  svg.setAttribute("aria-valuenow", seq);
}

// The event's row, or the last one before it: results have none.
function show(seq) {
  const rows = [...document.querySelectorAll("#log > .row[data-seq]")];
  const row = rows.filter((one) => Number(one.dataset.seq) <= seq).at(-1);
  if (row && Number(rows[0].dataset.seq) <= seq) select(row.dataset.seq, row);
  else location.href = `${map().dataset.here}?event=${seq}`;
}

document.addEventListener("pointerdown", (event) => {
  if (map() && event.button === 0 && event.target.closest("#minimap svg")) from = place(event);
});

document.addEventListener("pointermove", (event) => {
  if (from === null || !map()) return;
  const brush = map().querySelector(".brush"), to = place(event);
  brush.setAttribute("x", Math.min(from, to));
  brush.setAttribute("width", Math.abs(to - from));
});

document.addEventListener("pointerup", (event) => {
  if (from === null || !map() || !stops().length) return;
  const start = Math.min(from, place(event)), end = Math.max(from, place(event));
  from = null;
  if (end - start < 8) {
    stand(nearest(end));
    show(nearest(end)[1]);
  } else {
    location.href = `${map().dataset.trace}?from=${nearest(start)[1]}&to=${nearest(end)[1]}`;
  }
});

// A finger that scrolls takes its press back.
document.addEventListener("pointercancel", () => (from = null));

document.addEventListener("keydown", (event) => {
  if (!event.target.closest?.("#minimap svg")) return;
  const all = stops();
  const at = all.findIndex(([, seq]) => seq >= Number(event.target.getAttribute("aria-valuenow")));
  const now = at < 0 ? all.length - 1 : at;
  const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: all.length - 1, Enter: now }[event.key];
  if (to === undefined || !all.length) return;
  event.preventDefault();
  const stop = all[Math.min(all.length - 1, Math.max(0, to))];
  stand(stop);
  show(stop[1]);
});
