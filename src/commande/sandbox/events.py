"""Events: what happened, with the object as it was then; one delivery for each endpoint."""

from typing import Any

import orjson

from commande.sandbox.faults import EVENT_FAULTS
from commande.sandbox.store import Row
from commande.sandbox.world import API_VERSION, World

KEPT_SECONDS = 30 * 86_400  # Stripe lists events for 30 days


def emit(world: World, kind: str, object_: Row, previous: Row | None = None) -> str:
    """Record an event with a snapshot of the object, and queue its deliveries; its id."""
    faults = world.faults.strike(EVENT_FAULTS, type=kind)
    id_ = _record(world, kind, object_, previous, faults)
    if "twin" in faults:
        _record(world, kind, object_, previous, {})
    _forget_old(world)
    return id_


def _record(
    world: World, kind: str, object_: Row, previous: Row | None, faults: dict[str, Any]
) -> str:
    id_ = world.ids.new("evt_1", 23)
    wanting = [
        endpoint
        for endpoint in world.state.rows["webhook_endpoint"].values()
        if endpoint["status"] == "enabled"
        and ("*" in endpoint["enabled_events"] or kind in endpoint["enabled_events"])
    ]
    late = faults.get("late_listing")
    row: Row = {
        "id": id_,
        "type": kind,
        "created": world.now,
        # A snapshot: later changes of the object must not show through.
        "object": orjson.dumps(object_),
        "previous": previous,
        "pending": len(wanting),
        "request": {"id": world.cause.request, "idempotency_key": world.cause.idempotency_key},
        "listed_from": world.clock.now() + late.seconds if late else 0,
        "fate": next((kind for kind in EVENT_FAULTS[:-1] if kind in faults), "sent"),
    }
    world.state.put("event", id_, row)
    for endpoint in wanting:
        _queue(world, id_, endpoint["id"], faults)
    return id_


def _queue(world: World, event: str, endpoint: str, faults: dict[str, Any]) -> None:
    if "lost" in faults:
        return
    wait = sum(faults[kind].seconds for kind in ("reordered", "delayed") if kind in faults)
    for copy in range(2 if "doubled" in faults else 1):
        world.queue_delivery(
            world.name("delivery"),
            {
                "event": event,
                "endpoint": endpoint,
                "due": world.clock.now() + wait,
                "attempt": 0,
                "counts": copy == 0,
                "bad_signature": "bad_signature" in faults,
            },
        )


def _forget_old(world: World) -> None:
    rows = world.state.rows["event"]
    while rows:
        oldest = next(iter(rows.values()))
        if oldest["created"] >= world.now - KEPT_SECONDS:
            return
        world.state.drop("event", oldest["id"])


def render_event(row: Row) -> Row:
    """The event as Stripe shows it; the object stays serialised."""
    data: Row = {"object": orjson.Fragment(row["object"])}
    if row["previous"] is not None:
        data["previous_attributes"] = row["previous"]
    return {
        "id": row["id"],
        "object": "event",
        "api_version": API_VERSION,
        "created": row["created"],
        "data": data,
        "livemode": False,
        "pending_webhooks": row["pending"],
        "request": row["request"],
        "type": row["type"],
    }
