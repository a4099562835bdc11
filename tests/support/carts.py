"""Carts, rates and currencies to draw from."""

from decimal import Decimal

from hypothesis import strategies as st

from commande.core.money import GRANULARITY, MAXIMUM, minimum
from commande.core.pricing import PricedLine
from commande.core.tax import TaxRate

# No, two and three decimals; steps of 1, 10 and 100; with and without a minimum of its own.
CURRENCIES = st.sampled_from(["eur", "usd", "czk", "jpy", "krw", "bhd", "kwd", "isk", "ugx"])
PERCENTAGES = st.one_of(
    st.sampled_from([Decimal(text) for text in ("0", "2.1", "5.5", "10", "20", "100")]),
    st.integers(0, 1_000_000).map(lambda parts: Decimal(parts) / 10_000),
)
RATES = st.builds(TaxRate, st.sampled_from(["FR", "DE"]), PERCENTAGES, st.booleans())


@st.composite
def carts(draw: st.DrawFn, most_lines: int = 6) -> tuple[str, list[PricedLine]]:
    """A currency and priced lines whose total Stripe would charge, whatever the tax."""
    currency = draw(CURRENCIES)
    step = GRANULARITY.get(currency, 1)
    rates = [None, *draw(st.lists(RATES, min_size=1, max_size=4))]
    count = draw(st.integers(1, most_lines))
    lines = []
    for index in range(count):
        quantity = draw(st.integers(1, 999))
        least = -(-minimum(currency) // step)
        most = max(least, MAXIMUM // (2 * count * quantity * step))
        quantity = min(quantity, MAXIMUM // (2 * count * least * step))
        unit = step * draw(st.integers(least, most))
        rate = draw(st.sampled_from(rates))
        title = draw(st.text(max_size=20))
        lines.append(PricedLine(f"{index:024x}", title, "standard", quantity, unit, rate))
    return currency, lines
