// Adds to the basket without leaving the page. Without this script the same form does it.
"use strict";
// One after the other: each answer brings the basket to which the next one adds.
let added = Promise.resolve();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-add]")) return;
  event.preventDefault();
  const fields = new URLSearchParams(new FormData(form, event.submitter));
  added = added.then(() => add(form, event.submitter, fields));
});

async function add(form, button, fields) {
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body: fields });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const bar = page.querySelector(".cartbar");
    if (!answer.ok || !bar) throw new Error("not the shelf");
    document.querySelector(".cartbar").replaceWith(bar);
    document.querySelector(".top nav").replaceWith(page.querySelector(".top nav"));
    const count = bar.querySelector("summary"), total = bar.querySelector(".total");
    document.querySelector("#said").textContent = `${count.textContent}. ${total.textContent}`;
  } catch {
    // Whatever went wrong, the browser's own way tells it in words.
    form.removeAttribute("data-add");
    form.requestSubmit(button);
  }
}
