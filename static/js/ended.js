// A live page whose socket was closed for good: say why, lead back, and take away what would only be refused.

import { toast } from "./controls.js";
import { say } from "./words.js";

// 4401: the sign-in ended or the rights changed; 4403: no longer to be seen. Said once; what was typed stays to be copied.
export function tell(code) {
  if (document.body.dataset.ended) return;
  document.body.dataset.ended = code;
  const banner = document.getElementById("connection") ?? notice();
  const words = banner.querySelector("span") ?? banner;
  words.textContent = `${say(code)} `;
  const link = document.createElement("a");
  link.href = code === 4401 ? `/login?next=${encodeURIComponent(location.pathname + location.search)}` : "/";
  link.textContent = code === 4401 ? say("sign_in") : say("overview");
  words.append(link);
  banner.hidden = false;
  for (const button of document.querySelectorAll("form[method=post] button, button[form], [name^=reason]:placeholder-shown")) button.hidden = true;
}

function notice() {
  const made = Object.assign(document.createElement("p"), { className: "notice needs" });
  document.querySelector(".messages")?.append(made);
  scrollTo({ top: 0 });
  return made;
}

// The page that refused what a part of this one asked for, as a sentence.
export function refused(page) {
  const main = new DOMParser().parseFromString(page, "text/html");
  toast(["h1", "h1 ~ p"].map((one) => main.querySelector(one)?.textContent.trim()).join(". "), "failed");
}
