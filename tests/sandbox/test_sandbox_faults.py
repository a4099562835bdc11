"""Faults on demand, and the control API."""

import json
import time
import urllib.error
import urllib.request

import pytest
import stripe

from tests.support.stand import Receiver, Stand, an_order, eventually


def sessions_made(stand: Stand) -> int:
    return len(stand.engine.state.rows["session"])


def test_latency_delays_the_answer(stand: Stand) -> None:
    stand.engine.fail("latency", seconds=0.4)
    begun = time.monotonic()
    stand.order()
    assert time.monotonic() - begun >= 0.4
    stand.order()


def test_a_hang_before_does_nothing(stand: Stand) -> None:
    stand.engine.fail("hang_before", seconds=0.3)
    assert stand.send("POST", "/v1/checkout/sessions", an_order(), Idempotency_Key="k")[0] == 504
    assert sessions_made(stand) == 0
    assert stand.send("POST", "/v1/checkout/sessions", an_order(), Idempotency_Key="k")[0] == 200


def test_a_hang_after_was_done(stand: Stand) -> None:
    stand.engine.fail("hang_after", seconds=0.3)
    assert stand.send("POST", "/v1/checkout/sessions", an_order(), Idempotency_Key="k")[0] == 504
    assert sessions_made(stand) == 1
    assert stand.send("POST", "/v1/checkout/sessions", an_order(), Idempotency_Key="k")[0] == 200
    assert sessions_made(stand) == 1


def test_a_cut_body_is_a_lost_connection_and_was_done(stand: Stand) -> None:
    stand.engine.fail("cut_body")
    with pytest.raises(stripe.APIConnectionError):
        stand.order()
    assert sessions_made(stand) == 1


@pytest.mark.parametrize(("kind", "made"), [("502_html", 0), ("502_html_after", 1)])
def test_a_proxys_page_may_come_instead(stand: Stand, kind: str, made: int) -> None:
    stand.engine.fail(kind)
    with pytest.raises(stripe.APIError) as broken:
        stand.order()
    assert broken.value.http_status == 502
    assert sessions_made(stand) == made


def test_a_429_turns_away_before_the_idempotency_key(stand: Stand) -> None:
    stand.engine.fail("429", count=2)
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            stand.v1.checkout.sessions.create(an_order(), {"idempotency_key": "k"})
    assert stand.v1.checkout.sessions.create(an_order(), {"idempotency_key": "k"})


def test_the_sdk_gets_through_what_it_retries(stand: Stand) -> None:
    client = stripe.StripeClient(
        "sk_test_0123456789abcdef",
        base_addresses={"api": stand.url},
        http_client=stand.http,
        max_network_retries=2,
    )
    stand.engine.fail("cut_body")
    stand.engine.fail("500_before")
    client.v1.checkout.sessions.create(an_order())
    assert sessions_made(stand) == 1


def test_an_account_may_have_a_limit_of_requests(stand: Stand) -> None:
    stand.dashboard.set(rate_limit=25)
    answers = [stand.send("GET", "/v1/balance")[0] for _ in range(60)]
    assert 429 in answers
    assert answers[:25] == [200] * 25
    assert stand.send("GET", "/v1/charges")[0] == 200


def test_faults_can_be_narrowed_counted_and_taken_back(stand: Stand) -> None:
    stand.engine.fail("500_before", method="POST", path="/v1/refunds", count=5)
    assert stand.order().status == "open"
    [order] = stand.control("GET", "faults")["faults"]
    assert order["count"] == 5
    assert stand.control("DELETE", f"faults/{order['id']}") == {"removed": 1}
    assert stand.control("GET", "faults")["faults"] == []


def test_a_probability_is_replayed_from_the_seed(stand: Stand) -> None:
    stand.control("POST", "faults", {"kind": "500_before", "probability": 0.5})
    answers = [stand.send("GET", "/v1/balance")[0] for _ in range(40)]
    assert 5 < answers.count(500) < 35
    assert stand.control("GET", "faults")["faults"][0]["struck"] == answers.count(500)


@pytest.mark.parametrize(
    "body",
    [{}, {"kind": "nonsense"}, {"kind": "lost", "count": 0}, {"kind": "lost", "probability": 2},
     {"kind": "lost", "colour": 1}, {"kind": "latency", "seconds": -1}, {"kind": "429", "path": 1},
     [1]],
)  # fmt: skip
def test_a_wrong_order_is_refused_with_a_sentence(stand: Stand, body: object) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        stand.control("POST", "faults", body)
    with refusal.value:
        assert refusal.value.code == 400
        assert json.loads(refusal.value.read())["error"]["message"]


def expire_one(stand: Stand) -> None:
    stand.dashboard.expire(stand.dashboard.foreign_session()["id"])


