"""Signed webhooks: who gets what, when, how often."""

import json
from collections.abc import Callable

import pytest
import stripe

from tests.support.sdk_schema import validate_object
from tests.support.stand import SECRET, Receiver, Stand, eventually

OF_A_PAYMENT = {
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "charge.updated",
    "checkout.session.completed",
}


def test_a_payment_is_told_by_signed_webhooks(stand: Stand, receiver: Receiver) -> None:
    session = stand.paid()
    eventually(lambda: len(receiver.bodies) == 5)
    assert set(receiver.types) == OF_A_PAYMENT
    for event in receiver.events:  # each signature is checked by the SDK
        validate_object(event.to_dict(for_json=True))
    completed = next(e for e in receiver.events if e.type == "checkout.session.completed")
    snapshot = completed.data.object.to_dict()
    assert snapshot["id"] == session.id
    assert snapshot["payment_status"] == "paid"
    assert completed.api_version == "2026-10-28.endive"
    assert completed.request is not None
    assert completed.request.id


def test_an_event_shows_the_object_as_it_was(stand: Stand, receiver: Receiver) -> None:
    session = stand.paid("DE89370400440532013000")
    stand.dashboard.advance(10)
    eventually(lambda: "checkout.session.async_payment_succeeded" in receiver.types)
    by_type = {event.type: event.data.object for event in receiver.events}
    assert by_type["checkout.session.completed"]["payment_status"] == "unpaid"
    assert by_type["checkout.session.async_payment_succeeded"]["payment_status"] == "paid"
    assert stand.look(session.id).payment_status == "paid"


def test_each_endpoint_has_its_secret_and_its_events(
    stand: Stand, receiver: Receiver, receivers: Callable[[], Receiver]
) -> None:
    second = receivers()
    made = stand.v1.webhook_endpoints.create(
        {"url": second.url, "enabled_events": ["checkout.session.completed"]}
    )
    assert made.secret
    second.secret = made.secret
    stand.paid()
    eventually(lambda: len(receiver.bodies) == 5 and second.bodies)
    assert second.types == ["checkout.session.completed"]
    assert second.events
    assert receiver.events
    receiver.secret = made.secret
    with pytest.raises(stripe.SignatureVerificationError):
        assert receiver.events
    receiver.secret = SECRET
    assert stand.v1.webhook_endpoints.retrieve(made.id).to_dict().get("secret") is None
    stand.v1.webhook_endpoints.update(made.id, {"disabled": True})
    stand.paid()
    eventually(lambda: len(receiver.bodies) == 10)
    assert len(second.bodies) == 1
    stand.v1.webhook_endpoints.delete(made.id)
    assert len(stand.v1.webhook_endpoints.list().data) == 1


def test_a_refused_webhook_is_tried_three_times_more(stand: Stand, receiver: Receiver) -> None:
    receiver.status = 500
    stand.dashboard.foreign_session()
    row = stand.dashboard.foreign_session()
    stand.dashboard.expire(row["id"])
    for tries, wait in enumerate([0, 600, 3600, 10_800], 1):
        stand.dashboard.advance(wait + 1)
        eventually(lambda tries=tries: len(receiver.bodies) == tries)  # type: ignore[misc]
        [event] = stand.v1.events.list({"delivery_success": False}).data
        assert event.pending_webhooks == 1
        eventually(lambda: not stand.engine.world.flying)
    stand.dashboard.advance(1_000_00)
    assert len(receiver.bodies) == 4
    assert len({json.loads(body)["id"] for body in receiver.bodies}) == 1


@pytest.mark.parametrize("status", [301, 400, 404, 500])
def test_only_2xx_counts(stand: Stand, receiver: Receiver, status: int) -> None:
    receiver.status = status
    stand.dashboard.expire(stand.dashboard.foreign_session()["id"])
    eventually(lambda: receiver.bodies and not stand.engine.world.flying)
    assert len(stand.v1.events.list({"delivery_success": False}).data) == 1
    receiver.status = 204
    assert stand.control("POST", "deliver") == {"delivered": 1, "waiting": 0}
    assert len(receiver.bodies) == 2
    assert stand.v1.events.list({"delivery_success": False}).data == []
    assert stand.v1.events.list({"delivery_success": True}).data[0].pending_webhooks == 0


def test_events_are_listed_for_thirty_days(stand: Stand) -> None:
    stand.paid()
    stand.dashboard.advance(30 * 86_400 - 100)
    assert len(stand.v1.events.list().data) == 5
    stand.dashboard.advance(200)
    stand.paid()
    types = [event.type for event in stand.v1.events.list({"limit": 100}).data]
    assert len(types) == 5


def test_events_are_listed_by_type_and_time_page_by_page(stand: Stand) -> None:
    stand.paid()
    now = stand.engine.world.now
    stand.dashboard.advance(50)
    stand.paid()
    events = stand.v1.events
    completed = events.list({"type": "checkout.session.completed"}).data
    assert len(completed) == 2
    assert len(events.list({"type": "charge.*"}).data) == 4
    assert len(events.list({"created": {"gt": now + 10}}).data) == 5
    everything = [event.id for event in events.list({"limit": 3}).auto_paging_iter()]
    assert len(everything) == len(set(everything)) == 10
    assert events.retrieve(completed[0].id).id == completed[0].id
    with pytest.raises(stripe.InvalidRequestError):
        events.list({"type": "a", "types": ["b"]})


def test_nobody_there_is_tried_again(stand: Stand) -> None:
    made = stand.v1.webhook_endpoints.create(
        {"url": "http://127.0.0.1:9/", "enabled_events": ["checkout.session.expired"]}
    )
    stand.dashboard.expire(stand.dashboard.foreign_session()["id"])

    def tried() -> bool:
        rows = list(stand.engine.state.rows["delivery"].values())
        return [row["attempt"] for row in rows if row["endpoint"] == made.id] == [1]

    eventually(tried)


def test_a_clock_put_back_hides_no_event(stand: Stand) -> None:
    stand.paid()
    late = stand.engine.world.now
    stand.dashboard.advance(-5000)
    stand.paid()
    found = stand.v1.events.list({"created": {"gte": late - 10}}).data
    assert len(found) == 5
    assert len(stand.v1.events.list({"created": {"lt": late - 1000}}).data) == 5
