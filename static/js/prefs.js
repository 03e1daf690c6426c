// Runs before the first paint, so that a chosen theme or density never flashes. Without a choice the system's holds.
document.documentElement.dataset.js = "";
for (const name of ["theme", "density", "zone", "keys"]) {
  const value = localStorage.getItem(name);
  if (value) document.documentElement.dataset[name] = value;
}
