"""The cart: what the customer asks for, by reference. Prices are no business of a cart."""

from dataclasses import dataclass
from typing import Final

from commande.errors import FieldError, InputInvalid

# Stripe takes at most 100 line items a session; three digits are the reference's quantities.
MAX_LINES: Final = 100
MAX_QUANTITY: Final = 999


@dataclass(frozen=True, slots=True)
class CartLine:
    """One product in one type (``None`` = the product's default price) and how many of it."""

    product_id: str
    quantity: int
    type: str | None = None


def check_cart(lines: list[CartLine]) -> None:
    """Raise InputInvalid unless there are 1–100 lines of 1–999 pieces each."""
    if not lines:
        raise InputInvalid(FieldError("items", "too_short", "The cart is empty."))
    if len(lines) > MAX_LINES:
        raise InputInvalid(
            FieldError("items", "too_long", f"A cart has at most {MAX_LINES} lines.")
        )
    wrong = [i for i, line in enumerate(lines) if not 1 <= line.quantity <= MAX_QUANTITY]
    if wrong:
        raise InputInvalid(*map(_quantity_error, wrong))


def merge_lines(lines: list[tuple[int, CartLine]]) -> list[tuple[int, CartLine]]:
    """Add up lines of the same product and type, keeping the first one's place and index.

    Types must be resolved before (a default and its name are the same price). Raises InputInvalid
    at the line whose merged quantity exceeds 999.
    """
    merged: dict[tuple[str, str | None], tuple[int, CartLine]] = {}
    for index, line in lines:
        key = (line.product_id, line.type)
        first, quantity = index, line.quantity
        if key in merged:
            first = merged[key][0]
            quantity += merged[key][1].quantity
        if quantity > MAX_QUANTITY:
            raise InputInvalid(_quantity_error(index))
        merged[key] = (first, CartLine(line.product_id, quantity, line.type))
    return list(merged.values())


def _quantity_error(index: int) -> FieldError:
    detail = f"Give a whole number from 1 to {MAX_QUANTITY}."
    return FieldError(f"items.{index}.quantity", "out_of_range", detail)
