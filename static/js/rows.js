// Forms with rows: where the reader goes on after a row was added, moved or removed, and each complaint at its field.

let pressed = null;

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[name=deed]");
  if (button) pressed = { deed: button.value, rows: button.closest(".rows") };
});

document.addEventListener("htmx:after:swap", () => {
  if (pressed && !pressed.rows.isConnected) goOn(pressed.deed); // other parts of the page are swapped, too
  tell();
});

// The new row's first field, the same button of a moved row, the button that adds.
function goOn(deed) {
  pressed = null;
  const [what, prefix, index] = deed.split(":");
  const rows = document.getElementById(`rows-${prefix}`);
  if (!rows) return;
  const place = what === "up" ? Number(index) - 1 : Number(index) + 1;
  const moved = index && rows.querySelector(`:scope > ol > li:nth-child(${place + 1}) > .rowbuttons [value^="${what}:"]`);
  const added = rows.querySelector(":scope > ol > li:last-child :is(input, select, textarea):not([type=hidden])");
  const next = what === "add" ? added : what === "remove" ? null : moved;
  (next && !next.disabled ? next : rows.querySelector(":scope > .add")).focus();
  rows.closest("form").dispatchEvent(new Event("input", { bubbles: true }));
}

// What was checked while one typed brings its complaints in a list; each goes to the field it is about.
function tell() {
  const list = document.getElementById("complaints");
  if (!list) return;
  const said = new Map([...list.children].map((one) => [`${one.dataset.for}_error`, one.textContent]));
  list.remove();
  for (const place of document.querySelectorAll("form .errors[id]")) {
    const text = said.get(place.id) ?? "";
    if (place.textContent !== text) place.textContent = text;
    if (text) for (const fold of ancestors(place, "details")) fold.open = true;
    place.parentElement.querySelector(":scope > :is(input, select, textarea)")?.toggleAttribute("aria-invalid", Boolean(text));
  }
}

function ancestors(element, kind) {
  const found = [];
  for (let at = element.closest(kind); at; at = at.parentElement.closest(kind)) found.push(at);
  return found;
}
