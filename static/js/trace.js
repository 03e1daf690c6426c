// Open bars of the trace grow by the page's own clock, at the rate they bear, until the server tells what came of them.

function grow() {
  for (const bar of document.querySelectorAll("#bars [data-rate]")) {
    bar.setAttribute("width", Math.max(1.5, ((Date.now() - Date.parse(bar.dataset.from)) / 1000) * bar.dataset.rate));
  }
}

if (document.querySelector("[data-live]")) setInterval(grow, 500);
