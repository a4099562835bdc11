"""Refunds and disputes."""

from commande.sandbox.charges import book
from commande.sandbox.errors import Refusal, missing
from commande.sandbox.events import emit
from commande.sandbox.money import written
from commande.sandbox.parameters import (
    Array,
    Choice,
    Hash,
    Integer,
    Metadata,
    Only,
    Text,
)
from commande.sandbox.store import Row
from commande.sandbox.world import World

CREATE = Hash(
    {
        "amount": Integer(1, 999_999_999_999),
        "charge": Text(100),
        "currency": Only(),
        "customer": Only(),
        "expand": Array(Text(200), 0, 20),
        "instructions_email": Only(),
        "metadata": Metadata(),
        "origin": Only(),
        "payment_intent": Text(100),
        "reason": Choice("duplicate", "fraudulent", "requested_by_customer"),
        "refund_application_fee": Only(False),
        "reverse_transfer": Only(False),
    }
)


def create_refund(world: World, given: Row) -> Row:
    """Refund a charge, wholly or in part. Raises Refusal when there is not that much left."""
    charge = _find_charge(world, given)
    amount = _check_amount(charge, given)
    means = world.state.rows["means_of"][charge["id"]]
    waits = means["refund"] == "pending" or means["kind"] == "sepa_debit"
    id_ = world.ids.new("re_3" if means["kind"] == "card" else "pyr_1")
    row: Row = {
        "id": id_,
        "object": "refund",
        "amount": amount,
        "balance_transaction": book(world, -amount, charge["currency"], "refund", id_),
        "charge": charge["id"],
        "created": world.now,
        "currency": charge["currency"],
        "customer": None,
        "customer_account": None,
        "payment_method": charge["payment_method"],
        "metadata": given.get("metadata") or {},
        "payment_intent": charge["payment_intent"],
        "reason": given.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if waits else "succeeded",
        "transfer_reversal": None,
    }  # fmt: skip
    if means["kind"] == "card":
        row["destination_details"] = {
            "type": "card",
            "card": {"reference_status": "pending", "type": "refund",
                     "reference_type": "acquirer_reference_number"},
        }  # fmt: skip
    if waits:
        row["pending_reason"] = "processing"
    world.state.put("refund", id_, row)
    earlier = (world.state.get("refunds_of", charge["id"]) or {"ids": []})["ids"]
    world.state.put("refunds_of", charge["id"], {"ids": [*earlier, id_]})
    before = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    _move(world, charge, amount)
    emit(world, "refund.created", row)
    emit(world, "charge.refunded", charge, before)
    if waits or means["refund"] == "fails":
        due = world.clock.now() + world.settings.refund_delay
        world.schedule(due, "settle_refund" if waits else "fail_refund", id_)
    return row


def _find_charge(world: World, given: Row) -> Row:
    if "charge" in given:
        charge = world.state.get("charge", given["charge"])
        if charge is None:
            raise missing("charge", given["charge"], "charge")
        if given.get("payment_intent", charge["payment_intent"]) != charge["payment_intent"]:
            raise Refusal("The charge does not belong to that payment_intent.",
                          param="payment_intent")  # fmt: skip
        return charge
    if "payment_intent" not in given:
        raise Refusal("One of the following params should be provided for this request: "
                      "payment_intent or charge.", code="parameter_missing",
                      param="payment_intent")  # fmt: skip
    intent = world.state.get("payment_intent", given["payment_intent"])
    if intent is None:
        raise missing("payment_intent", given["payment_intent"], "payment_intent")
    if intent["status"] != "succeeded":
        raise Refusal(f"This PaymentIntent ({intent['id']}) does not have a successful charge to "
                      "refund.")  # fmt: skip
    return world.state.rows["charge"][intent["latest_charge"]]


def _check_amount(charge: Row, given: Row) -> int:
    if charge["status"] != "succeeded":
        raise Refusal(f"Charge {charge['id']} is not successful and cannot be refunded.")
    if charge["refunded"]:
        raise Refusal(f"Charge {charge['id']} has already been refunded.",
                      code="charge_already_refunded")  # fmt: skip
    if charge["disputed"]:
        raise Refusal(f"Charge {charge['id']} has been charged back; cannot issue a refund.",
                      code="charge_disputed")  # fmt: skip
    left: int = charge["amount"] - charge["amount_refunded"]
    amount: int = given.get("amount", left)
    if amount > left:
        asked, rest = written(amount, charge["currency"]), written(left, charge["currency"])
        raise Refusal(f"Refund amount ({asked}) is greater than unrefunded amount on charge "
                      f"({rest})", param="amount")  # fmt: skip
    return amount


