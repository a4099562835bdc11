"""Money is integer minor units and a currency; decimals exist only at the edges."""

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Underflow
from typing import Final

# https://docs.stripe.com/currencies (read 2026-11-23): everything else has two decimals.
ZERO_DECIMAL: Final = frozenset(
    "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()
)
THREE_DECIMAL: Final = frozenset("bhd jod kwd omr tnd".split())
# ISK and UGX have no minor unit, but Stripe wants them times 100 and ending in 00;
# three-decimal amounts must end in 0.
GRANULARITY: Final = {"isk": 100, "ugx": 100, **dict.fromkeys(THREE_DECIMAL, 10)}

# Smallest charge per currency, in Stripe's minor units (same page). A currency that Stripe does not
# list is judged by conversion on its side, so we only ask for a positive total.
MINIMUM: Final = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip
# Cards take twelve digits, most other methods eight. The session leaves the method to the
# dashboard, so the total must suit all of them.
MAXIMUM: Final = 99_999_999

_CURRENCIES: Final = frozenset(
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn "
    "bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd "
    "gnf gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak "
    "lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd "
    "omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std "
    "szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar "
    "zmw".split()
)


# Stripe takes at most twelve digits and a float prints fifteen exactly. The traps turn whatever
# would be rounded to fit into an error.
_EXACT: Final = Context(prec=15, Emax=14, traps=[Inexact, InvalidOperation, Overflow, Underflow])


def is_currency(code: str) -> bool:
    """Whether Stripe charges in this currency (lower-case ISO 4217 code)."""
    return code in _CURRENCIES


def exponent(currency: str) -> int:
    """How many decimals Stripe's minor unit has for the currency (0, 2 or 3)."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def to_major(minor: int, currency: str) -> Decimal:
    """Minor units as an exact decimal amount: ``to_major(5998, "eur") == Decimal("59.98")``."""
    return Decimal(minor).scaleb(-exponent(currency))


def to_number(minor: int, currency: str) -> float | int:
    """The amount as a JSON number that prints exactly (``59.98``).

    A float's shortest repr is exact up to 15 digits, and Stripe takes at most 12.
    """
    places = exponent(currency)
    return minor if places == 0 else minor / 10**places


def to_minor(major: Decimal | int | str, currency: str) -> int:
    """A decimal amount as minor units.

    Raises ValueError when it is not finite, longer than 15 digits or finer than the currency's
    smallest unit: cents are never rounded away in silence.
    """
    try:
        scaled = Decimal(major).scaleb(exponent(currency), _EXACT)
    except ArithmeticError as error:
        raise ValueError("not a decimal amount of at most 15 digits") from error
    if not scaled.is_finite():
        raise ValueError("not a decimal amount of at most 15 digits")
    if scaled != scaled.to_integral_value():
        raise ValueError(f"more than {exponent(currency)} decimals")
    minor = int(scaled)
    if minor % GRANULARITY.get(currency, 1):
        raise ValueError(f"Stripe takes {currency.upper()} in steps of {GRANULARITY[currency]}")
    return minor


def minimum(currency: str) -> int:
    """The smallest total that Stripe charges, in minor units; at least 1."""
    return MINIMUM.get(currency, 1)


def split(total_minor: int, weights: list[int]) -> list[int]:
    """Shares of a total in proportion to the weights, adding up to it exactly.

    Largest remainder first, earlier index on a tie. Weights are not negative; all zero means equal.
    """
    if not weights:
        raise ValueError("nothing to split over")
    whole = sum(weights) or len(weights)
    parts = weights if sum(weights) else [1] * len(weights)
    shares = [total_minor * part // whole for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda i: (-(total_minor * parts[i] % whole), i))
    for index in by_remainder[: total_minor - sum(shares)]:
        shares[index] += 1
    return shares
