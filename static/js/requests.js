// A form is sent once; a failed request is said, not swapped in.

import { toast } from "./controls.js";
import { say } from "./words.js";

export const ENDS = [4401, 4403];
const sending = new WeakSet();
const on = (name, heard) => document.addEventListener(`htmx:${name}`, (event) => heard(event.detail.ctx ?? event.detail, event));
const asked = (ctx) => ["submit", "click"].includes(ctx.sourceEvent?.type);
const ended = async (code) => (await import("./ended.js")).tell(code);

export function startRequests() {
  document.addEventListener("submit", once, true);
  on("before:request", (ctx) => ctx.sourceEvent?.type === "submit" && sending.add(ctx.sourceElement));
  on("finally:request", (ctx) => sending.delete(ctx.sourceElement));
  on("after:request", answered);
  on("error", (ctx) => asked(ctx) && toast(say("unsent"), "failed"));
  on("ws:close", ({ code }) => ENDS.includes(code) && ended(code));
}

function once(event) {
  if (!sending.has(event.target)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}

// A whole page in answer to a part's request.
function answered(ctx, event) {
  const { select, text, response } = ctx;
  if (ctx.target === document.body || !/^\s*<!doctype/i.test(text)) return;
  const gone = response.raw.redirected && response.raw.url.includes("/login");
  if (select && !gone && (response.status < 400 || response.status === 422)) return;
  event.preventDefault();
  if (gone) ended(4401);
  else if (asked(ctx)) import("./ended.js").then(({ refused }) => refused(text));
}
