"""What the buyer typed on the payment page, checked before anything is sent to the bank."""

import re
from dataclasses import dataclass, field, replace

from starlette.datastructures import FormData

from commande.sandbox.cards import Means, find_means
from commande.sandbox.errors import Refusal
from commande.sandbox.parameters import Mail

FIELDS = (
    "email", "payment_method", "cardNumber", "cardExpiry", "cardCvc", "billingName", "iban",
    "sepaName",
)  # fmt: skip
_LONGEST = 200
_SOMEBODY = {"email": "camille.roussel@example.com", "name": "Camille Roussel"}


@dataclass(frozen=True)
class Typed:
    """The fields as typed, what is wrong with them, and the means of payment if all is well."""

    values: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)
    means: Means | None = None

    @property
    def name(self) -> str | None:
        by_card = self.values["payment_method"] != "sepa_debit"
        return self.values["billingName" if by_card else "sepaName"] or None


def empty(email: str) -> Typed:
    """An untouched form."""
    return Typed(dict.fromkeys(FIELDS, "") | {"email": email, "payment_method": "card"})


def read_form(form: FormData, year: int, month: int, *, free: bool) -> Typed:
    """The form, or the one-click test button, with error codes by field."""
    values = {name: str(form.get(name, ""))[:_LONGEST].strip() for name in FIELDS}
    test = str(form.get("test", ""))[:40]
    if test:
        values = _filled(values, test, year)
    errors = {}
    try:
        Mail().check(values["email"], "email")
    except Refusal:
        errors["email"] = "email"
    if free:
        return Typed(values, errors, find_means("pm_card_visa"))
    typed = _read_debit(values) if values["payment_method"] == "sepa_debit" else _read_card(
        values, year, month
    )  # fmt: skip
    return replace(typed, errors=errors | typed.errors)


def _filled(values: dict[str, str], test: str, year: int) -> dict[str, str]:
    """One click fills in what the buyer left empty, and the number over anything."""
    values = {**values, "email": values["email"] or _SOMEBODY["email"]}
    shown = group(test)
    if test[:2].isalpha():
        name = values["sepaName"] or _SOMEBODY["name"]
        return values | {"payment_method": "sepa_debit", "iban": shown, "sepaName": name}
    return values | {
        "payment_method": "card",
        "cardNumber": shown,
        "cardExpiry": f"12 / {(year + 3) % 100}",
        "cardCvc": "123",
        "billingName": values["billingName"] or _SOMEBODY["name"],
    }


def group(number: str) -> str:
    """A number in groups of four."""
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))


def _read_card(values: dict[str, str], year: int, month: int) -> Typed:
    errors = {}
    means = None
    try:
        means = find_means(values["cardNumber"] if values["cardNumber"][:1].isdigit() else "")
    except Refusal as refusal:
        errors["cardNumber"] = refusal.code or "incorrect_number"
    wrong = _check_expiry(values["cardExpiry"], year, month)
    if wrong:
        errors["cardExpiry"] = wrong
    digits = 4 if means and means.brand == "amex" else 3
    if not re.fullmatch(rf"[0-9]{{{digits},4}}", values["cardCvc"]):
        errors["cardCvc"] = "incomplete_cvc"
    if not values["billingName"]:
        errors["billingName"] = "name"
    return Typed(values, errors, means)


def _check_expiry(text: str, year: int, month: int) -> str | None:
    found = re.fullmatch(r"(0?[1-9]|1[0-2])\s*/?\s*(?:20)?([0-9]{2})", text)
    if found is None:
        return "incomplete_expiry"
    if (2000 + int(found[2]), int(found[1])) < (year, month):
        return "past_expiry"
    return None


def _read_debit(values: dict[str, str]) -> Typed:
    errors = {}
    means = None
    try:
        means = find_means(values["iban"] if values["iban"][:2].isalpha() else "XX")
    except Refusal as refusal:
        errors["iban"] = refusal.code or "invalid_iban"
    if not values["sepaName"]:
        errors["sepaName"] = "name"
    return Typed(values, errors, means)
