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
        """SHA-256 of cart, customer and appointment: the same twice is a double click."""
        return _digest(self._asked())

    def digest(self) -> str:
        """SHA-256 of everything that was sent: another one under the same key is a conflict."""
        return _digest([*self._asked(), self.note, self.locale])

    def _asked(self) -> list[object]:
        return [
            [[line.product_id, line.quantity, line.type] for line in self.cart],
            self.customer.to_dict(),
            self.appointment_at.astimezone(UTC).isoformat(),
        ]


def _digest(content: list[object]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
