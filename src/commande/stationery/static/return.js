// After the return from Stripe: sends the page's form by itself, takes the token out of the
// address, and looks again quietly while a bank decides. Without this script a button does it.
"use strict";
const place = () => document.querySelector("#suivi");

function show(html, { force }) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const fresh = page.querySelector("#suivi");
  if (!fresh) return false;
  if (!force && fresh.dataset.state === place().dataset.state) return true;
  place().replaceWith(fresh);
  document.title = page.title;
  document.querySelector(".top nav").replaceWith(page.querySelector(".top nav"));
  const title = fresh.querySelector("h1");
  title.tabIndex = -1;
  title.focus({ preventScroll: true });
  return true;
}

function tidy() {
  const { address } = place().dataset;
  if (address) history.replaceState(null, "", address);
}

async function confirm(form) {
  const waiting = place().dataset.state === "waiting";
  const bar = place().querySelector(".waitbar");
  const button = form.querySelector("button");
  if (waiting) button.hidden = true;
  const slow = setTimeout(() => { if (bar) bar.hidden = false; }, 300);
  try {
    const fields = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body: fields });
    if (!show(await answer.text(), { force: waiting })) throw new Error("not our page");
  } catch {
    button.hidden = false;
    return;
  } finally {
    clearTimeout(slow);
    if (bar) bar.hidden = true;
  }
  tidy();
  look(5);
}

function look(seconds) {
  if (!("poll" in place().dataset)) return;
  setTimeout(async () => {
    try {
      const answer = await fetch(place().dataset.address);
      if (answer.ok) show(await answer.text(), { force: false });
    } catch {
      // Offline for a moment: the next look will tell.
    }
    look(Math.min(seconds * 2, 300));
  }, seconds * 1000);
}

const form = document.querySelector("#confirmer");
if (form && place().dataset.state !== "stripe_down") {
  confirm(form);
} else {
  tidy();
  look(5);
}
