// Shows what happens while it happens: looks every two seconds. Without this script, reload.
"use strict";
setInterval(async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of ["#maintenant", ".switches"]) {
      const old = document.querySelector(part), fresh = page.querySelector(part);
      if (!fresh || old.innerHTML === fresh.innerHTML) continue;
      const pressed = old.contains(document.activeElement) && document.activeElement;
      const index = [...old.querySelectorAll("a, button")].indexOf(pressed);
      old.replaceWith(fresh);
      if (index >= 0) fresh.querySelectorAll("a, button")[index]?.focus({ preventScroll: true });
    }
  } catch {
    // The server may be dead on purpose: the next look will tell.
  }
}, 2000);
