"""The webhook: nothing unsigned gets in, nothing signed gets lost, nothing foreign is applied."""

import asyncio
import hashlib
import hmac
import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from commande.db import tables
from commande.errors import DatabaseBusy
from commande.settings import load_settings
from commande.shop import close_shop, open_shop
from commande.worker import DUTIES, Worker
from tests.support.frontend import WEBHOOK, FrontEnd, opened_to_the_public
from tests.support.stage import SECRET, sign, staged

UNVERIFIED = "The webhook's signature is missing or does not match."


async def completed(shop: FrontEnd) -> Any:
    """The event that says that the newest order is paid."""
    return (await shop.stage.events("checkout.session.completed"))[-1]


async def test_s06_only_stripes_own_signature_opens_the_door(shop: FrontEnd) -> None:
    opened = await shop.buy()
    body = json.dumps(await completed(shop)).encode()
    now = shop.stage.clock.now()
    good = sign(body, now)
    before = await shop.rows()
    for signature in (
        "", "v1=", "t=1", good.replace("v1=", "v0="), sign(body, now, "whsec_wrong"),
        sign(b"{}", now), sign(body + b" ", now), good.partition(",")[2], f"{good},t=1",
        good.upper(), "t=é,v1=ü", f"t=,{good}",
    ):  # fmt: skip
        answer = await shop.deliver(body, signature)
        assert (answer.status, answer.code) == (400, "signature_invalid"), signature
        assert answer.json["detail"] == UNVERIFIED
    reserialised = json.dumps(json.loads(body), separators=(",", ":")).encode()
    for other in (reserialised, body + b" ", b"", b"{}"):
        assert (await shop.deliver(other, good)).status == 400
    missing = await shop.post(WEBHOOK, body)
    assert (missing.status, missing.code) == (400, "signature_invalid")
    twice = await shop.ask(
        "POST", WEBHOOK, data=body, headers=[("Stripe-Signature", good)] * 2
    )  # fmt: skip
    assert twice.status == 400
    assert await shop.rows() == before
    assert (await shop.deliver(body, good)).json == {"received": True}
    await shop.stage.work()
    assert (await shop.status(opened)).json["command"]["paid"] is True


@pytest.mark.parametrize("secret", ["", "   ", "whsec_", " whsec_ , "])
async def test_s07_without_a_secret_no_event_is_believed(
    secret: str, sqlite_url: str, serve: Callable[..., str]
) -> None:
    async with (
        staged(sqlite_url, serve, stripe_webhook_secrets=secret) as stage,
        opened_to_the_public(stage) as front,
    ):
        for key in (b"", b"whsec_", secret.encode()):
            stamp = int(stage.clock.now().timestamp())
            mac = hmac.digest(key, f"{stamp}.{{}}".encode(), hashlib.sha256).hex()
            answer = await front.deliver(b"{}", f"t={stamp},v1={mac}")
            assert (answer.status, answer.code) == (503, "webhook_unconfigured")
        ready = await front.get("/readyz")
        assert ready.status == 503
        assert ready.json["checks"]["webhook_secret"]["ok"] is False
        assert (await front.get("/healthz")).status == 200


async def test_s08_a_replay_is_old_after_five_minutes_and_one_effect_before(
    shop: FrontEnd,
) -> None:
    await shop.buy()
    body = json.dumps(await completed(shop)).encode()
    shop.stage.clock.stop()
    now = shop.stage.clock.now()
    first = sign(body, now - timedelta(seconds=295))
    for _ in range(3):
        assert (await shop.deliver(body, first)).status == 200
    await shop.stage.work()
    assert (await shop.deliver(body, sign(body, now))).status == 200
    await shop.stage.work()
    assert len(await shop.stage.rows(tables.payments)) == 1
    assert len(shop.stage.mail.letters) == 1
    old = sign(body, now - timedelta(seconds=302))
    ancient = sign(body, now - timedelta(days=365))
    for signature in (old, ancient):
        answer = await shop.deliver(body, signature)
        assert (answer.status, answer.code) == (400, "signature_invalid")


HOSTILE: list[bytes] = [
    b"\xff\xfe", b"", b"null", b"[1]", b"7", b'"evt"', b"{}", b"{", b"[" * 100_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b'{"id": "evt_1"}',
    b'{"id": "evt_1", "type": "x", "created": 1, "data": {"object": []}}',
    b'{"id": "evt_1", "type": "x", "created": true, "data": {"object": {}}}',
    b'{"id": "evt_1", "type": "x", "created": 1e400, "data": {"object": {}}}',
    b'{"id": 7, "type": "x", "created": 1, "data": {"object": {}}}',
    b'{"id": "evt_\\u0000", "type": "x", "created": 1, "data": {"object": {}}}',
]  # fmt: skip


async def test_s09_signed_nonsense_is_a_400(shop: FrontEnd) -> None:
    before = await shop.rows()
    for body in HOSTILE:
        answer = await shop.deliver(body)
        assert (answer.status, answer.code) == (400, "signature_invalid"), body[:40]
    assert await shop.rows() == before


