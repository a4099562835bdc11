"""Tax on the lines of a session, rounded a line or a rate at a time.

Half a minor unit rounds up. The account's setting decides what is rounded: `line` rounds the tax
of each line, `rate` rounds once the sum of a rate's taxes and spreads it over its lines.
"""

from collections import defaultdict
from typing import Any, Literal, NamedTuple

Rounding = Literal["line", "rate"]
_WHOLE = 1_000_000  # a percentage in parts of 0.0001 %: Stripe takes four decimals


class LineTax(NamedTuple):
    """What one rate takes from (or adds to) one line, in minor units."""

    rate: dict[str, Any]
    amount: int
    taxable: int


class _Share(NamedTuple):
    """An exact tax as a fraction, still unrounded."""

    line: int
    rate: dict[str, Any]
    above: int
    below: int
    amount: int


def _parts(rate: dict[str, Any]) -> int:
    parts: int = round(rate["percentage"] * 10_000)
    return parts


def _half_up(above: int, below: int) -> int:
    return (2 * above + below) // (2 * below)


def _shares(index: int, amount: int, rates: list[dict[str, Any]]) -> list[_Share]:
    # The net amount is amount / (1 + what is already inside); every rate is a part of the net.
    below = _WHOLE + sum(_parts(rate) for rate in rates if rate["inclusive"])
    return [_Share(index, rate, amount * _parts(rate), below, amount) for rate in rates]


def tax_lines(
    lines: list[tuple[int, list[dict[str, Any]]]], rounding: Rounding
) -> list[list[LineTax]]:
    """The taxes of every line `(amount in minor units, rates)`, in the order of its rates."""
    shares = [
        share
        for index, (amount, rates) in enumerate(lines)
        if rates
        for share in _shares(index, amount, rates)
    ]
    rounded = {id(share): _half_up(share.above, share.below) for share in shares}
    if rounding == "rate":
        _round_by_rate(shares, rounded)
    taxes: list[list[LineTax]] = [[] for _ in lines]
    for share in shares:
        tax = rounded[id(share)]
        included = share.rate["inclusive"]
        taxes[share.line].append(LineTax(share.rate, tax, share.amount - tax * included))
    return taxes


def _round_by_rate(shares: list[_Share], rounded: dict[int, int]) -> None:
    """Round a rate's sum once; the cents that this moves go to the lines that were cut most."""
    by_rate: dict[tuple[str, int], list[_Share]] = defaultdict(list)
    for share in shares:
        by_rate[share.rate["id"], share.below].append(share)
    for group in by_rate.values():
        total = _half_up(sum(share.above for share in group), group[0].below)
        for share in group:
            rounded[id(share)] = share.above // share.below
        short = total - sum(rounded[id(share)] for share in group)
        for share in sorted(group, key=lambda share: -(share.above % share.below))[:short]:
            rounded[id(share)] += 1
