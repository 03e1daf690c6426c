// Passkeys: a form waits for the browser's answer to the server's challenge, and takes it along.

import { say } from "./words.js";

async function challenge(form) {
  const kept = document.getElementById("passkey-options");
  if (kept) return JSON.parse(kept.textContent).publicKey;
  const answer = await fetch(form.dataset.options, { headers: { accept: "application/json" } });
  return (await answer.json()).request_options.publicKey;
}

async function answer(form) {
  const options = await challenge(form);
  if (form.dataset.passkey === "create") {
    return navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) });
  }
  return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
}

function tell(form, text) {
  const place = form.querySelector("[role=status]");
  place.textContent = text;
  place.hidden = !text;
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell(form, "");
    if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
      tell(form, say("cannot"));
      return;
    }
    try {
      form.elements.credential.value = JSON.stringify(await answer(form));
    } catch (error) {
      tell(form, say(error.name === "SecurityError" ? "cannot" : "gone"));
      return;
    }
    form.submit();
  });
}