async def test_s09_mutated_headers_and_bodies_are_a_400_that_never_varies(
    kiosk: FrontEnd,
) -> None:
    await kiosk.buy()
    body = json.dumps(await completed(kiosk)).encode()
    signature = sign(body, kiosk.stage.clock.now()).encode()
    before = await kiosk.rows()
    seed = os.environ.get("COMMANDE_TEST_SEED", "1")
    dice, answers = random.Random(seed), set()
    for _ in range(int(os.environ.get("COMMANDE_TEST_FUZZ", "300"))):
        header, content = bytearray(signature), bytearray(body)
        target = dice.choice((header, content))
        for _ in range(dice.randint(1, 3)):
            target[dice.randrange(len(target))] = dice.randrange(0x20, 0x7F)
        if bytes(header) == signature and bytes(content) == body:
            continue
        answer = await kiosk.deliver(bytes(content), header.decode())
        assert answer.status == 400, (seed, header, content)
        answers.add(answer.body)
    assert len(answers) == 1, (seed, answers)
    assert await kiosk.rows() == before


async def test_s10_sql_in_a_signed_event_is_only_text(shop: FrontEnd) -> None:
    evil = "'; DROP TABLE commands; --"
    opened = await shop.buy()
    event = await completed(shop)
    for path in ("payment_intent", "currency", "status", "url", "payment_status"):
        spoiled = json.loads(json.dumps(event))
        spoiled["id"] = f"evt_{path}"
        spoiled["data"]["object"][path] = evil
        assert (await shop.deliver(spoiled)).status == 200
    for field in ("id", "type"):
        assert (await shop.deliver(event | {field: evil})).code == "signature_invalid"
    for field in ("id", "client_reference_id"):
        spoiled = json.loads(json.dumps(event))
        spoiled["id"] = f"evt_session_{field}"
        spoiled["data"]["object"][field] = evil
        assert (await shop.deliver(spoiled)).status == 200
    await shop.stage.work()
    assert (await shop.status(opened)).status == 200
    assert len(await shop.stage.rows(tables.commands)) == 1


async def test_s10_sql_in_every_field_of_the_api_is_only_text(shop: FrontEnd) -> None:
    evil = "Robert'); DROP TABLE commands;--\" OR 1=1 \\ %s {0}"
    changes = dict.fromkeys(
        [f"customer__{name}" for name in ("firstName", "lastName", "address", "city")], evil
    )
    opened = await shop.open(**changes, note=evil, customer__postalCode="75'--")
    command = (await shop.status(opened)).json["command"]
    assert command["customer"]["firstName"] == evil and command["note"] == evil
    assert (await shop.confirm(opened, sessionId=evil)).code == "session_invalid"
    assert (await shop.confirm(opened, commandId=evil)).code == "command_not_found"
    assert (await shop.retry(opened, token=evil)).code == "command_not_found"
    assert (await shop.status(opened, token=evil)).code == "command_not_found"
    assert (await shop.create(items__0__type=evil)).wrong == {"items.0.type": "type_unknown"}
    assert (await shop.create(evil)).status == 200


async def test_s03_a_session_that_names_our_command_is_not_ours_by_that(shop: FrontEnd) -> None:
    victim = await shop.open()
    command = await shop.stage.shop.db.read(_metadata_of, victim["commandId"])
    for amount, currency in ((1, "eur"), (5998, "eur"), (99999, "eur"), (5998, "usd")):
        for metadata in ({}, command | {"mac": "0" * 64}, command | {"total": "1"}):
            await shop.stage.control("sessions", {
                "amount": max(amount, 50), "currency": currency, "payment_link": True,
                "client_reference_id": victim["commandId"], "metadata": metadata,
                "pay_with": "4242424242424242",
            })  # fmt: skip
    events = await shop.stage.events("checkout.session.completed")
    assert len(events) == 12
    for event in events:
        answer = await shop.deliver(event)
        assert (answer.status, answer.code) == (400, "event_foreign")
    await shop.stage.work()
    assert (await shop.status(victim)).json["command"]["paid"] is False
    states = {row.state for row in await shop.stage.rows(tables.events)}
    assert states == {"foreign"}
    assert await shop.stage.rows(tables.payments) == []
    refunds = await shop.stage.stripe_get("/v1/refunds")
    assert refunds["data"] == [], "foreign money is never touched"
    await shop.pay(victim)
    assert (await shop.confirm(victim)).status == 200, "the rightful session still pays"


def _metadata_of(conn: Any, command_id: str) -> dict[str, str]:
    query = tables.attempts.select().where(tables.attempts.c.command_id == command_id)
    found: dict[str, str] = conn.execute(query).one().parameters["metadata"]
    return found


async def test_s03_foreign_events_may_be_ignored_by_setting(
    sqlite_url: str, serve: Callable[..., str]
) -> None:
    async with (
        staged(sqlite_url, serve, foreign_events="ignore") as stage,
        opened_to_the_public(stage) as front,
    ):
        await stage.control("sessions", {"pay_with": "4242424242424242"})
        event = (await stage.events("checkout.session.completed"))[0]
        assert (await front.deliver(event)).json == {"received": True}
        assert [row.state for row in await stage.rows(tables.events)] == ["foreign"]


