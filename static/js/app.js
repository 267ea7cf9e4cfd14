/* What a page cannot do without script: close an open menu, ignore a second press of a button that
 * is already sending, rest while nobody looks. Everything works without this file; the server makes
 * sure of the rest. */
"use strict";

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Arrow keys go from row to row of a list; Enter opens the row, as it does with any link.
document.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const rows = event.target.closest("[data-rows]");
  if (!rows || !event.target.classList.contains("row-link")) return;
  const links = [...rows.querySelectorAll(".row-link")];
  const next = links[links.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1)];
  if (next) next.focus();
  event.preventDefault();
});

// A button that acts on marked rows says how many they are.
document.addEventListener("change", (event) => {
  const words = event.target.form?.querySelector("[data-marked]");
  if (!words || event.target.name !== words.dataset.marked) return;
  const n = [...event.target.form.elements].filter((box) => box.name === words.dataset.marked && box.checked).length;
  words.textContent = n === 0 ? words.dataset.none : n === 1 ? words.dataset.one : words.dataset.many.replace("%", n);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.hasAttribute("data-once")) return;
  if (form.dataset.once === "sent") {
    event.preventDefault();
    return;
  }
  form.dataset.once = "sent";
  form.setAttribute("aria-busy", "true");
});

// Nobody looks: parts that update themselves wait until the page is seen again.
document.addEventListener("htmx:beforeRequest", (event) => {
  const polls = (event.detail.elt.getAttribute("hx-trigger") || "").startsWith("every");
  if (polls && document.hidden) event.preventDefault();
});

// The session has ended: the answer is the sign-in page, which belongs into the whole window.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, pathInfo } = event.detail;
  const asked = new URL(pathInfo.requestPath, document.baseURI);
  if (new URL(xhr.responseURL).pathname === asked.pathname) return;
  event.detail.shouldSwap = false;
  window.location.reload();
});

// A page that comes back from the browser's memory may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-once]")) form.dataset.once = "";
});
