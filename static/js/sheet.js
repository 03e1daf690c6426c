// The table of keys, fetched when somebody asks for it.

export async function openSheet() {
  const sheet = document.getElementById("sheet");
  const place = sheet.querySelector("div");
  sheet.showModal();
  if (place.childElementCount) return;
  const answer = await fetch(sheet.dataset.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  place.replaceChildren(page.querySelector(".keysheet"));
}
