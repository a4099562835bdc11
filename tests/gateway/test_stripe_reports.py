"""Stripe's objects in our words, however little a stand-in says."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commande.core.payment import PaymentState
from commande.stripe_gateway import report_charge, report_refund, report_session
from tests.gateway.odd_stripe import session

CHARGE = {
    "id": "ch_1", "amount": 5998, "amount_refunded": 100, "disputed": True, "paid": True,
    "currency": "eur", "created": 1_795_000_000, "payment_intent": "pi_1",
    "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242"}},
    "metadata": {"command_id": "c1"},
}  # fmt: skip
INTENT = {"id": "pi_1", "status": "succeeded", "latest_charge": CHARGE}


def test_an_expanded_session_tells_everything():
    report = report_session(
        session(
            status="complete", payment_status="paid", payment_intent=INTENT,
            customer_details={"email": "c@example.org", "name": "Camille"},
        )
    )  # fmt: skip
    assert report.paid
    assert (report.amount_minor, report.currency, report.mode) == (5998, "eur", "payment")
    assert (report.payment_intent_id, report.charge_id) == ("pi_1", "ch_1")
    assert (report.refunded_minor, report.disputed) == (100, True)
    assert report.method == "visa •••• 4242"
    assert (report.customer_email, report.customer_name) == ("c@example.org", "Camille")
    assert report.created_at == datetime.fromtimestamp(1_795_000_000, UTC)
    assert report.livemode is False


@pytest.mark.parametrize("intent", [None, "pi_1", {"id": "pi_1"},
                                    {"id": "pi_1", "latest_charge": None},
                                    {"id": "pi_1", "latest_charge": "ch_1"}])  # fmt: skip
def test_intent_and_charge_may_be_absent_named_or_expanded(intent):
    report = report_session(session(status="complete", payment_status="paid",
                                    payment_intent=intent))  # fmt: skip
    assert report.paid
    assert report.payment_intent_id == ("pi_1" if intent else None)
    assert report.refunded_minor == 0


def test_a_stand_in_may_leave_out_almost_everything():
    report = report_session({"id": "cs_1", "payment_status": "paid"})
    assert report.paid
    assert report.mode == "payment"
    assert report.amount_minor is None, "what Stripe did not say is never made up"
    assert report.currency is None
    assert report.metadata == {}


@pytest.mark.parametrize(
    ("intent_status", "state"),
    [("processing", PaymentState.PROCESSING), ("requires_payment_method", PaymentState.FAILED),
     ("canceled", PaymentState.FAILED), (None, PaymentState.PROCESSING)],
)  # fmt: skip
def test_c20_complete_is_not_paid(intent_status, state):
    intent = {"id": "pi_1", "status": intent_status}
    report = report_session(session(status="complete", payment_intent=intent))
    assert report.state is state


@pytest.mark.parametrize("amount", [True, "5998", 59.98, None, [5998]])
def test_s04_an_amount_is_an_integer_or_nothing(amount):
    assert report_session(session(amount_total=amount)).amount_minor is None


def test_s04_terms_are_reported_as_they_are():
    report = report_session(session(currency="EUR", mode="subscription", livemode="false"))
    assert (report.currency, report.mode, report.livemode) == ("EUR", "subscription", False)
    assert report_session(session(livemode=True)).livemode


@pytest.mark.parametrize(
    ("details", "method"),
    [({"type": "sepa_debit", "sepa_debit": {"last4": "3000"}}, "sepa_debit •••• 3000"),
     ({"type": "paypal"}, "paypal"), ({}, None), ("card", None),
     ({"type": "card", "card": "x"}, "card")],
)  # fmt: skip
def test_how_it_was_paid(details, method):
    intent = {"id": "pi_1", "latest_charge": {"id": "ch_1", "payment_method_details": details}}
    assert report_session(session(payment_intent=intent)).method == method


def test_s42_names_that_no_database_stores_are_mended():
    details = {"name": "Ca\0mille \ud800é", "email": "\0"}
    report = report_session(session(customer_details=details))
    assert report.customer_name == "Camille ?é"
    assert not report.customer_email


def test_a_refund_and_a_charge():
    refund = report_refund({
        "id": "re_1", "amount": 100, "currency": "eur", "status": "pending", "charge": CHARGE,
        "payment_intent": "pi_1", "created": 1_795_000_000,
        "metadata": {"commande_refund": "key-1"},
    })  # fmt: skip
    assert (refund.refund_id, refund.amount_minor, refund.key) == ("re_1", 100, "key-1")
    assert (refund.charge_id, refund.state) == ("ch_1", "pending")
    charge = report_charge(CHARGE)
    assert (charge.charge_id, charge.refunded_minor, charge.paid) == ("ch_1", 100, True)
    assert charge.metadata == {"command_id": "c1"}


@pytest.mark.parametrize("report", [report_session, report_refund, report_charge])
def test_what_is_no_object_of_stripes_is_said_so(report):
    with pytest.raises(ValueError, match="without"):
        report({"object": "list", "data": []})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*session(), "customer_details"]), JSON))
def test_no_answer_however_odd_is_a_crash(fields):
    report = report_session(session() | fields | {"id": "cs_1"})
    assert report.session_id == "cs_1"
    assert isinstance(report.state, PaymentState)
