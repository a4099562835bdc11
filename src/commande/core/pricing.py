"""Pricing: the only place where totals are computed."""

from dataclasses import dataclass, replace
from typing import Any

from commande.core import money
from commande.core.tax import TaxRate, tax_of
from commande.errors import FieldError, TotalOutOfRange


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A cart line with the price of the moment. All amounts in minor units."""

    product_id: str
    title: str
    type: str
    quantity: int
    unit_minor: int
    rate: TaxRate | None = None
    tax_minor: int = 0
    """Tax within (inclusive) or on top of (exclusive) ``amount_minor``."""

    @property
    def amount_minor(self) -> int:
        """Unit price times quantity, as the catalogue means it."""
        return self.unit_minor * self.quantity

    @property
    def total_minor(self) -> int:
        """What the customer pays for the line."""
        on_top = self.rate is not None and not self.rate.inclusive
        return self.amount_minor + (self.tax_minor if on_top else 0)


@dataclass(frozen=True, slots=True)
class Quote:
    """Priced lines of one cart, frozen for one Stripe session. Total = Σ lines, to the cent."""

    currency: str
    lines: tuple[PricedLine, ...]

    @property
    def total_minor(self) -> int:
        """What the customer pays, in minor units."""
        return sum(line.total_minor for line in self.lines)

    def taxes(self) -> dict[TaxRate, tuple[int, int]]:
        """Net base and tax by rate, in minor units, rates in order."""
        sums: dict[TaxRate, tuple[int, int]] = {}
        for line in self.lines:
            if line.rate is not None:
                base, tax = sums.get(line.rate, (0, 0))
                net = line.total_minor - line.tax_minor
                sums[line.rate] = (base + net, tax + line.tax_minor)
        return dict(sorted(sums.items()))

    def to_dict(self) -> dict[str, Any]:
        """The quote as stored: integers and texts only."""
        return {
            "currency": self.currency,
            "total_minor": self.total_minor,
            "lines": [
                {
                    "product_id": line.product_id,
                    "title": line.title,
                    "type": line.type,
                    "quantity": line.quantity,
                    "unit_minor": line.unit_minor,
                    "tax_minor": line.tax_minor,
                    "total_minor": line.total_minor,
                    "rate": line.rate.key if line.rate else None,
                }
                for line in self.lines
            ],
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "Quote":
        """The quote that ``to_dict`` stored."""
        return cls(
            stored["currency"],
            tuple(
                PricedLine(
                    line["product_id"],
                    line["title"],
                    line["type"],
                    line["quantity"],
                    line["unit_minor"],
                    TaxRate.from_key(line["rate"]) if line["rate"] else None,
                    line["tax_minor"],
                )
                for line in stored["lines"]
            ),
        )


def quote(lines: list[PricedLine], currency: str) -> Quote:
    """Compute tax and total of priced lines (tax rounded half up per line).

    Raises TotalOutOfRange when Stripe would not charge the total.
    """
    taxed = (replace(line, tax_minor=tax_of(line.amount_minor, line.rate)) if line.rate else line
             for line in lines)  # fmt: skip
    result = Quote(currency, tuple(taxed))
    _check_range(result)
    return result


def adopt_total(ours: Quote, stripe_total_minor: int) -> Quote | None:
    """Our quote with Stripe's total, where the difference can only be the rounding of tax.

    Inclusive prices leave nothing to round. With tax on top, Stripe rounds per line (as we do) or
    once per rate, by a setting of the account: a total within one minor unit per rate of either is
    believed. Anything else returns None: the session must not be paid.
    """
    return _nudge(ours, stripe_total_minor) or _nudge(_round_per_rate(ours), stripe_total_minor)


def _round_per_rate(ours: Quote) -> Quote:
    """The quote with tax on top rounded once per rate, shared out over the rate's lines."""
    lines = list(ours.lines)
    for rate in {line.rate for line in lines if line.rate and not line.rate.inclusive}:
        indices = [index for index, line in enumerate(lines) if line.rate == rate]
        amounts = [lines[index].amount_minor for index in indices]
        shares = money.split(tax_of(sum(amounts), rate), amounts)
        for index, share in zip(indices, shares, strict=True):
            lines[index] = replace(lines[index], tax_minor=share)
    return Quote(ours.currency, tuple(lines))


def _nudge(ours: Quote, total_minor: int) -> Quote | None:
    """The quote with that total, moving each rate's tax on top by one minor unit at most."""
    difference = total_minor - ours.total_minor
    if difference == 0:
        return ours
    step = 1 if difference > 0 else -1
    lines = list(ours.lines)
    # Tax that is 0 has no minor unit to give back.
    movable = [i for i in _largest_on_top(lines) if lines[i].tax_minor + step >= 0]
    if abs(difference) > len(movable):
        return None
    for index in movable[: abs(difference)]:
        lines[index] = replace(lines[index], tax_minor=lines[index].tax_minor + step)
    return Quote(ours.currency, tuple(lines))


def _largest_on_top(lines: list[PricedLine]) -> list[int]:
    """For each rate that adds tax, in order, the index of its line with the most tax.

    A rate of 0 % is not among them: it leaves nothing to round.
    """
    largest: dict[TaxRate, int] = {}
    for index, line in enumerate(lines):
        if line.rate is None or line.rate.inclusive or not line.rate.percentage:
            continue
        first = largest.setdefault(line.rate, index)
        if line.tax_minor > lines[first].tax_minor:
            largest[line.rate] = index
    return [largest[rate] for rate in sorted(largest)]


def _check_range(result: Quote) -> None:
    low, high = money.minimum(result.currency), money.MAXIMUM
    if low <= result.total_minor <= high:
        return
    total, least, most = (
        f"{money.to_major(minor, result.currency)}" for minor in (result.total_minor, low, high)
    )
    code = result.currency.upper()
    detail = f"The total is {total} {code}; Stripe takes {least} to {most} {code}."
    raise TotalOutOfRange(FieldError("items", "total_out_of_range", detail))
