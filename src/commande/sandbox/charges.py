"""Charges: one for each attempt on a bank, and the balance transaction of each that succeeded."""

from commande.sandbox import blanks
from commande.sandbox.cards import Buyer, Decline, Means, find_means
from commande.sandbox.events import emit
from commande.sandbox.store import Row
from commande.sandbox.world import World

_FROM_INTENT = (
    "amount", "currency", "description", "metadata", "receipt_email", "shipping",
    "statement_descriptor", "statement_descriptor_suffix",
)  # fmt: skip
_NETWORK_OK = {"advice_code": None, "network_advice_code": None, "network_decline_code": None,
               "network_status": "approved_by_network", "reason": None, "risk_level": "normal",
               "risk_score": 12, "seller_message": "Payment complete.",
               "type": "authorized"}  # fmt: skip


def charge(
    world: World, intent: Row, means: Means, buyer: Buyer, status: str, why: Decline | None = None
) -> Row:
    """Make the charge of one attempt: `succeeded`, `pending` or `failed`."""
    good = status != "failed"
    id_ = world.ids.new("ch_3" if means.kind == "card" else "py_3")
    method = note_method(world, means, buyer)
    row: Row = {
        "id": id_,
        **blanks.CHARGE,
        **{name: intent[name] for name in _FROM_INTENT},
        "amount_captured": intent["amount"] if good else 0,
        "billing_details": _billing(buyer),
        "calculated_statement_descriptor": world.shop_name.upper()[:22],
        "captured": good,
        "created": world.now,
        "failure_code": why.code if why else None,
        "failure_message": why.message if why else None,
        "outcome": _outcome(status, why),
        "paid": status == "succeeded",
        "payment_intent": intent["id"],
        "payment_method": method,
        "payment_method_details": _details(world, intent, means, good),
        "status": status,
    }
    world.state.put("charge", id_, row)
    world.state.put("means_of", id_, {"refund": means.refund, "kind": means.kind})
    return row


def _billing(buyer: Buyer) -> Row:
    return {
        "address": {**blanks.NO_ADDRESS, "country": buyer.country},
        "email": buyer.email,
        "name": buyer.name,
        "phone": None,
        "tax_id": None,
    }


def _outcome(status: str, why: Decline | None) -> Row | None:
    if status == "pending":
        return None
    if why is None:
        return _NETWORK_OK
    return _NETWORK_OK | {
        "network_status": "declined_by_network",
        "reason": why.decline_code or why.code,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }


def _card(world: World, means: Means) -> Row:
    year = world.now // 31_556_952 + 1970
    return {
        "brand": means.brand, "checks": {"address_line1_check": None,
                                         "address_postal_code_check": None, "cvc_check": "pass"},
        "country": means.country, "exp_month": 12, "exp_year": year + 3,
        "fingerprint": "fp" + means.number[-14:], "funding": "credit", "last4": means.last4,
        "wallet": None,
    }  # fmt: skip


def _details(world: World, intent: Row, means: Means, good: bool) -> Row:
    if means.kind == "sepa_debit":
        return {
            "type": "sepa_debit",
            "sepa_debit": {
                "bank_code": means.number[4:12], "branch_code": None, "country": means.country,
 "fingerprint": "fp" + means.number[-14:],
                "last4": means.last4, "mandate": world.ids.new("mandate_1"),
            },
        }  # fmt: skip
    authentication: Row = {
        "authentication_flow": "challenge", "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated", "result_reason": None,
        "transaction_id": "00000000-0000-4000-8000-000000000000", "version": "2.2.0",
    }  # fmt: skip
    card: Row = {
        **blanks.CHARGED_CARD,
        **_card(world, means),
        "amount_authorized": intent["amount"] if good else None,
        "network": means.brand,
        "overcapture": {"maximum_amount_capturable": intent["amount"], "status": "unavailable"},
        "three_d_secure": authentication if means.authenticate else None,
    }
    return {"type": "card", "card": card}


def note_method(world: World, means: Means, buyer: Buyer) -> str:
    """Remember what was paid with; its id. The object is made when somebody looks."""
    id_ = world.ids.new("pm_1")
    row = {"number": means.number, "billing": _billing(buyer), "created": world.now}
    world.state.put("payment_method", id_, row)
    return id_


def method_object(world: World, id_: str) -> Row:
    """The PaymentMethod object, for expansion and for an intent's last error."""
    kept = world.state.rows["payment_method"][id_]
    means = find_means(kept["number"])
    row: Row = {
        "id": id_,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": kept["billing"],
        "created": kept["created"],
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": means.kind,
    }
    if means.kind == "card":
        row["card"] = _card(world, means) | {
            "display_brand": means.brand,
            "generated_from": None,
            "networks": {"available": [means.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
        }
    else:
        row["sepa_debit"] = {
            "bank_code": means.number[4:12], "branch_code": None, "country": means.country,
            "fingerprint": "fp" + means.number[-14:], "generated_from": None,
            "last4": means.last4,
        }  # fmt: skip
    return row


def finish(world: World, row: Row, why: Decline | None) -> None:
    """A pending charge succeeds, or fails for a reason."""
    status = "failed" if why else "succeeded"
    row.update(status=status, paid=why is None, outcome=_outcome(status, why))
    if why:
        row.update(failure_code=why.code, failure_message=why.message, captured=False,
                   amount_captured=0)  # fmt: skip
    world.state.put("charge", row["id"], row)


def settle_balance(world: World, row: Row) -> None:
    """Under automatic_async the balance transaction comes after the charge, by charge.updated."""
    row["balance_transaction"] = book(world, row["amount"], row["currency"], "charge", row["id"])
    world.state.put("charge", row["id"], row)
    emit(world, "charge.updated", row, {"balance_transaction": None})


def book(world: World, amount: int, currency: str, kind: str, source: str) -> str:
    """Write a balance transaction (the stand-in takes no fee); its id."""
    id_ = world.ids.new("txn_3")
    world.state.put(
        "balance_transaction",
        id_,
        {
            "id": id_,
            "object": "balance_transaction",
            "amount": amount,
            "available_on": world.now + 2 * 86_400,
            "balance_type": "payments",
            "created": world.now,
            "currency": currency,
            "description": None,
            "exchange_rate": None,
            "fee": 0,
            "fee_details": [],
            "net": amount,
            "reporting_category": {"adjustment": "dispute"}.get(kind, kind),
            "source": source,
            "status": "pending",
            "type": kind,
        },
    )
    return id_


def balance(world: World) -> Row:
    """The account's balance: what its transactions add up to, by currency."""
    sums: dict[tuple[bool, str], int] = {}
    for row in world.state.rows["balance_transaction"].values():
        key = (row["available_on"] <= world.now, row["currency"])
        sums[key] = sums.get(key, 0) + row["net"]
    parts: dict[bool, list[Row]] = {True: [], False: []}
    for (available, currency), amount in sorted(sums.items()):
        parts[available].append(
            {"amount": amount, "currency": currency, "source_types": {"card": amount}}
        )
    nothing = [{"amount": 0, "currency": "eur", "source_types": {"card": 0}}]
    return {
        "object": "balance",
        "available": parts[True] or nothing,
        "livemode": False,
        "pending": parts[False] or nothing,
        "refund_and_dispute_prefunding": {"available": nothing, "pending": nothing},
    }
