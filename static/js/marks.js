/* The grid of contact preferences: a whole row or column at once without asking the server, arrow
 * keys from box to box, and how many marks differ from what is saved. The server does the first
 * without this file, and decides everything. */
"use strict";

for (const form of document.querySelectorAll("form[data-marks]")) {
  const boxes = () => [...form.querySelectorAll("input[type=checkbox][data-was]:not(:disabled)")];
  const said = form.querySelector("[data-difference]");

  const isEmpty = (box) => {
    const key = box.name.replace(/^marks-/, "value-").replace(/-[a-z]+$/, "");
    const field = form.elements[key];
    return Boolean(field) && field.value.trim() === "";
  };

  const tell = () => {
    if (!said) return;
    const added = boxes().filter((box) => box.checked && !box.dataset.was).length;
    const removed = boxes().filter((box) => !box.checked && box.dataset.was).length;
    said.textContent = added || removed
      ? said.dataset.words.replace("{added}", added).replace("{removed}", removed) : "";
  };

  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-set]");
    if (!button) return;
    event.preventDefault();
    const [kind, which, on] = button.value.split(":");
    for (const box of boxes()) {
      const hit = kind === "row" ? box.name === which : box.value === which && !box.name.endsWith("-text");
      if (hit && !(on === "1" && isEmpty(box))) box.checked = on === "1";
    }
    tell();
  });

  form.addEventListener("keydown", (event) => {
    const box = event.target;
    if (!box.matches?.("input[type=checkbox][data-was]")) return;
    const all = boxes();
    const place = all.indexOf(box);
    const column = (step) => all.filter((other) => other.value === box.value)[
      all.filter((other) => other.value === box.value).indexOf(box) + step];
    const next = {
      ArrowRight: all[place + 1], ArrowLeft: all[place - 1], ArrowDown: column(1), ArrowUp: column(-1),
    }[event.key];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });

  form.addEventListener("change", tell);
  tell();
}
