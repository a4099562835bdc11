"""The ``command`` object of the API, the same for confirm, status and ``commands show --json``.

Keys are those of the reference; all are always there, ``None`` when empty.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from commande.core.command import Status
from commande.core.customer import mask
from commande.core.money import to_number
from commande.core.tax import TaxRate, canonical


@dataclass(frozen=True, slots=True)
class Command:
    """One stored command, as read. JSON columns as stored (minor units), times aware UTC."""

    id: str
    ref: str
    status: Status
    module_id: str
    currency: str
    cart: list[dict[str, Any]]
    """``[{product_id, quantity, type}]``"""
    customer: dict[str, Any] | None
    """``None`` once erased."""
    appointment_at: datetime
    note: str | None
    locale: str
    snapshot: dict[str, Any] | None
    paid_at: datetime | None
    paid_session_id: str | None
    refunded_minor: int
    attention: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def paid(self) -> bool:
        """True from the payment on, also after refunds."""
        return self.paid_at is not None


def instant(at: datetime | None) -> str | None:
    """ISO 8601 in UTC with ``Z`` and milliseconds, as JavaScript writes it."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def command_document(command: Command, *, masked: bool = False) -> dict[str, Any]:
    """The command for an answer; ``masked`` hides personal data behind first letters."""
    customer = mask(command.customer) if masked else command.customer
    return {
        "_id": command.id,
        "ref": command.ref,
        "status": command.status.value,
        "paid": command.paid,
        "paidAt": instant(command.paid_at),
        "module": command.module_id,
        "cart": {"products": command.cart},
        "customer": customer,
        "appointment": instant(command.appointment_at),
        "note": None if masked else command.note,
        "cartSnapshot": snapshot_document(command.snapshot),
        "refunded": to_number(command.refunded_minor, command.currency),
        "refundedMinor": command.refunded_minor,
        "currency": command.currency,
        "createdAt": instant(command.created_at),
        "updatedAt": instant(command.updated_at),
    }


def snapshot_document(snapshot: dict[str, Any] | None) -> dict[str, Any] | None:
    """A stored snapshot with exact JSON amounts beside its minor units."""
    if snapshot is None:
        return None
    currency = snapshot["currency"]
    return {
        "products": [_line_document(line, currency) for line in snapshot["lines"]],
        "totalPrice": to_number(snapshot["total_minor"], currency),
        "totalPriceMinor": snapshot["total_minor"],
        "currency": currency,
        "taxes": [_tax_document(tax, currency) for tax in snapshot["taxes"]],
        "discounts": snapshot["discounts"],
    }


def _line_document(line: dict[str, Any], currency: str) -> dict[str, Any]:
    rate = TaxRate.from_key(line["rate"]) if line["rate"] else None
    return {
        "product_id": line["product_id"],
        "title": line["title"],
        "type": line["type"],
        "price": to_number(line["unit_minor"], currency),
        "priceMinor": line["unit_minor"],
        "quantity": line["quantity"],
        "total": to_number(line["total_minor"], currency),
        "totalMinor": line["total_minor"],
        "tax": to_number(line["tax_minor"], currency),
        "taxMinor": line["tax_minor"],
        "taxRate": _percentage(rate) if rate else None,
        "taxInclusive": rate.inclusive if rate else None,
    }


def _tax_document(tax: dict[str, Any], currency: str) -> dict[str, Any]:
    rate = TaxRate.from_key(tax["rate"])
    return {
        "rate": _percentage(rate),
        "country": rate.country,
        "inclusive": rate.inclusive,
        "base": to_number(tax["base_minor"], currency),
        "baseMinor": tax["base_minor"],
        "amount": to_number(tax["tax_minor"], currency),
        "amountMinor": tax["tax_minor"],
    }


def _percentage(rate: TaxRate) -> float | int:
    text = canonical(rate.percentage)
    return float(text) if "." in text else int(text)
