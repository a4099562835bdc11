"""Paying without a browser: every test card and account, now and later."""

import pytest
import stripe

from commande.sandbox.errors import Refusal
from tests.support.sdk_schema import validate_object
from tests.support.stand import Stand, eventually

PAID = ["4242424242424242", "pm_card_visa", "tok_visa", "4242 4242 4242 4242", "5555555555554444"]
DECLINED = [
    ("4000000000000002", "card_declined", "generic_decline"),
    ("4000000000009995", "card_declined", "insufficient_funds"),
    ("4000000000009987", "card_declined", "lost_card"),
    ("4000000000009979", "card_declined", "stolen_card"),
    ("4000000000000069", "expired_card", "expired_card"),
    ("4000000000000127", "incorrect_cvc", "incorrect_cvc"),
    ("4000000000000119", "processing_error", "processing_error"),
    ("4111111111111111", "card_declined", "test_mode_live_card"),
]


def intent_of(session: stripe.checkout.Session) -> stripe.PaymentIntent:
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    return session.payment_intent


@pytest.mark.parametrize("method", PAID)
def test_a_good_card_pays_at_once(stand: Stand, method: str) -> None:
    session = stand.paid(method)
    intent = intent_of(session)
    assert (session.status, session.payment_status) == ("complete", "paid")
    assert intent.status == "succeeded"
    assert intent.amount_received == session.amount_total == 5998
    charges = stand.v1.charges.list({"payment_intent": intent.id}).data
    assert [charge.status for charge in charges] == ["succeeded"]


@pytest.mark.parametrize(("number", "code", "decline_code"), DECLINED)
def test_a_declined_card_leaves_the_session_open_for_another(
    stand: Stand, number: str, code: str, decline_code: str
) -> None:
    session = stand.order()
    status, answer = stand.confirm(session.id, payment_method=number)
    assert status == 402
    assert answer["error"]["type"] == "card_error"
    assert (answer["error"]["code"], answer["error"]["decline_code"]) == (code, decline_code)
    still = stand.look(session.id)
    assert (still.status, still.payment_status) == ("open", "unpaid")
    assert intent_of(still).status == "requires_payment_method"
    assert stand.confirm(session.id)[0] == 200
    paid = stand.look(session.id)
    assert intent_of(paid).id == intent_of(still).id
    charges = stand.v1.charges.list({"payment_intent": intent_of(paid).id}).data
    assert [charge.status for charge in charges] == ["succeeded", "failed"]


def test_a_wrong_number_reaches_no_bank(stand: Stand) -> None:
    session = stand.order()
    status, answer = stand.confirm(session.id, payment_method="4242424242424241")
    assert (status, answer["error"]["code"]) == (402, "incorrect_number")
    assert stand.look(session.id).payment_intent is None
    assert not stand.engine.state.rows["charge"]


def test_the_intent_can_stay_unnamed_after_a_decline(stand: Stand) -> None:
    stand.dashboard.set(intent_after_decline=False)
    session = stand.order()
    stand.confirm(session.id, payment_method="4000000000000002")
    assert stand.look(session.id).payment_intent is None
    stand.confirm(session.id)
    assert intent_of(stand.look(session.id)).status == "succeeded"


@pytest.mark.parametrize("number", ["4000002500003155", "4000002760003184", "4000000000003220"])
def test_three_d_secure_asks_first_and_pays_when_confirmed_again(stand: Stand, number: str) -> None:
    session = stand.order()
    status, answer = stand.confirm(session.id, payment_method=number)
    assert (status, answer["status"]) == (200, "open")
    asked = intent_of(stand.look(session.id))
    assert asked.status == "requires_action"
    assert asked.next_action is not None
    assert stand.confirm(session.id, payment_method=number)[1]["payment_status"] == "paid"