def test_a_webhook_can_be_lost_and_is_found_by_listing(stand: Stand, receiver: Receiver) -> None:
    stand.engine.fail("lost", type="checkout.session.expired")
    expire_one(stand)
    expire_one(stand)
    eventually(lambda: receiver.bodies)
    time.sleep(0.1)
    assert len(receiver.bodies) == 1
    [missed] = stand.v1.events.list({"delivery_success": False}).data
    assert missed.id not in [event.id for event in receiver.events]
    assert stand.control("POST", "resend", {"event": missed.id}) == {"deliveries": 1}
    eventually(lambda: missed.id in [event.id for event in receiver.events])


def test_a_webhook_can_come_twice(stand: Stand, receiver: Receiver) -> None:
    stand.engine.fail("doubled")
    expire_one(stand)
    eventually(lambda: len(receiver.bodies) == 2)
    assert (
        receiver.bodies[0]
        == receiver.bodies[1].replace(b'"pending_webhooks": 0', b'"pending_webhooks": 1')
        or len({event.id for event in receiver.events}) == 1
    )


def test_one_change_can_have_two_event_ids(stand: Stand, receiver: Receiver) -> None:
    stand.engine.fail("twin")
    expire_one(stand)
    eventually(lambda: len(receiver.bodies) == 2)
    first, second = receiver.events
    assert first.id != second.id
    assert first.data.object == second.data.object


def test_webhooks_can_be_reordered_and_delayed(stand: Stand, receiver: Receiver) -> None:
    stand.engine.fail("reordered", type="charge.succeeded", seconds=30)
    stand.paid()
    eventually(lambda: len(receiver.bodies) == 4)
    assert "charge.succeeded" not in receiver.types
    stand.dashboard.advance(31)
    eventually(lambda: len(receiver.bodies) == 5)
    assert receiver.types[-1] == "charge.succeeded"


def test_a_webhook_can_be_badly_signed_once(stand: Stand, receiver: Receiver) -> None:
    stand.engine.fail("bad_signature")
    receiver.status = 400
    expire_one(stand)
    eventually(lambda: receiver.bodies and not stand.engine.world.flying)
    with pytest.raises(stripe.SignatureVerificationError):
        assert receiver.events
    receiver.bodies.clear()
    receiver.signatures.clear()
    stand.control("POST", "deliver")
    assert receiver.events[0].type == "checkout.session.expired"


def test_an_event_can_be_listed_later_than_it_was_made(stand: Stand) -> None:
    stand.engine.fail("late_listing", seconds=60)
    expire_one(stand)
    assert stand.v1.events.list().data == []
    made = stand.engine.world.now
    stand.dashboard.advance(61)
    [event] = stand.v1.events.list().data
    assert event.created <= made


def test_requests_are_logged_and_counted(stand: Stand) -> None:
    stand.v1.checkout.sessions.create(an_order(), {"idempotency_key": "k"})
    stand.v1.balance.retrieve()
    log = stand.control("GET", "requests?method=POST")
    assert log["count"] == 1
    assert log["calls"] == {"POST /v1/checkout/sessions": 1, "GET /v1/balance": 1}
    [request] = log["requests"]
    assert request["idempotency_key"] == "k"
    assert request["params"]["mode"] == "payment"
    assert request["status"] == 200
    assert "sk_test" not in json.dumps(log)
    stand.control("DELETE", "requests")
    assert stand.control("GET", "requests")["count"] == 0


def test_the_control_api_does_what_the_dashboard_does(stand: Stand) -> None:
    session = stand.control("POST", "sessions", {"amount": 700, "payment_link": True})["id"]
    paid = stand.control("POST", "pay", {"session": session})
    intent = paid["payment_intent"]
    refund = stand.control("POST", "refunds", {"payment_intent": intent, "amount": 100})
    assert stand.control("POST", "refunds/fail", {"refund": refund["id"]})["status"] == "failed"
    dispute = stand.control("POST", "disputes", {"payment_intent": intent})
    closed = stand.control("POST", "disputes/close", {"dispute": dispute["id"], "won": False})
    assert closed["status"] == "lost"
    other = stand.control("POST", "sessions", {})["id"]
    assert stand.control("POST", "expire", {"session": other})["status"] == "expired"
    before = stand.control("GET", "status")["now"]
    stand.control("POST", "clock", {"advance": 3600})
    assert stand.control("GET", "status")["now"] - before >= 3600
    assert abs(stand.control("POST", "clock", {"offset": 0})["now"] - time.time()) < 300
    stand.engine.fail("lost", type="checkout.session.*")
    assert stand.control("GET", "status")["next_webhook"] == {"faults": ["lost"], "certain": True}
    settings = stand.control("POST", "settings", {"sepa_delay": 1, "tax_rounding": "rate"})
    assert (settings["sepa_delay"], settings["tax_rounding"]) == (1, "rate")
    assert stand.control("GET", "status")["counts"]["session"] == 2


def test_a_page_of_another_site_cannot_use_the_control_api(stand: Stand) -> None:
    request = urllib.request.Request(
        f"{stand.url}/sandbox-control/clock", b'{"advance": 9}', {"Content-Type": "text/plain"}
    )
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=10)
    with refusal.value:
        assert refusal.value.code == 400
