// View settings, copying, asking before what can't be undone, drawers, and sending a form with Ctrl or Command and Enter.
// All by delegation, so that what is swapped in later works too.

import { say } from "./words.js";

const root = document.documentElement;

export function toast(text, tone = "") {
  const note = Object.assign(document.createElement("p"), { className: `notice ${tone}`, textContent: text });
  document.getElementById("toasts")?.append(note);
  setTimeout(() => note.remove(), 6000);
}

export function startControls() {
  document.addEventListener("click", clicked);
  document.addEventListener("submit", ask, true);
  document.addEventListener("keydown", pressed);
  document.addEventListener("toast", (event) => toast(event.detail?.value ?? String(event.detail)));
  showPrefs();
}

function clicked(event) {
  const pref = event.target.closest("[data-pref]");
  const copied = event.target.closest("[data-copy], [data-copy-text]");
  const opener = event.target.closest("[data-opens]");
  if (pref) choose(pref.dataset.pref, pref.dataset.value);
  if (copied) copy(copied);
  if (opener) toggle(document.getElementById(opener.dataset.opens));
}

// Preferences: data-pref="theme" data-value="dark"; an empty value is the default.
function choose(name, value) {
  if (value) {
    root.dataset[name] = value;
    localStorage.setItem(name, value);
  } else {
    delete root.dataset[name];
    localStorage.removeItem(name);
  }
  showPrefs();
  document.dispatchEvent(new CustomEvent("pref", { detail: { name, value } }));
}

function showPrefs() {
  for (const button of document.querySelectorAll("[data-pref]")) {
    button.setAttribute("aria-pressed", String((root.dataset[button.dataset.pref] ?? "") === button.dataset.value));
  }
}

// data-copy names the element whose text is copied; data-copy-text is the text itself, "#" the page's address.
async function copy(button) {
  const { copy: from, copyText: text } = button.dataset;
  const words = from ? document.querySelector(from).textContent.trim() : new URL(text, location.href).href;
  try {
    await navigator.clipboard.writeText(words);
    toast(say("copied"), "done");
  } catch {
    toast(say("uncopied"), "failed");
  }
}

function toggle(drawer) {
  const open = drawer.toggleAttribute("data-open");
  if (open) drawer.querySelector("a, button, input, [tabindex]")?.focus();
}

// A form or button with data-confirm asks first. The button pressed gives its own word to the answer.
async function ask(event) {
  const button = event.submitter;
  const text = button?.dataset.confirm ?? event.target.dataset.confirm;
  if (!text || event.target.dataset.confirmed) {
    delete event.target.dataset.confirmed;
    return;
  }
  event.preventDefault();
  event.stopImmediatePropagation();
  const dialog = document.getElementById("confirm");
  dialog.querySelector("p").textContent = text;
  dialog.querySelector("[value=yes]").textContent = button?.textContent.trim() || say("yes");
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue !== "yes") return;
  event.target.dataset.confirmed = "yes";
  event.target.requestSubmit(button);
}

function pressed(event) {
  if (event.key === "Escape") document.querySelector("[data-open]")?.removeAttribute("data-open");
  if (event.key !== "Enter" || !(event.metaKey || event.ctrlKey)) return;
  const form = event.target.closest?.("form[data-quick]");
  if (!form) return;
  event.preventDefault();
  form.requestSubmit();
}
