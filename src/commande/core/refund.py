"""Refunds: how much may be given back, and for what."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from commande.core.money import split
from commande.errors import RefundRefused

Origin = Literal["shop", "stripe", "duplicate", "late"]
"""Who asked: the shop, somebody in Stripe's dashboard, or our own rules for money we cannot use."""

# Stripe's words for a refund folded into the states of our rows.
STATES: Final = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}
GIVEN_BACK: Final = frozenset({"creating", "pending", "succeeded"})
"""States in which the money counts as given back: it must not be promised twice."""


@dataclass(frozen=True, slots=True)
class RefundLine:
    """Some pieces of one line of a snapshot."""

    product_id: str
    type: str
    quantity: int


def amount_of_lines(snapshot: dict[str, Any], lines: list[RefundLine]) -> int:
    """What those pieces cost when they were charged, tax within, in minor units.

    A line's total is split exactly over its pieces, so that all of them together give all of it.
    Raises RefundRefused for a line that was not sold, or more pieces than were.
    """
    amount = 0
    for wanted in lines:
        sold = next(
            (
                line
                for line in snapshot["lines"]
                if (line["product_id"], line["type"]) == (wanted.product_id, wanted.type)
            ),
            None,
        )
        if sold is None:
            raise RefundRefused(f"{wanted.product_id} ({wanted.type}) is not in this command.")
        if not 1 <= wanted.quantity <= sold["quantity"]:
            raise RefundRefused(f"Only {sold['quantity']} of {sold['title']} were sold.")
        pieces = split(sold["total_minor"], [1] * sold["quantity"])
        amount += sum(pieces[: wanted.quantity])
    return amount
