// Changes the day without loading the page again, and tells the chosen hour in the summary.
// Without this script the buttons of the days load the page.
"use strict";
const form = document.querySelector("#formulaire");
const chosen = document.querySelector("#choisi");

// Answers may overtake each other: the day that was pressed last is shown.
let presses = 0;
form.addEventListener("click", async (event) => {
  const day = event.target.closest("button.day");
  if (!day) return;
  event.preventDefault();
  const press = ++presses;
  const fields = new URLSearchParams(new FormData(form, day));
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body: fields });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (press !== presses) return;
    const section = page.querySelector("#rendez-vous");
    if (!answer.ok || !section) throw new Error("not the form");
    document.querySelector("#rendez-vous").replaceWith(section);
    chosen.dataset.day = page.querySelector("#choisi").dataset.day;
    chosen.textContent = "";
    section.querySelector(`button[value="${day.value}"]`).focus();
  } catch {
    if (press !== presses) return;
    // The browser's own way, which also tells what went wrong.
    const plain = document.createElement("input");
    Object.assign(plain, { type: "hidden", name: "jour", value: day.value });
    form.append(plain);
    form.submit();
  }
});

function tell(hour) {
  const { day, joint } = chosen.dataset;
  const words = hour.parentElement.firstChild.nextSibling.textContent.trim();
  chosen.textContent = `${day[0].toUpperCase()}${day.slice(1)} ${joint}\u00a0${words}`;
}
form.addEventListener("change", (event) => {
  if (event.target.name === "appointment") tell(event.target);
});
// Chosen before this script had come, or kept by the browser over a reload.
const early = form.querySelector("input[name=appointment]:checked");
if (early && !chosen.textContent.trim()) tell(early);

// What is being mended is no longer called wrong. The line stays, so that nothing jumps.
form.addEventListener("input", ({ target }) => {
  if (!target.hasAttribute("aria-invalid")) return;
  target.removeAttribute("aria-invalid");
  document.getElementById(`${target.id}-erreur`).textContent = "\u00a0";
});

// A second press while the first one is under way would only wait for the same order.
let sent = false;
form.addEventListener("submit", (event) => {
  if (event.submitter?.matches(".day")) return;
  if (sent) event.preventDefault();
  sent = true;
});
addEventListener("pageshow", () => { sent = false; });

document.querySelector("#erreurs")?.focus();
