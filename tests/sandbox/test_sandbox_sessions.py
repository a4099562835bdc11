"""Checkout Sessions through the official SDK."""

import pytest
import stripe

from tests.support.stand import Stand, a_line, an_order


def test_a_session_is_made_with_the_total_of_its_lines(stand: Stand) -> None:
    session = stand.order(line_items=[a_line(2999, 2), a_line(150, 3)])
    assert session.amount_total == 2 * 2999 + 3 * 150
    assert session.status == "open"
    assert session.payment_status == "unpaid"
    assert session.payment_intent is None
    assert session.url == f"{stand.url}/c/pay/{session.id}"
    assert session.expires_at - session.created == 24 * 3600


def test_what_is_made_is_what_is_read(stand: Stand) -> None:
    made = stand.order(metadata={"cmd": "1"}, client_reference_id="ref", customer_email="a@b.fr")
    read = stand.v1.checkout.sessions.retrieve(made.id)
    assert made.to_dict() == read.to_dict()
    assert read.customer_details is not None
    assert read.customer_details.email == "a@b.fr"


def test_sessions_are_listed_newest_first_page_by_page(stand: Stand) -> None:
    made = [stand.order().id for _ in range(7)]
    first = stand.v1.checkout.sessions.list({"limit": 3})
    assert [session.id for session in first.data] == made[:-4:-1]
    assert first.has_more
    everything = [session.id for session in first.auto_paging_iter()]
    assert everything == made[::-1]
    before = stand.v1.checkout.sessions.list({"limit": 2, "ending_before": made[2]})
    assert [session.id for session in before.data] == [made[4], made[3]]


def test_sessions_are_listed_by_state_time_intent_and_mail(stand: Stand) -> None:
    open_ = stand.order(customer_email="one@shop.example")
    paid = stand.paid(customer_email="two@shop.example")
    stand.dashboard.advance(100)
    late = stand.order()
    sessions = stand.v1.checkout.sessions

    def ids(params: stripe.params.checkout.SessionListParams) -> list[str]:
        return [session.id for session in sessions.list(params).data]

    assert ids({"status": "complete"}) == [paid.id]
    assert ids({"status": "open"}) == [late.id, open_.id]
    assert ids({"created": {"gte": late.created}}) == [late.id]
    assert ids({"created": {"lt": late.created}}) == [paid.id, open_.id]
    assert ids({"customer_details": {"email": "ONE@shop.example"}}) == [open_.id]
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    assert ids({"payment_intent": paid.payment_intent.id}) == [paid.id]


def test_an_unknown_cursor_is_refused(stand: Stand) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        stand.v1.checkout.sessions.list({"starting_after": "cs_test_nobody"})
    assert refusal.value.code == "resource_missing"


def test_line_items_come_in_their_order_with_taxes_when_asked(stand: Stand) -> None:
    rate = stand.v1.tax_rates.create(
        {"display_name": "TVA", "percentage": 20, "inclusive": True, "country": "FR"}
    )
    session = stand.order(line_items=[a_line(100 + n, 1, tax_rates=[rate.id]) for n in range(12)])
    lines = stand.v1.checkout.sessions.line_items
    page = lines.list(session.id, {"limit": 5, "expand": ["data.taxes"]})
    assert [line.amount_total for line in page.data] == [100, 101, 102, 103, 104]
    assert page.data[0].taxes is not None
    assert page.data[0].taxes[0].amount == 17
    assert [line.amount_total for line in page.auto_paging_iter()] == [*range(100, 112)]


def test_an_open_session_can_be_expired_once(stand: Stand) -> None:
    session = stand.order()
    assert stand.v1.checkout.sessions.expire(session.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match="status of `expired`"):
        stand.v1.checkout.sessions.expire(session.id)
    status, error = stand.confirm(session.id)
    assert (status, error["error"]["message"]) == (400, "This Checkout Session has expired.")


def test_a_paid_session_cannot_be_expired(stand: Stand) -> None:
    session = stand.paid()
    with pytest.raises(stripe.InvalidRequestError, match="status of `complete`"):
        stand.v1.checkout.sessions.expire(session.id)


def test_a_session_expires_by_the_stand_ins_clock(stand: Stand) -> None:
    made = stand.v1.checkout.sessions.create(an_order())
    stand.dashboard.advance(24 * 3600 - 2)
    assert stand.look(made.id).status == "open"
    stand.dashboard.advance(3)
    gone = stand.look(made.id)
    assert gone.status == "expired"
    assert gone.url is None
    types = [event.type for event in stand.v1.events.list().data]
    assert types == ["checkout.session.expired"]


def test_what_is_expanded_comes_whole(stand: Stand) -> None:
    paid = stand.paid()
    session = stand.v1.checkout.sessions.retrieve(
        paid.id, {"expand": ["payment_intent.latest_charge.balance_transaction", "line_items"]}
    )
    intent = session.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.latest_charge.amount_refunded == 0
    assert session.line_items is not None
    assert session.line_items.data[0].description == "Bouquet"
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        stand.v1.checkout.sessions.retrieve(paid.id, {"expand": ["payment_intent.nonsense"]})


def test_a_list_can_be_expanded_too(stand: Stand) -> None:
    stand.paid()
    [session] = stand.v1.checkout.sessions.list({"expand": ["data.payment_intent"]}).data
    assert isinstance(session.payment_intent, stripe.PaymentIntent)


def test_an_attempt_that_failed_is_cancelled_with_its_session(stand: Stand) -> None:
    session = stand.order()
    stand.confirm(session.id, payment_method="4000000000000002")
    stand.v1.checkout.sessions.expire(session.id)
    intent = stand.look(session.id).payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.status, intent.cancellation_reason) == ("canceled", "expired")


def test_metadata_goes_where_it_was_put_and_nowhere_else(stand: Stand) -> None:
    session = stand.paid(
        metadata={"on": "session"}, payment_intent_data={"metadata": {"on": "intent"}}
    )
    intent = session.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert session.metadata is not None
    assert session.metadata.to_dict() == {"on": "session"}
    assert intent.metadata.to_dict() == {"on": "intent"}


def test_a_total_of_nothing_needs_no_payment(stand: Stand) -> None:
    session = stand.order(line_items=[a_line(0, 1)])
    assert session.payment_status == "no_payment_required"
    status, done = stand.confirm(session.id, email="a@b.fr")
    assert (status, done["status"], done["payment_intent"]) == (200, "complete", None)


def test_sepa_is_offered_for_euros_only(stand: Stand) -> None:
    assert stand.order().payment_method_types == ["card", "sepa_debit"]
    dollars = a_line()
    dollars["price_data"]["currency"] = "usd"
    assert stand.order(line_items=[dollars]).payment_method_types == ["card"]
    only = stand.order(allowed_payment_method_types=["sepa_debit"])
    assert only.payment_method_types == ["sepa_debit"]
