"""Webhook endpoints and the fate of each delivery; pure, sending is `courier.py`.

A delivery is signed when it is sent: `t=…,v1=` HMAC-SHA256 of `t.body` under the endpoint's secret
(docs.stripe.com/webhooks#verify-manually).
"""

import hashlib
import hmac
from typing import NamedTuple

import orjson

from commande.sandbox.errors import missing
from commande.sandbox.events import render_event
from commande.sandbox.parameters import Address, Array, Boolean, Choice, Hash, Kind, Metadata, Text
from commande.sandbox.store import Row
from commande.sandbox.world import API_VERSION, World


class Parcel(NamedTuple):
    """One HTTP request that a webhook is."""

    delivery: str
    url: str
    headers: dict[str, str]
    body: bytes


def sign(body: bytes, secret: str, at: int) -> str:
    """The `Stripe-Signature` header of a body."""
    signed = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


_EVENTS = Array(Text(100), 1, 250)
_TEXTS: dict[str, Kind] = {"description": Text(5000, clears=True), "metadata": Metadata(),
          "expand": Array(Text(), 0, 20)}  # fmt: skip
CREATE = Hash(
    {"url": Address(), "enabled_events": _EVENTS, "connect": Boolean(),
     "api_version": Choice(API_VERSION), **_TEXTS},
    required=("url", "enabled_events"),
)  # fmt: skip
_PLAIN = {"url", "enabled_events", "description"}
UPDATE = Hash({"url": Address(), "enabled_events": _EVENTS, "disabled": Boolean(), **_TEXTS})


def create_endpoint(world: World, given: Row, secret: str | None = None) -> Row:
    """Register an endpoint. Its secret is in this answer and in no later one."""
    id_ = world.ids.new("we_1")
    row: Row = {
        "id": id_,
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": world.now,
        "description": given.get("description"),
        "enabled_events": given["enabled_events"],
        "livemode": False,
        "metadata": given.get("metadata") or {},
        "status": "enabled",
        "url": given["url"],
    }
    secret = secret or world.ids.new("whsec_", 32)
    world.state.put("webhook_endpoint", id_, row)
    world.state.put("webhook_secret", id_, {"secret": secret})
    return {**row, "secret": secret}


def update_endpoint(world: World, id_: str, given: Row) -> Row:
    row = world.state.get("webhook_endpoint", id_)
    if row is None:
        raise missing("webhook endpoint", id_)
    changes = {name: given[name] for name in given if name in _PLAIN}
    if "disabled" in given:
        changes["status"] = "disabled" if given["disabled"] else "enabled"
    if "metadata" in given:
        changes["metadata"] = {**row["metadata"], **given["metadata"]} if given["metadata"] else {}
    row = {**row, **changes}
    world.state.put("webhook_endpoint", id_, row)
    return row


def delete_endpoint(world: World, id_: str) -> Row:
    if world.state.get("webhook_endpoint", id_) is None:
        raise missing("webhook endpoint", id_)
    world.state.drop("webhook_endpoint", id_)
    world.state.drop("webhook_secret", id_)
    return {"id": id_, "object": "webhook_endpoint", "deleted": True}


def next_parcel(world: World) -> Parcel | None:
    """The next webhook that is due, signed now; None when none is.

    A delivery whose endpoint or event is gone is dropped. Every parcel must be reported.
    """
    while (taken := world.take_delivery()) is not None:
        id_, row = taken
        endpoint = world.state.get("webhook_endpoint", row["endpoint"])
        event = world.state.get("event", row["event"])
        secret = world.state.get("webhook_secret", row["endpoint"])
        if endpoint is None or event is None or secret is None or endpoint["status"] != "enabled":
            world.flying.discard(id_)
            world.state.drop("delivery", id_)
            continue
        body = orjson.dumps(render_event(event), option=orjson.OPT_INDENT_2)
        key = "whsec_of_somebody_else" if row["bad_signature"] else secret["secret"]
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": sign(body, key, world.now),
        }
        return Parcel(id_, endpoint["url"], headers, body)
    return None


def report_parcel(world: World, delivery: str, status: int | None) -> None:
    """Record how a parcel was received: a status, or None when nobody answered.

    Only 2xx counts. Otherwise it is tried again after the next of `retry_delays`, correctly signed.
    """
    world.flying.discard(delivery)
    row = world.state.get("delivery", delivery)
    if row is None:
        return
    attempt = {"delivery": delivery, "event": row["event"], "endpoint": row["endpoint"],
               "attempt": row["attempt"] + 1, "status": status, "at": world.now}  # fmt: skip
    event = world.state.get("event", row["event"])
    if event is not None:
        event.setdefault("attempts", []).append(attempt)
    if status is not None and 200 <= status < 300:
        world.state.drop("delivery", delivery)
        if event is not None and row["counts"]:
            event["pending"] -= 1
    elif row["counts"] and row["attempt"] < len(world.settings.retry_delays):
        wait = world.settings.retry_delays[row["attempt"]]
        again = {**row, "attempt": row["attempt"] + 1, "due": world.clock.now() + wait}
        world.queue_delivery(delivery, {**again, "bad_signature": False})
    else:
        world.state.drop("delivery", delivery)
    if event is not None:
        world.state.put("event", event["id"], event)


def bring_forward(world: World) -> int:
    """Make every waiting delivery due now, in the order of its event; how many."""
    rows = world.state.rows["delivery"].items()
    waiting = sorted(
        (item for item in rows if item[0] not in world.flying), key=lambda item: item[1]["due"]
    )
    for id_, row in waiting:
        world.queue_delivery(id_, {**row, "due": min(row["due"], world.clock.now())})
    return len(waiting)
