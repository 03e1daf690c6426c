// A live page whose socket was closed for good: say why, lead back, and take away what would only be refused.

const REASONS = {
  4401: "Your sign-in has ended, or your rights here have changed. This page shows how it was.",
  4403: "You may no longer see this. The page shows how it was.",
};

// True if `code` was such an end; the banner says so then. What was typed stays to be copied.
export function ended(code, banner) {
  if (!REASONS[code]) return false;
  const words = banner.querySelector("span") ?? banner;
  words.textContent = `${REASONS[code]} `;
  const link = document.createElement("a");
  link.href = code === 4401 ? `/login?next=${encodeURIComponent(location.pathname + location.search)}` : "/";
  link.textContent = code === 4401 ? "Sign in and come back here" : "Go to the overview";
  words.append(link);
  banner.hidden = false;
  for (const button of document.querySelectorAll("form[method=post] button, button[form]")) button.hidden = true;
  return true;
}
