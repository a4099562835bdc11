"""The order: what a customer sends to open a command, checked and trimmed."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from commande.core.cart import CartLine
from commande.core.customer import Customer


@dataclass(frozen=True, slots=True)
class Order:
    """Cart, customer and appointment. ``appointment_at`` is aware."""

    cart: tuple[CartLine, ...]
    customer: Customer
    appointment_at: datetime
    note: str | None
    locale: str

    def fingerprint(self) -> str:
        """SHA-256 of everything that was asked: the same order twice is a double click."""
        asked = [
            [[line.product_id, line.quantity, line.type] for line in self.cart],
            self.customer.to_dict(),
            self.appointment_at.astimezone(UTC).isoformat(),
            self.note,
            self.locale,
        ]
        text = json.dumps(asked, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()
