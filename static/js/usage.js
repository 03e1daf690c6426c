// The chart of the usage page: the table's numbers as lines, money or tokens, in the colours of the page.

const root = document.getElementById("chart");
const family = getComputedStyle(document.documentElement).getPropertyValue("--sans");
const COLOURS = ["--accent", "--kind-person", "--kind-memory", "--kind-model", "--kind-tool", "--failed", "--muted"];
const DAY = 86400;
const data = root && JSON.parse(root.dataset.series);
let shown = "money", chart;

// The tokens of the page are written with light-dark(); a canvas needs the colour that comes of it.
function colour(name) {
  const probe = document.createElement("i");
  probe.className = "away";
  document.body.append(probe);
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function amount(value) {
  if (value == null) return "–";
  if (shown === "tokens") return new Intl.NumberFormat(undefined, { notation: "compact" }).format(value);
  return value > 0 && value < 0.01 ? "<$0.01" : `$${value.toFixed(2)}`;
}

function day(seconds) {
  return new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" }).format(seconds * 1000);
}

function draw() {
  const days = data.days.map((day) => Date.parse(`${day}T00:00:00Z`) / 1000);
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: `12px ${family}` };
  chart?.destroy();
  chart = new uPlot(
    {
      width: root.clientWidth,
      height: 240,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { y: { range: (_plot, _low, high) => [0, high || 1] } },
      axes: [{ ...axis, incrs: [1, 2, 7, 14, 30, 60].map((days) => days * DAY), values: (_plot, ticks) => ticks.map(day) }, { ...axis, size: 64, values: (_plot, ticks) => ticks.map(amount) }],
      series: [
        { label: root.dataset.day, value: (_plot, seconds) => (seconds == null ? `${data.days[0]} – ${data.days.at(-1)}` : new Date(seconds * 1000).toISOString().slice(0, 10)) },
        ...data.labels.map((label, index) => ({
          label,
          stroke: colour(COLOURS[index % COLOURS.length]),
          width: 2,
          dash: index >= 4 ? [6, 4] : undefined,
          points: { show: days.length < 40, size: 5 },
          value: (_plot, value, at, here) => amount(here == null ? data[shown][at - 1].reduce((sum, one) => sum + one, 0) : value),
        })),
      ],
    },
    [days, ...data[shown]],
    root,
  );
}

if (root) {
  const buttons = document.querySelectorAll("[data-shows]");
  for (const button of buttons) {
    button.addEventListener("click", () => {
      shown = button.dataset.shows;
      for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
      draw();
    });
  }
  if (!data.money.flat().some(Boolean)) document.querySelector("[data-shows=tokens]").click();
  else draw();
  document.addEventListener("pref", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (root.clientWidth !== width) {
      width = root.clientWidth;
      chart.setSize({ width, height: 240 });
    }
  }).observe(root);
}