def test_three_d_secure_can_be_answered_in_one_call(stand: Stand) -> None:
    session = stand.order()
    status, answer = stand.confirm(
        session.id, payment_method="4000002500003155", three_d_secure="fail"
    )
    assert (status, answer["error"]["code"]) == (402, "payment_intent_authentication_failure")
    assert not stand.engine.state.rows["charge"]
    status, answer = stand.confirm(
        session.id, payment_method="4000008400001629", three_d_secure="approve"
    )
    assert (status, answer["error"]["code"]) == (402, "card_declined")
    status, answer = stand.confirm(
        session.id, payment_method="4000002500003155", three_d_secure="approve"
    )
    assert (status, answer["payment_status"]) == (200, "paid")


def test_a_shop_can_have_three_d_secure_asked_for_every_card(stand: Stand) -> None:
    options = {"card": {"request_three_d_secure": "any"}}
    session = stand.order(payment_method_options=options)
    assert stand.confirm(session.id)[1]["status"] == "open"
    assert stand.confirm(session.id)[1]["payment_status"] == "paid"


@pytest.mark.parametrize(
    ("iban", "succeeds", "wait"),
    [
        ("DE89370400440532013000", True, 5),
        ("DE62370400440532013001", False, 5),
        ("FR14 2004 1010 0505 0001 3M02 606", True, 5),
        ("DE08370400440532013003", True, 180),
        ("DE78370400440532013004", False, 180),
    ],
)
def test_a_debit_completes_unpaid_and_the_bank_answers_by_the_clock(
    stand: Stand, iban: str, succeeds: bool, wait: float
) -> None:
    session = stand.paid(iban)
    assert (session.status, session.payment_status) == ("complete", "unpaid")
    assert intent_of(session).status == "processing"
    stand.dashboard.advance(wait - 1.5)
    assert intent_of(stand.look(session.id)).status == "processing"
    stand.dashboard.advance(2)
    later = stand.look(session.id)
    assert later.status == "complete"
    assert later.payment_status == ("paid" if succeeds else "unpaid")
    assert intent_of(later).status == ("succeeded" if succeeds else "requires_payment_method")
    newest = stand.v1.events.list({"limit": 5}).data
    wanted = "succeeded" if succeeds else "failed"
    assert f"checkout.session.async_payment_{wanted}" in [event.type for event in newest]


def test_a_strange_iban_is_refused(stand: Stand) -> None:
    session = stand.order()
    for iban in ("DE89370400440532013001", "FR7630006000011234567890189", "XX"):
        assert stand.confirm(session.id, payment_method=iban)[0] in {400, 402}
    assert not stand.engine.state.rows["charge"]


def test_a_disputed_card_is_disputed_a_moment_later(stand: Stand) -> None:
    session = stand.paid("4000000000000259")
    stand.dashboard.advance(6)
    charge = intent_of(stand.look(session.id)).latest_charge
    assert isinstance(charge, stripe.Charge)
    assert charge.disputed
    [dispute] = stand.v1.disputes.list({"charge": charge.id}).data
    validate_object(dispute.to_dict(for_json=True))
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        stand.v1.refunds.create({"charge": charge.id})
    assert refusal.value.code == "charge_disputed"
    stand.dashboard.close_dispute(dispute.id, won=True)
    assert stand.v1.disputes.retrieve(dispute.id).status == "won"


def test_what_is_expected_must_be_what_is_paid(stand: Stand) -> None:
    session = stand.order()
    assert stand.confirm(session.id, expected_amount=5997)[0] == 400
    assert stand.confirm(session.id, expected_amount=5998)[0] == 200
    assert stand.confirm(session.id)[0] == 400


def test_the_buyers_browser_needs_no_secret_key(stand: Stand) -> None:
    for params, key, status in [
        ({}, "", 200),
        ({"key": "pk_test_1"}, "", 200),
        ({}, "Bearer pk_test_1", 200),
        ({}, "Bearer sk_live_1", 401),
    ]:
        session = stand.order()
        path = f"/v1/payment_pages/{session.id}/confirm"
        assert stand.send("POST", path, params, Authorization=key)[0] == status


