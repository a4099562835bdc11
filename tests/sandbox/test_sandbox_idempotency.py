"""Idempotency keys, as Stripe keeps them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from tests.support.stand import Stand, a_line, an_order, eventually


def create(stand: Stand, key: str, **changes: object) -> stripe.checkout.Session:
    return stand.v1.checkout.sessions.create(an_order(**changes), {"idempotency_key": key})


def test_the_same_key_and_parameters_give_the_same_session(stand: Stand) -> None:
    first, second = create(stand, "k"), create(stand, "k")
    assert first.to_dict() == second.to_dict()
    assert len(stand.engine.state.rows["session"]) == 1
    again = stand.send("POST", "/v1/checkout/sessions", an_order(), Idempotency_Key="k")
    assert again[2]["idempotent-replayed"] == "true"
    assert again[2]["original-request"] != again[2]["request-id"]


def test_a_replay_shows_the_first_answer_even_when_things_moved_on(stand: Stand) -> None:
    session = create(stand, "k")
    stand.confirm(session.id)
    assert create(stand, "k").status == "open"


def test_the_same_key_with_other_parameters_is_refused(stand: Stand) -> None:
    create(stand, "k")
    with pytest.raises(stripe.IdempotencyError) as refusal:
        create(stand, "k", client_reference_id="other")
    assert refusal.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        stand.v1.tax_rates.create(
            {"display_name": "T", "percentage": 1, "inclusive": True}, {"idempotency_key": "k"}
        )


def test_another_account_has_keys_of_its_own(stand: Stand) -> None:
    first = create(stand, "k")
    _, body, _ = stand.send(
        "POST", "/v1/checkout/sessions", an_order(),
        Idempotency_Key="k", Authorization="Bearer sk_test_of_somebody_else",
    )  # fmt: skip
    assert first.id.encode() not in body


def test_refused_parameters_keep_nothing(stand: Stand) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        create(stand, "k", line_items=[a_line(1, 1)])
    assert create(stand, "k").amount_total == 5998


def test_a_decline_is_kept(stand: Stand) -> None:
    session = stand.order()
    path = f"/v1/payment_pages/{session.id}/confirm"
    params = {"payment_method": "4000000000000002"}
    first = stand.send("POST", path, params, Idempotency_Key="pay")
    second = stand.send("POST", path, params, Idempotency_Key="pay")
    assert first[:2] == second[:2]
    assert first[0] == 402
    assert len(stand.engine.state.rows["charge"]) == 1


def test_a_500_after_the_commit_is_kept_and_replayed(stand: Stand) -> None:
    stand.engine.fail("500_after", path="/v1/checkout/*")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as broken:
            create(stand, "k")
        assert broken.value.http_status == 500
    assert len(stand.engine.state.rows["session"]) == 1


def test_a_500_before_the_commit_leaves_the_key_free(stand: Stand) -> None:
    stand.engine.fail("500_before")
    with pytest.raises(stripe.APIError):
        create(stand, "k")
    assert not stand.engine.state.rows["session"]
    assert create(stand, "k").status == "open"


def test_a_replayed_answer_can_be_lost_too(stand: Stand) -> None:
    first = create(stand, "k")
    stand.engine.fail("502_html_after", count=2)
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            create(stand, "k")
    assert create(stand, "k").id == first.id


def test_a_key_is_forgotten_after_a_day(stand: Stand) -> None:
    first = create(stand, "k")
    stand.dashboard.advance(24 * 3600 - 5)
    assert create(stand, "k").id == first.id
    stand.dashboard.advance(10)
    assert create(stand, "k").id != first.id


def test_a_key_in_use_is_a_conflict(stand: Stand) -> None:
    for attempt in range(100):  # on a busy machine the first may be done before the second comes
        key = f"k{attempt}"
        before = stand.engine.calls["POST /v1/checkout/sessions"]
        stand.engine.fail("latency", seconds=1.0)
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(create, stand, key)
            eventually(lambda seen=before: stand.engine.calls["POST /v1/checkout/sessions"] > seen)
            refusal = refused(stand, key)
        assert slow.result().status == "open"
        assert create(stand, key).id == slow.result().id
        if refusal is not None:
            assert refusal.http_status == 409
            assert refusal.json_body is not None
            assert refusal.json_body["error"]["code"] == "idempotency_key_in_use"
            return
    pytest.fail("a hundred times the second came too late")


def refused(stand: Stand, key: str) -> stripe.APIError | None:
    try:
        create(stand, key)
    except stripe.APIError as error:
        return error
    return None


def test_eight_at_once_make_one_session(stand: Stand) -> None:
    gate = threading.Barrier(8)

    def one(_: int) -> str:
        gate.wait()
        return create(stand, "k").id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(one, range(8)))) == 1
    assert len(stand.engine.state.rows["session"]) == 1


def test_the_control_without_a_key_makes_two(stand: Stand) -> None:
    assert stand.order().id != stand.order().id
