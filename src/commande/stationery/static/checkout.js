// Changes the day without loading the page again, and tells the chosen hour in the summary.
// Without this script the buttons of the days load the page.
"use strict";
const form = document.querySelector("#formulaire");
const chosen = document.querySelector("#choisi");

form.addEventListener("click", async (event) => {
  const day = event.target.closest("button.day");
  if (!day) return;
  event.preventDefault();
  const fields = new URLSearchParams(new FormData(form, day));
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body: fields });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const section = page.querySelector("#rendez-vous");
    if (!answer.ok || !section) throw new Error("not the form");
    document.querySelector("#rendez-vous").replaceWith(section);
    chosen.dataset.day = page.querySelector("#choisi").dataset.day;
    chosen.textContent = "";
    section.querySelector(`button[value="${day.value}"]`).focus();
  } catch {
    // The browser's own way, which also tells what went wrong.
    const plain = document.createElement("input");
    Object.assign(plain, { type: "hidden", name: "jour", value: day.value });
    form.append(plain);
    form.submit();
  }
});

form.addEventListener("change", (event) => {
  if (event.target.name !== "appointment") return;
  const { day, joint } = chosen.dataset;
  const hour = event.target.parentElement.firstChild.nextSibling.textContent.trim();
  chosen.textContent = `${day[0].toUpperCase()}${day.slice(1)} ${joint}\u00a0${hour}`;
});

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
