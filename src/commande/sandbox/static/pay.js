"use strict";
// Comfort only: the page does everything without it.
const number = document.getElementById("cardNumber");
const expiry = document.getElementById("cardExpiry");
const form = document.getElementById("pay");

function regroup(field, write) {
  field.addEventListener("input", () => {
    const atEnd = field.selectionStart === field.value.length;
    if (atEnd) field.value = write(field.value.replace(/\D/g, ""));
  });
}
if (number) regroup(number, (digits) => digits.slice(0, 19).replace(/(.{4})(?=.)/g, "$1 "));
if (expiry) {
  let before = expiry.value;
  regroup(expiry, (digits) => {
    const shrinking = expiry.value.length < before.length;
    const month = digits.length === 1 && digits > "1" ? "0" + digits : digits;
    before = month.length > 2 || (month.length === 2 && !shrinking)
      ? month.slice(0, 2) + " / " + month.slice(2, 4)
      : month;
    return before;
  });
}
if (form) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    const waiting = document.getElementById("waiting");
    window.setTimeout(() => { waiting.hidden = false; }, 300);
  });
  // Back from another page: the form may be sent again.
  window.addEventListener("pageshow", () => {
    delete form.dataset.sent;
    document.getElementById("waiting").hidden = true;
  });
}