def test_a_disallowed_method_cannot_pay(stand: Stand) -> None:
    session = stand.order(allowed_payment_method_types=["card"])
    assert stand.confirm(session.id, payment_method="DE89370400440532013000")[0] == 400


def test_a_foreign_session_can_be_made_and_paid(stand: Stand) -> None:
    row = stand.dashboard.foreign_session(
        amount=1234, client_reference_id="victim", payment_link=True, pay_with="pm_card_visa"
    )
    session = stand.look(row["id"])
    assert session.client_reference_id == "victim"
    assert session.metadata is not None
    assert session.metadata.to_dict() == {}
    assert session.payment_link
    assert (session.amount_total, session.payment_status) == (1234, "paid")


def test_refunds_are_whole_or_in_part_and_never_too_much(stand: Stand) -> None:
    intent = intent_of(stand.paid()).id
    part = stand.v1.refunds.create({"payment_intent": intent, "amount": 1000})
    assert (part.status, part.amount) == ("succeeded", 1000)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        stand.v1.refunds.create({"payment_intent": intent, "amount": 4999})
    assert stand.v1.refunds.create({"payment_intent": intent}).amount == 4998
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        stand.v1.refunds.create({"payment_intent": intent})
    assert refusal.value.code == "charge_already_refunded"
    charge = stand.v1.charges.list({"payment_intent": intent}).data[0]
    assert (charge.refunded, charge.amount_refunded) == (True, 5998)
    assert [refund.amount for refund in stand.v1.refunds.list({"charge": charge.id}).data] == [
        4998,
        1000,
    ]
    types = [event.type for event in stand.v1.events.list({"type": "refund.*"}).data]
    assert types == ["refund.created", "refund.created"]
    assert stand.v1.balance.retrieve().pending[0].amount == 0


def test_the_status_tells_which_debits_wait_for_their_bank(stand: Stand) -> None:
    intent = intent_of(stand.paid("DE89370400440532013000")).id
    [debit] = stand.dashboard.status()["debits_waiting"]
    assert (debit["payment_intent"], debit["due_in"]) == (intent, 5)
    stand.dashboard.advance(5)
    assert stand.dashboard.status()["debits_waiting"] == []


def test_an_unpaid_intent_cannot_be_refunded(stand: Stand) -> None:
    session = stand.paid("DE89370400440532013000")
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        stand.v1.refunds.create({"payment_intent": intent_of(session).id})
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        stand.v1.refunds.create({})
    assert refusal.value.code == "parameter_missing"


def test_a_refund_can_be_pending_first(stand: Stand) -> None:
    refund = stand.v1.refunds.create(
        {"payment_intent": intent_of(stand.paid("4000000000007726")).id}
    )
    assert refund.status == "pending"
    stand.dashboard.advance(61)
    assert stand.v1.refunds.retrieve(refund.id).status == "succeeded"
    assert stand.v1.events.list({"type": "refund.updated"}).data


def test_a_refund_can_fail_later(stand: Stand) -> None:
    intent = intent_of(stand.paid("4000000000005126")).id
    refund = stand.v1.refunds.create({"payment_intent": intent})
    assert refund.status == "succeeded"
    stand.dashboard.advance(61)
    failed = stand.v1.refunds.retrieve(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    charge = stand.v1.charges.list({"payment_intent": intent}).data[0]
    assert (charge.refunded, charge.amount_refunded) == (False, 0)
    types = {event.type for event in stand.v1.events.list({"type": "refund.*"}).data}
    assert types == {"refund.created", "refund.updated", "refund.failed"}


def test_a_refund_in_the_dashboard_is_heard_of_by_webhook(stand: Stand) -> None:
    intent = intent_of(stand.paid()).id
    stand.dashboard.refund(intent, 100)
    event = eventually(
        lambda: [e for e in stand.v1.events.list().data if e.type == "charge.refunded"]
    )[0]
    assert event.data.object["amount_refunded"] == 100
    assert event.data.previous_attributes["amount_refunded"] == 0
    with pytest.raises(Refusal):
        stand.dashboard.refund(intent, 6000)
