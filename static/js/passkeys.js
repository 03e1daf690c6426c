// Passkeys: a form waits for the browser's answer to the server's challenge, and takes it along.

const GONE = "No passkey was used. Try again, or choose another way.";
const CANNOT = "This browser can't use passkeys here. They need https or localhost.";

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

function say(form, text) {
  const place = form.querySelector("[role=status]");
  place.textContent = text;
  place.hidden = !text;
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say(form, "");
    if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
      say(form, CANNOT);
      return;
    }
    try {
      form.elements.credential.value = JSON.stringify(await answer(form));
    } catch (error) {
      say(form, error.name === "SecurityError" ? CANNOT : GONE);
      return;
    }
    form.submit();
  });
}
