// What scripts say, in the page's language: contract/script.py. "{}" stands for the part.
const words = JSON.parse(document.body.dataset.words);

export const say = (key, part = "") => words[key].replace("{}", () => part);
