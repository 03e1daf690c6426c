// A live page whose socket was closed for good: say why, lead back, and take away what would only be refused.

import { say } from "./words.js";

const ENDS = [4401, 4403];

// True if `code` was such an end; the banner says so then. What was typed stays to be copied.
export function ended(code, banner) {
  if (!ENDS.includes(code)) return false;
  const words = banner.querySelector("span") ?? banner;
  words.textContent = `${say(code)} `;
  const link = document.createElement("a");
  link.href = code === 4401 ? `/login?next=${encodeURIComponent(location.pathname + location.search)}` : "/";
  link.textContent = code === 4401 ? say("sign_in") : say("overview");
  words.append(link);
  banner.hidden = false;
  for (const button of document.querySelectorAll("form[method=post] button, button[form]")) button.hidden = true;
  return true;
}

// A page without a place for such words gets one at its head, once.
export function startEnds() {
  document.addEventListener("htmx:ws:close", ({ detail }) => {
    if (!ENDS.includes(detail.code) || document.getElementById("connection")) return;
    const banner = document.createElement("div");
    banner.id = "connection";
    banner.className = "notice needs";
    banner.append(document.createElement("span"));
    document.querySelector(".messages").append(banner);
    ended(detail.code, banner);
  });
}
