// Brings the board up to date every two seconds, unless paused or out of sight.
"use strict";
const button = document.getElementById("pause");
let paused = false;

async function refresh() {
  if (paused || document.hidden) return;
  const board = document.getElementById("board");
  if (board.contains(document.activeElement)) return; // somebody is reading a table by keyboard
  try {
    const answer = await fetch("/", { cache: "no-store" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const scrolled = [...board.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    board.replaceChildren(...page.getElementById("board").childNodes);
    board.querySelectorAll(".scroll").forEach((box, place) => { box.scrollLeft = scrolled[place] ?? 0; });
  } catch {
    // Not reachable for the moment: the page keeps what it shows, and its time tells how old it is.
  }
}

button.hidden = false;
button.addEventListener("click", () => {
  paused = !paused;
  button.textContent = paused ? button.dataset.resume : button.dataset.pause;
});
setInterval(refresh, 2000);