async def test_s05_an_event_of_the_other_mode_is_never_applied(shop: FrontEnd) -> None:
    opened = await shop.buy()
    event = await completed(shop)
    live = event | {"livemode": True}
    answer = await shop.deliver(live)
    assert (answer.status, answer.code) == (400, "event_foreign")
    await shop.stage.work()
    assert (await shop.status(opened)).json["command"]["paid"] is False
    session = event["data"]["object"] | {"livemode": True}
    await shop.deliver(event | {"id": "evt_mixed", "data": {"object": session}})
    await shop.stage.work()
    assert (await shop.status(opened)).json["command"]["paid"] is False


async def test_unknown_types_are_stored_and_ignored(kiosk: FrontEnd) -> None:
    event = {
        "id": "evt_odd", "object": "event", "type": "invoice.paid", "created": 1796119331,
        "livemode": False, "data": {"object": {"id": "in_1", "customer_email": "a@b.fr"}},
    }  # fmt: skip
    assert (await kiosk.deliver(event)).status == 200
    (row,) = await kiosk.stage.rows(tables.events)
    assert (row.state, row.payload) == ("ignored", {})


async def test_200_also_when_handling_fails_and_the_worker_tries_again(shop: FrontEnd) -> None:
    opened = await shop.buy()
    event = await completed(shop)
    await shop.stage.pass_time(minutes=6)  # too old to be believed as it is
    await shop.stage.fail("500_before", count=50, path="/v1/checkout/sessions/*")
    assert (await shop.deliver(event)).json == {"received": True}
    await shop.stage.work()
    assert (await shop.status(opened)).json["command"]["paid"] is False
    (row,) = await shop.stage.rows(tables.events)
    assert (row.state, row.tries, row.last_error) == ("pending", 1, "stripe_unavailable")


async def test_an_event_is_handled_at_once_where_it_came_in(shop: FrontEnd) -> None:
    # By the clock this worker would look an hour later: only being told of the event is sooner.
    patient = Worker(shop.stage.shop, tuple(replace(duty, every=3600) for duty in DUTIES))
    async with opened_to_the_public(shop.stage) as busy:
        busy.app.state.worker = patient
        patient.start()
        opened = await busy.buy()
        await busy.deliver(await completed(busy))
        async with asyncio.timeout(60):
            while not (await busy.status(opened)).json["command"]["paid"]:
                await busy.get("/healthz")  # a breath between two looks


def test_an_event_that_came_in_elsewhere_is_looked_for_within_a_second() -> None:
    assert {duty.name: duty.every for duty in DUTIES}["inbox"] < 1


async def test_503_while_the_database_is_away_so_that_stripe_comes_again(
    kiosk: FrontEnd,
) -> None:
    class Away:
        dialect = "sqlite"

        async def transaction(self, *_given: Any, **_more: Any) -> Any:
            raise DatabaseBusy("gone")

        read = transaction

        async def close(self) -> None: ...

    kiosk.app.state.shop = replace(kiosk.stage.shop, db=Away())
    event = {
        "id": "evt_1", "type": "invoice.paid", "created": 1796119331, "data": {"object": {}},
    }  # fmt: skip
    answer = await kiosk.deliver(event)
    assert (answer.status, answer.code) == (503, "database_busy")
    assert answer.headers["retry-after"] == "1"


async def test_while_a_secret_is_rolled_both_are_believed(
    sqlite_url: str, serve: Callable[..., str]
) -> None:
    event = json.dumps({
        "id": "evt_1", "type": "invoice.paid", "created": 1796119331, "data": {"object": {}},
    }).encode()  # fmt: skip
    async with (
        staged(sqlite_url, serve, stripe_webhook_secrets=f"{SECRET},whsec_new") as stage,
        opened_to_the_public(stage) as front,
    ):
        now = stage.clock.now()
        for secret in (SECRET, "whsec_new"):
            assert (await front.deliver(event, sign(event, now, secret))).status == 200
        assert (await front.deliver(event, sign(event, now, "whsec_other"))).status == 400


async def test_a_webhook_may_be_large_but_not_endless(kiosk: FrontEnd) -> None:
    filler = {"x": "y" * 900_000}
    event = {
        "id": "evt_1", "type": "invoice.paid", "created": 1796119331, "data": {"object": filler},
    }  # fmt: skip
    assert (await kiosk.deliver(event)).status == 200
    filler["x"] += "y" * 200_000
    answer = await kiosk.deliver(event)
    assert (answer.status, answer.code) == (413, "body_too_large")


def test_a_shop_needs_no_database_to_be_built() -> None:
    settings = load_settings(
        stripe_secret_key="sk_test_x", database_url="sqlite:////nowhere/at/all.sqlite",
        _env_file=None,
    )  # fmt: skip
    asyncio.run(close_shop(open_shop(settings)))
