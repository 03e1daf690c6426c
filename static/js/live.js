// The session page's socket: resume after the last event seen, say when it is away, follow the end.

import { ENDS } from "./requests.js";
import { say } from "./words.js";

const NEAR_END = 120;
const REFRESH = 3000;
const KINDS = "#log > .row:not(.streaming)";

export function startLive(root) {
  if (!root) return;
  const page = new SessionPage(root);
  root.addEventListener("htmx:ws:before:connection", (event) => page.connecting(event.detail.connection));
  root.addEventListener("htmx:ws:after:connection", () => page.connected());
  root.addEventListener("htmx:ws:close", (event) => page.closed(event.detail));
  root.addEventListener("htmx:ws:before:message:incoming", () => page.before());
  root.addEventListener("htmx:ws:after:message:incoming", (event) => page.received(event.detail));
  addEventListener("scroll", () => page.scrolled(), { passive: true });
  page.titled();
}

class SessionPage {
  constructor(root) {
    this.root = root;
    this.seq = Number(root.dataset.seq);
    this.banner = document.getElementById("connection");
    this.more = document.getElementById("newer");
    this.title = document.title;
    this.unseen = 0;
    this.follow = this.atEnd();
    this.more?.addEventListener("click", () => this.toEnd());
  }

  connecting(connection) {
    const url = new URL(connection.url);
    url.searchParams.set("after", this.seq);
    connection.url = url.href;
  }

  connected() {
    this.banner.hidden = true;
    this.root.dataset.connected = "yes";
  }

  closed({ code, connection }) {
    delete this.root.dataset.connected;
    if (ENDS.includes(code) || document.hidden || code === 1000) return;
    const again = connection?.config.reconnectCodes.includes(code);
    this.banner.querySelector("span").textContent = say(again ? "back" : "end", this.seq);
    this.banner.hidden = false;
  }

  before() {
    this.follow = this.atEnd();
    this.rows = document.querySelectorAll(KINDS).length;
  }

  received({ connection, message }) {
    const frame = JSON.parse(message.data);
    if (typeof frame.seq === "number" && frame.seq > this.seq) {
      this.seq = frame.seq;
      this.root.dataset.seq = frame.seq;
      this.connecting(connection);
    }
    const added = document.querySelectorAll(KINDS).length - this.rows;
    if (added > 0) document.querySelector("#log > .row:last-child")?.classList.add("new");
    if (this.follow) this.toEnd();
    else if (added > 0) this.count(added);
    this.titled();
    this.refresh();
  }

  // What is drawn from the whole log is fetched anew, seldom.
  refresh() {
    this.late ??= setTimeout(() => {
      this.late = undefined;
      for (const id of ["minimap", "inspected", "pulse", "reading"]) document.getElementById(id)?.dispatchEvent(new Event("refresh"));
    }, REFRESH);
  }

  atEnd() {
    return scrollY + innerHeight >= document.documentElement.scrollHeight - NEAR_END;
  }

  toEnd() {
    scrollTo({ top: document.documentElement.scrollHeight });
    this.count(-this.unseen);
  }

  scrolled() {
    if (this.unseen && this.atEnd()) this.count(-this.unseen);
  }

  count(by) {
    this.unseen += by;
    if (!this.more) return;
    this.more.hidden = this.unseen === 0;
    this.more.querySelector("span").textContent = say("new", this.unseen);
  }

  // The tab tells a person in another window that the agent waits.
  titled() {
    const waits = document.querySelector("#state-now .pill.needs") !== null;
    const title = waits ? `(!) ${this.title}` : this.title;
    if (document.title !== title) document.title = title;
  }
}