def _move(world: World, charge: Row, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.state.put("charge", charge["id"], charge)


def settle_refund(world: World, id_: str) -> None:
    """A pending refund arrives."""
    row = world.state.get("refund", id_)
    if row is None or row["status"] != "pending":
        return
    row = {name: value for name, value in row.items() if name != "pending_reason"}
    row["status"] = "succeeded"
    world.state.put("refund", id_, row)
    emit(world, "refund.updated", row, {"status": "pending"})
    emit(world, "charge.refund.updated", row, {"status": "pending"})


def fail_refund(world: World, id_: str) -> None:
    """The bank sends a refund back: the money is the shop's again."""
    row = world.state.get("refund", id_)
    if row is None or row["status"] in {"failed", "canceled"}:
        return
    before = row["status"]
    row = row | {
        "status": "failed",
        "failure_reason": "expired_or_canceled_card",
        "failure_balance_transaction": book(
            world, row["amount"], row["currency"], "refund_failure", id_
        ),
    }
    world.state.put("refund", id_, row)
    charge = world.state.rows["charge"][row["charge"]]
    old = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
    _move(world, charge, -row["amount"])
    emit(world, "refund.updated", row, {"status": before})
    emit(world, "refund.failed", row, {"status": before})
    emit(world, "charge.updated", charge, old)


def open_dispute(world: World, charge_id: str, reason: str = "fraudulent") -> Row:
    """The buyer's bank takes a charge back, until the dispute is decided."""
    charge = world.state.get("charge", charge_id)
    if charge is None:
        raise missing("charge", charge_id, "charge")
    if charge["status"] != "succeeded" or charge["disputed"]:
        raise Refusal(f"Charge {charge_id} cannot be disputed (now).")
    id_ = world.ids.new("du_1")
    charge["disputed"] = True
    world.state.put("charge", charge_id, charge)
    taken = book(world, -charge["amount"], charge["currency"], "adjustment", id_)
    row = _dispute(world, id_, charge, reason, taken)
    world.state.put("dispute", id_, row)
    emit(world, "charge.dispute.created", row)
    emit(world, "charge.dispute.funds_withdrawn", row)
    return row


def _dispute(world: World, id_: str, charge: Row, reason: str, taken: str) -> Row:
    text = (
        "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure "
        "cancellation_rebuttal customer_communication customer_email_address customer_name "
        "customer_purchase_ip customer_signature duplicate_charge_documentation "
        "duplicate_charge_explanation duplicate_charge_id product_description receipt "
        "refund_policy refund_policy_disclosure refund_refusal_explanation service_date "
        "service_documentation shipping_address shipping_carrier shipping_date "
        "shipping_documentation shipping_tracking_number uncategorized_file uncategorized_text"
    )
    row: Row = {
        "id": id_,
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": [world.state.rows["balance_transaction"][taken]],
        "charge": charge["id"],
        "created": world.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(text.split()) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": world.now + 7 * 86_400, "enhanced_eligibility": {}, "has_evidence": False,
            "past_due": False, "submission_count": 0, "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "network_reason_code": None,
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "status": "needs_response",
    }  # fmt: skip
    if charge["payment_method_details"]["type"] == "card":
        row["payment_method_details"] = {
            "type": "card",
            "card": {"brand": "visa", "case_type": "chargeback", "network": "visa",
                     "network_reason_code": "10.4"},
        }  # fmt: skip
    return row


def close_dispute(world: World, id_: str, *, won: bool) -> Row:
    """Decide a dispute; a won one gives the money back."""
    row = world.state.get("dispute", id_)
    if row is None:
        raise missing("dispute", id_, "dispute")
    if row["status"] in {"won", "lost"}:
        raise Refusal(f"Dispute {id_} is already closed.")
    before = row["status"]
    row = {**row, "status": "won" if won else "lost"}
    if won:
        given_back = book(world, row["amount"], row["currency"], "adjustment", id_)
        given_back_row = world.state.rows["balance_transaction"][given_back]
        row["balance_transactions"] = [*row["balance_transactions"], given_back_row]
    world.state.put("dispute", id_, row)
    emit(world, "charge.dispute.closed", row, {"status": before})
    if won:
        emit(world, "charge.dispute.funds_reinstated", row)
    return row
