"""Currencies as Stripe takes them: minor units, smallest and largest charge.

Sources: docs.stripe.com/currencies (zero-decimal, three-decimal, special cases, minimum and
maximum amounts).
"""

from decimal import Decimal

from commande.sandbox.errors import Refusal

ZERO_DECIMAL = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(),
)
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
# Without decimals in the world, with two at Stripe, which must be 00.
WHOLE_ONLY = frozenset("isk ugx".split())
CURRENCIES = (
    ZERO_DECIMAL
    | THREE_DECIMAL
    | WHOLE_ONLY
    | frozenset(
        """usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn
        bzd cad cdf chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd
        hkd hnl hrk htg huf idr ils inr jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk
        mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd
        rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah uyu uzs wst
        xcd yer zar zmw""".split(),
    )
)
_SMALLEST = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500,
    "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000,
    "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip
LARGEST_BY_CARD = 999_999_999_999  # twelve digits
LARGEST_OTHERWISE = 99_999_999  # eight digits


def exponent(currency: str) -> int:
    """How many of the minor unit's digits stand behind the point."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def written(amount: int, currency: str) -> str:
    """An amount in Stripe's own sentences: `€59.98`, `15.00 CZK`."""
    figure = f"{Decimal(amount).scaleb(-exponent(currency)):,.{exponent(currency)}f}"
    sign = {"eur": "€", "usd": "$", "gbp": "£", "jpy": "¥"}.get(currency)
    return f"{sign}{figure}" if sign else f"{figure} {currency.upper()}"


def check_total(total: int, currency: str) -> None:
    """Refuse a total that cannot be charged. A total of 0 needs no payment and passes."""
    if total == 0:
        return
    smallest = _SMALLEST.get(currency, 1)
    if total < smallest:
        raise Refusal(
            "The Checkout Session's total amount due must add up to at least "
            f"{written(smallest, currency)} {currency}",
            code="amount_too_small",
        )
    if total > LARGEST_BY_CARD:
        raise Refusal(
            "The Checkout Session's total amount due must add up to no more than "
            f"{written(LARGEST_BY_CARD, currency)} {currency}",
            code="amount_too_large",
        )


def check_digits(amount: int, currency: str, param: str) -> None:
    """Refuse digits that the currency does not have (0.001 dinar, half a krona of Iceland)."""
    step = 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_ONLY else 1
    if amount % step:
        raise Refusal(
            f"Invalid amount in {currency}: {amount} must be evenly divisible by {step}.",
            code="parameter_invalid_integer",
            param=param,
        )
