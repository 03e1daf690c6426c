// Plays an exported session. The file never leaves the browser. Everything in it is put on the page as text; of what
// the export shows of an agent's words only the elements that our pages use, made anew without what else they say.

import { say } from "./words.js";

const LONGEST_PAUSE = 3000;
const SHOWN = 400;
const MAX_BYTES = 256 * 1024 * 1024;
let player;
const byId = (id) => document.getElementById(id);
const TAGS = new Set(byId("played").dataset.tags.split(" "));
const UNREAD = new Set(["script", "style", "template", "svg", "math", "iframe", "object", "noscript", "title"]);
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

class Player {
  constructor(head, steps, end) {
    Object.assign(this, { steps, at: 0, timer: 0 });
    byId("player").hidden = false;
    byId("name").textContent = head.title || say("untitled");
    const masked = end ? say("masked", end.masked) : say("cut");
    byId("about").textContent = `${head.agent?.name ?? ""}, ${say("steps", steps.length)}, ${masked}`;
    byId("at").max = steps.length;
    byId("at").oninput = () => this.go(Number(byId("at").value));
    byId("play").onclick = () => (this.timer ? this.pause() : this.play());
    this.go(0);
    this.play();
  }

  go(to) {
    this.at = to;
    const from = Math.max(0, to - SHOWN);
    byId("played").replaceChildren(...this.steps.slice(from, to).map(row));
    this.show();
    if (this.timer) this.next(); // what it waited to show comes from where it was
  }

  show() {
    byId("at").value = this.at;
    const step = this.steps[this.at - 1];
    byId("where").textContent = step ? `${say("at", step.seq)} · ${clock.format(new Date(step.created_at))}` : say("start");
    if (this.at >= this.steps.length) this.pause();
  }

  play() {
    if (this.at >= this.steps.length) this.go(0);
    byId("play").querySelector("span").textContent = say("pause");
    this.next();
  }

  next() {
    clearTimeout(this.timer);
    const now = this.steps[this.at - 1], then = this.steps[this.at];
    if (!then) return this.pause();
    const gap = now ? Date.parse(then.created_at) - Date.parse(now.created_at) : 0;
    this.timer = setTimeout(() => {
      this.at += 1;
      byId("played").append(row(then));
      if (byId("played").childElementCount > SHOWN) byId("played").firstElementChild.remove();
      byId("played").lastElementChild.scrollIntoView({ block: "nearest" });
      this.show();
      if (this.timer) this.next();
    }, Math.min(LONGEST_PAUSE, gap) / Number(byId("speed").value));
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = 0;
    byId("play").querySelector("span").textContent = say("play");
  }
}

const NAMES = { "user.message": ["person", "message"], "system.message": ["note", "system"], "agent.message": ["agent", "agent"], "session.error": ["error", "error"] };
const ENDS = new Set(["end_turn", "requires_action", "budget_reached", "retries_exhausted"]);
const text = (blocks) => (Array.isArray(blocks) ? blocks.map((block) => block.text ?? `[${block.type}]`).join("\n\n") : String(blocks ?? ""));

function told(event) {
  if (event.type in NAMES) return [NAMES[event.type][0], say(NAMES[event.type][1]), event.error?.message ?? text(event.content), "div"];
  if (/tool_use$/.test(event.type)) return ["call", say("call", event.name), event.input?.command ?? JSON.stringify(event.input, null, 2), "pre"];
  if (/tool_result$/.test(event.type)) return ["call", say(event.is_error ? "failed" : "result"), text(event.content), "pre"];
  if (event.type === "user.tool_confirmation") return ["person", say(event.result === "allow" ? "approved" : "denied"), event.deny_message ?? "", "div"];
  if (event.type === "user.interrupt") return ["mark", say("stopped"), "", "div"];
  if (event.type === "session.status_idle") {
    const why = String(event.stop_reason?.type);
    return ["mark", ENDS.has(why) ? say(why) : say("ended", why.replaceAll("_", " ")), "", "div"];
  }
  return null;
}

function element(tag, className, words) {
  return Object.assign(document.createElement(tag), { className, textContent: words ?? "" });
}

function prose(html) {
  const made = element("div", "prose");
  copy(new DOMParser().parseFromString(html, "text/html").body, made);
  return made;
}

// Elements that aren't ours are left out; what they hold comes in their place, unless it is no text for readers.
function copy(from, to) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) to.append(node.data);
    if (node.nodeType !== Node.ELEMENT_NODE || UNREAD.has(node.localName)) continue;
    const made = TAGS.has(node.localName) ? to.appendChild(document.createElement(node.localName)) : to;
    if (made !== to && node.localName === "a" && /^(https?:\/\/|mailto:)/i.test(node.getAttribute("href"))) {
      Object.assign(made, { href: node.getAttribute("href"), rel: "noopener noreferrer nofollow" });
    }
    if (node.localName === "ol") made.start = node.start;
    if (node.localName === "pre") made.tabIndex = 0;
    copy(node, made);
  }
}

function row(step) {
  const [kind, name, words, tag] = step.told;
  const item = element("li", `row ${kind}`);
  const what = element("div", "what");
  const line = element("div", "line");
  line.append(element("strong", "", name), element("span", "seq", step.seq));
  what.append(line);
  if (step.shown) what.append(prose(step.shown));
  else if (words) what.append(element(tag, tag === "pre" ? "code" : "prose plain", words));
  item.append(element("span", "rail"), what);
  return item;
}

async function open(file) {
  byId("wrong").hidden = true;
  try {
    if (file.size > MAX_BYTES) throw new Error(say("large"));
    const lines = (await file.text()).split("\n").filter((line) => line.trim()).map((line) => JSON.parse(line));
    const head = lines.shift();
    if (head?.type !== "holdfast.session") throw new Error(say("foreign"));
    const end = lines.at(-1)?.type === "end" ? lines.pop() : null;
    const steps = lines.filter((line) => line.event && line.on_session !== false);
    player?.pause();
    player = new Player(head, steps.map((step) => ({ ...step, told: told(step.event), shown: typeof step.shown === "string" ? step.shown : "" })).filter((step) => step.told), end);
  } catch (error) {
    byId("wrong").textContent = error instanceof SyntaxError ? say("broken") : error.message;
    byId("wrong").hidden = false;
    byId("player").hidden = true;
  }
}

byId("file").addEventListener("change", (event) => event.target.files[0] && open(event.target.files[0]));
const drop = byId("drop");
drop.addEventListener("dragover", (event) => event.preventDefault());
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
});
