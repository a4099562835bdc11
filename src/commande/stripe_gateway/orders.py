"""An order as Stripe still knows it: what a lost row is rebuilt from."""

from decimal import Decimal, InvalidOperation
from typing import Any

from commande.core.customer import KEYS
from commande.core.payment import PaidOrder
from commande.core.pricing import PricedLine
from commande.core.tax import TaxRate
from commande.stripe_gateway.reports import report_session, text


def report_order(raw: dict[str, Any]) -> PaidOrder:
    """A session with its line items, their products and taxes expanded.

    Raises ValueError when it is no session, or its lines are not there.
    """
    items = _object(raw.get("line_items")).get("data")
    if not isinstance(items, list) or not items:
        raise ValueError("a session without line items")
    lines = tuple(_line(_object(item)) for item in items)
    return PaidOrder(report_session(raw), lines, _customer(_object(raw.get("customer_details"))))


def _line(item: dict[str, Any]) -> PricedLine:
    price = _object(item.get("price"))
    product = _object(price.get("product"))
    ours = _object(product.get("metadata"))
    unit, quantity = price.get("unit_amount"), item.get("quantity")
    if not isinstance(unit, int) or not isinstance(quantity, int):
        raise ValueError("a line item without price or quantity")  # noqa: TRY004 – it is Stripe's
    taxes = [_object(tax) for tax in item.get("taxes") or ()]
    name = text(item.get("description")) or text(product.get("name")) or "?"
    return PricedLine(
        product_id=text(ours.get("product_id")) or "0" * 24,
        title=name[:200],
        type=text(ours.get("type")) or "standard",
        quantity=quantity,
        unit_minor=unit,
        rate=_rate(_object(taxes[0].get("rate"))) if taxes else None,
        tax_minor=sum(tax["amount"] for tax in taxes if isinstance(tax.get("amount"), int)),
    )


def _rate(raw: dict[str, Any]) -> TaxRate | None:
    try:
        percentage = Decimal(str(raw["percentage"]))
        return TaxRate(str(raw.get("country") or "XX"), percentage, raw.get("inclusive") is True)
    except (KeyError, InvalidOperation, ValueError):
        return None


def _customer(payer: dict[str, Any]) -> dict[str, str | None]:
    """Stripe's payer under our names; what Stripe's page did not ask for is empty."""
    address = _object(payer.get("address"))
    first, _, last = (text(payer.get("name")) or "").strip().rpartition(" ")
    known = {
        "firstName": first,
        "lastName": last,
        "email": text(payer.get("email")) or "",
        "phone": text(payer.get("phone")) or "",
        "address": text(address.get("line1")) or "",
        "postalCode": text(address.get("postal_code")) or "",
        "city": text(address.get("city")) or "",
        "country": text(address.get("country")) or "",
        "fax": None,
    }
    return {key: known[key] for key in KEYS}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
