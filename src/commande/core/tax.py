"""Tax rates and the rounding of tax."""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache


@dataclass(frozen=True, slots=True, order=True)
class TaxRate:
    """A rate as Stripe keys it: unchangeable, one per (country, percentage, inclusive).

    ``percentage`` is 0–100 with at most four decimals, like Stripe's (else ValueError); ``country``
    is ISO 3166-1 alpha-2.
    """

    country: str
    percentage: Decimal
    inclusive: bool

    def __post_init__(self) -> None:
        given = self.percentage
        if not given.is_finite() or not 0 <= given <= 100 or given != round(given, 4):
            raise ValueError("a tax rate is 0–100 % with at most four decimals")
        # 20, 20.0 and 20.00 are one rate: one spelling, so that they are one row and one key.
        object.__setattr__(self, "percentage", Decimal(canonical(abs(given))))

    @property
    def key(self) -> str:
        """A stable text for rows and frozen parameters: ``FR:20:incl``."""
        kind = "incl" if self.inclusive else "excl"
        return f"{self.country}:{canonical(self.percentage)}:{kind}"

    @staticmethod
    @lru_cache(maxsize=1000)
    def from_key(key: str) -> "TaxRate":
        """The rate that ``key`` spells; a shop has few, and every stored line names one."""
        country, percentage, kind = key.split(":")
        return TaxRate(country, Decimal(percentage), kind == "incl")


def canonical(percentage: Decimal) -> str:
    """The shortest plain spelling of a percentage: ``5.5``, ``20``, ``0``."""
    text = f"{percentage:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def tax_of(amount_minor: int, rate: TaxRate) -> int:
    """Tax on (exclusive) or within (inclusive) an amount, half up, in minor units.

    Integer arithmetic: percentages have four decimals, so r = p / 1,000,000 is exact.
    https://docs.stripe.com/billing/taxes/tax-rates (inclusive: amount − amount / (1 + r)).
    """
    parts = int(rate.percentage * 10_000)
    whole = 1_000_000 + parts if rate.inclusive else 1_000_000
    return (2 * amount_minor * parts + whole) // (2 * whole)
