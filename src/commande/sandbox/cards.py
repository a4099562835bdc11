"""Stripe's test cards and test bank accounts, and what becomes of each.

Source: docs.stripe.com/testing.
"""

from typing import Literal, NamedTuple

from commande.sandbox.errors import Refusal

Later = Literal["", "fails", "disputed"]


class Decline(NamedTuple):
    """Why a bank says no, in Stripe's codes and sentence."""

    code: str
    decline_code: str | None
    message: str


class Means(NamedTuple):
    """A payment method that a buyer can type in, and its fate."""

    kind: Literal["card", "sepa_debit"]
    number: str
    brand: str = "visa"
    country: str = "US"
    decline: Decline | None = None
    authenticate: bool = False
    refund: Literal["", "pending", "fails"] = ""
    later: Later = ""
    wait: float | None = None

    @property
    def last4(self) -> str:
        return self.number[-4:]


class Buyer(NamedTuple):
    """Who pays, as typed on the page."""

    email: str | None = None
    name: str | None = None
    country: str | None = None


_DECLINED = "Your card was declined."
GENERIC = Decline("card_declined", "generic_decline", _DECLINED)
_DECLINES = {
    "4000000000000002": GENERIC,
    "4000000000009995": Decline(
        "card_declined", "insufficient_funds", "Your card has insufficient funds."
    ),
    "4000000000009987": Decline("card_declined", "lost_card", _DECLINED),
    "4000000000009979": Decline("card_declined", "stolen_card", _DECLINED),
    "4000000000006975": Decline(
        "card_declined", "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its "
        "amount limit.",
    ),
    "4100000000000019": Decline("card_declined", "fraudulent", _DECLINED),
    "4000000000000069": Decline("expired_card", "expired_card", "Your card has expired."),
    "4000000000000127": Decline(
        "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."
    ),
    "4000000000000119": Decline(
        "processing_error", "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
}  # fmt: skip
NOT_A_TEST_CARD = Decline(
    "card_declined", "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test (live) card. "
    "For a list of valid test cards, visit: https://stripe.com/docs/testing.",
)  # fmt: skip
BANK_SAYS_NO = Decline(
    "payment_intent_payment_attempt_failed",
    "insufficient_funds",
    "The customer's bank account has insufficient funds to cover this payment.",
)

_CARDS = [
    *(Means("card", number, brand, country) for number, (brand, country) in {
        "4242424242424242": ("visa", "US"), "4000056655665556": ("visa", "US"),
        "4000002500000003": ("visa", "FR"), "4000002760000016": ("visa", "DE"),
        "4000008260000000": ("visa", "GB"), "4000000560000004": ("visa", "BE"),
        "4000003800000008": ("visa", "IT"), "4000007240000007": ("visa", "ES"),
        "4000000000000077": ("visa", "US"), "5555555555554444": ("mastercard", "US"),
        "2223003122003222": ("mastercard", "US"), "5200828282828210": ("mastercard", "US"),
        "5105105105105100": ("mastercard", "US"), "378282246310005": ("amex", "US"),
        "371449635398431": ("amex", "US"), "6011111111111117": ("discover", "US"),
        "3056930009020004": ("diners", "US"), "3566002020360505": ("jcb", "JP"),
        "6200000000000005": ("unionpay", "CN"),
    }.items()),
    *(Means("card", n, decline=why) for n, why in _DECLINES.items()),
    Means("card", "4000002500003155", country="FR", authenticate=True),
    Means("card", "4000002760003184", country="DE", authenticate=True),
    Means("card", "4000000000003220", authenticate=True),
    Means("card", "4000000000003063", authenticate=True),
    Means("card", "4000008400001629", authenticate=True, decline=GENERIC),
    Means("card", "4000008260003178", country="GB", authenticate=True,
          decline=_DECLINES["4000000000009995"]),
    Means("card", "4000000000007726", refund="pending"),
    Means("card", "4000000000005126", refund="fails"),
    Means("card", "4000000000000259", later="disputed"),
    Means("card", "4000000000002685", later="disputed"),
]  # fmt: skip
_ACCOUNTS = [
    Means("sepa_debit", "DE89370400440532013000"),
    Means("sepa_debit", "DE08370400440532013003", wait=180),
    Means("sepa_debit", "DE62370400440532013001", later="fails"),
    Means("sepa_debit", "DE78370400440532013004", later="fails", wait=180),
    Means("sepa_debit", "DE35370400440532013002", later="disputed"),
    Means("sepa_debit", "FR1420041010050500013M02606"),
    Means("sepa_debit", "FR8420041010050500013M02607", later="fails"),
]
_KNOWN = {means.number: means for means in (*_CARDS, *_ACCOUNTS)}
_KNOWN = {n: m._replace(country=n[:2]) if m.kind == "sepa_debit" else m for n, m in _KNOWN.items()}

# Stripe's names for ready-made payment methods (and the older tokens, tok_…).
_NAMES = {
    "visa": "4242424242424242",
    "visa_debit": "4000056655665556",
    "mastercard": "5555555555554444",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "fr": "4000002500000003",
    "de": "4000002760000016",
    "gb": "4000008260000000",
    "bypassPending": "4000000000000077",
    "chargeDeclined": "4000000000000002",
    "visa_chargeDeclined": "4000000000000002",
    "chargeDeclinedInsufficientFunds": "4000000000009995",
    "visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "chargeDeclinedLostCard": "4000000000009987",
    "visa_chargeDeclinedLostCard": "4000000000009987",
    "chargeDeclinedStolenCard": "4000000000009979",
    "visa_chargeDeclinedStolenCard": "4000000000009979",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
    "chargeDeclinedFraudulent": "4100000000000019",
    "threeDSecure2Required": "4000000000003220",
    "threeDSecureRequired": "4000000000003063",
    "authenticationRequired": "4000002760003184",
    "authenticationRequiredOnSetup": "4000002500003155",
    "authenticationRequiredChargeDeclined": "4000008400001629",
    "authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
    "pendingRefund": "4000000000007726",
    "refundFail": "4000000000005126",
    "createDispute": "4000000000000259",
}


def luhn_holds(digits: str) -> bool:
    """Whether a card number's check digit fits."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def iban_holds(iban: str) -> bool:
    """Whether an IBAN's check digits fit (ISO 13616, mod 97)."""
    if not (15 <= len(iban) <= 34 and iban.isascii() and iban.isalnum() and iban[:2].isalpha()):
        return False
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def find_means(given: str) -> Means:
    """The payment method behind a number, an IBAN or one of Stripe's `pm_card_…` names.

    Raises Refusal: a number that cannot be one never leaves the page (`incorrect_number`).
    """
    number = "".join(given.split()).replace("-", "").replace("\u202f", "")
    for prefix in ("pm_card_", "tok_"):
        if number.startswith(prefix) and number.removeprefix(prefix) in _NAMES:
            number = _NAMES[number.removeprefix(prefix)]
    if number.startswith("pm_"):
        raise Refusal(f"No such PaymentMethod: '{given}'", code="resource_missing",
                      param="payment_method")  # fmt: skip
    number = number.upper()
    if number in _KNOWN:
        return _KNOWN[number]
    if number[:2].isalpha():
        return _strange_account(number)
    if not (number.isascii() and number.isdigit() and 12 <= len(number) <= 19):
        raise Refusal("Your card number is incomplete.", code="invalid_number",
                      type="card_error", status=402, param="number")  # fmt: skip
    if not luhn_holds(number):
        raise Refusal("Your card number is invalid.", code="incorrect_number",
                      type="card_error", status=402, param="number")  # fmt: skip
    return Means("card", number, decline=NOT_A_TEST_CARD)


def _strange_account(iban: str) -> Means:
    if not iban_holds(iban):
        raise Refusal("The IBAN you entered is invalid.", param="iban")
    raise Refusal("You passed a real IBAN in test mode. Use a test IBAN.",
                  code="testmode_charges_only", param="iban")  # fmt: skip
