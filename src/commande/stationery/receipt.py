"""A quote or a snapshot as printed: what was taken, at which price, with which taxes."""

from dataclasses import dataclass
from typing import Any

from commande.core.pricing import PricedLine, Quote
from commande.stationery.press import Voice


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """One line, in words."""

    title: str
    detail: str
    amount: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """Everything printed and added up; nothing is computed in a template."""

    lines: list[ReceiptLine]
    on_top: list[tuple[str, str]]
    """Taxes that come on top of the lines: name and amount."""
    within: list[tuple[str, str]]
    """Taxes that the prices contain."""
    net: str | None
    """The total without taxes, where there are any."""
    total: str
    taxed: bool


def write_receipt(priced: Quote | dict[str, Any], voice: Voice) -> Receipt:
    """Print a quote, or the stored form of one (a snapshot is one too)."""
    quote = priced if isinstance(priced, Quote) else Quote.from_dict(priced)
    currency = quote.currency
    taxes = {rate: sums for rate, sums in quote.taxes().items() if sums[1]}
    named = {rate: (voice.tax(rate), voice.money(tax, currency))
             for rate, (_, tax) in taxes.items()}  # fmt: skip
    tax_total = sum(tax for _, tax in taxes.values())
    return Receipt(
        lines=[_line(line, currency, voice) for line in quote.lines],
        on_top=[said for rate, said in named.items() if not rate.inclusive],
        within=[said for rate, said in named.items() if rate.inclusive],
        net=voice.money(quote.total_minor - tax_total, currency) if taxes else None,
        total=voice.money(quote.total_minor, currency),
        taxed=bool(taxes),
    )


def _line(line: PricedLine, currency: str, voice: Voice) -> ReceiptLine:
    price = voice.money(line.unit_minor, currency)
    each = voice.say("receipt.each", type=line.type, price=price)
    return ReceiptLine(
        title=f"{voice.number(line.quantity)} × {line.title}",
        detail=each if line.quantity > 1 else line.type,
        amount=voice.money(line.amount_minor, currency),
    )
