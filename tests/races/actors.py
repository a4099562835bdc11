"""What the other processes do in a race: one job after the other, told through a pipe.

A job names a role, the shop's addresses, the commands to fight about, and at most one bug: the
negative controls put the buggy version in place here and nowhere else.
"""

import asyncio
import logging
import random
import secrets
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import sqlalchemy
import structlog

from commande.core.letter import Kind
from commande.core.payment import PaymentState
from commande.db import opening, settlement
from commande.db.attempts import list_attempts
from commande.db.commands import find_command
from commande.db.inbox import finish_event
from commande.db.opening import Opening, Ticket
from commande.db.outbox import post_message
from commande.db.pairs import find_pair
from commande.db.upkeep import live_attempts
from commande.errors import CommandeError
from commande.flows.checkout import open_checkout, retry_payment
from commande.flows.inbox import handle_events, receive_event
from commande.flows.refunds import refund_command
from commande.flows.settlement import confirm_payment
from commande.flows.upkeep import expire_overdue
from commande.shop import Shop, close_shop, open_shop
from tests.support.seams import around_stripe, around_transaction
from tests.support.stage import (
    JOHN,
    Letterbox,
    MovableClock,
    an_order,
    ask_stand_in,
    session_in,
    stage_settings,
)


@dataclass
class Actor:
    """One process in its role."""

    shop: Shop
    job: dict[str, Any]
    dice: random.Random
    surprises: list[str]
    done: int = 0

    def commands(self) -> list[dict[str, str]]:
        """The commands to fight about, in an order of one's own."""
        found: list[dict[str, str]] = list(self.job["commands"])
        if self.job.get("order") == "backwards":
            return found[::-1]
        return found if self.job.get("order") == "forwards" else self.dice.sample(found, len(found))

    async def attempt(self, act: Awaitable[Any]) -> Any:
        """A refusal is part of the game; anything else is a surprise."""
        try:
            answer = await act
        except CommandeError:
            return None
        except Exception:  # noqa: BLE001 – told to the test
            self.surprises.append(traceback.format_exc())
            return None
        self.done += 1
        return answer


async def confirm(actor: Actor) -> None:
    """The return pages of every command."""
    for command in actor.commands():
        pair = session_in(command["url"]), command["id"]
        await actor.attempt(confirm_payment(actor.shop, *pair))


async def hear(actor: Actor) -> None:
    """The webhook brings whatever Stripe has to tell, and the worker handles it."""
    since = actor.shop.clock.now() - timedelta(days=3)
    for event in await actor.attempt(actor.shop.stripe.list_events(since)) or ():
        await actor.attempt(receive_event(actor.shop, event))
        await actor.attempt(handle_events(actor.shop))


async def work(actor: Actor) -> None:
    """The worker alone."""
    while await actor.attempt(handle_events(actor.shop)):
        pass


async def clean_up(actor: Actor) -> None:
    """Everything unpaid of that age is overdue."""
    age = timedelta(seconds=actor.job.get("older_than", 0))
    await actor.attempt(expire_overdue(actor.shop, age))


async def retry(actor: Actor) -> None:
    """Impatient customers pay again, and some of them really do."""
    for command in actor.commands():
        opened = await actor.attempt(retry_payment(actor.shop, command["id"], command["token"]))
        if opened is not None and actor.dice.random() < actor.job.get("pays", 0.5):
            await _pay(actor, opened.url)
            pair = session_in(opened.url), command["id"]
            await actor.attempt(confirm_payment(actor.shop, *pair))


async def buy(actor: Actor) -> None:
    """Customers pay on Stripe's page, the others do not come back."""
    spared = {command["id"] for command in actor.job["commands"][: actor.job.get("spared", 0)]}
    for command in actor.commands():
        if command["id"] not in spared:
            await _pay(actor, command["url"])
            await asyncio.sleep(actor.job.get("pause", 0))


async def _pay(actor: Actor, url: str) -> None:
    body = {"session": session_in(url), "payment_method": "4242424242424242"}
    address = actor.job["stripe_url"], "/sandbox-control/pay", body
    await actor.attempt(asyncio.to_thread(ask_stand_in, *address))


async def order(actor: Actor) -> None:
    """A customer orders."""
    customer = replace(JOHN, city=f"Paris {secrets.token_hex(4)}")
    new = an_order(actor.shop.clock.now(), customer=customer)
    await actor.attempt(open_checkout(actor.shop, new))


async def refund(actor: Actor) -> None:
    """The shopkeeper gives money back: so much, under one key for all who press, or all of it."""
    for command in actor.commands():
        amount, key = actor.job.get("gives"), actor.job.get("key")
        own = f"{key}:{command['id']}" if key else None
        await actor.attempt(refund_command(actor.shop, command["id"], amount, key=own))


ROLES: dict[str, Callable[[Actor], Awaitable[None]]] = {
    role.__name__: role for role in (confirm, hear, work, clean_up, retry, buy, order, refund)
}


# -- the bugs of the negative controls ---------------------------------------------------------


def _own_rate(shop: Shop) -> Shop:
    """Each process makes the tax rate under a key of its own."""

    async def around(real: Any, rate: Any, _key: str) -> Any:
        return await real(rate, secrets.token_hex(8))

    return around_stripe(shop, "create_tax_rate", around)


def _own_refund(shop: Shop) -> Shop:
    """Each process asks for the refund under a key of its own."""

    async def around(real: Any, intent: str, amount: int, _key: str, reason: str | None) -> Any:
        return await real(intent, amount, secrets.token_hex(8), reason)

    return around_stripe(shop, "create_refund", around)


def _bury_blindly(shop: Shop) -> Shop:
    """Clean-up takes its word for Stripe's: what it wants to expire is expired."""

    async def around(_real: Any, session_id: str) -> Any:
        report = await shop.stripe.read_session(session_id)
        return replace(report, state=PaymentState.EXPIRED)

    return around_stripe(shop, "expire_session", around)


def _mark_first(shop: Shop) -> Shop:
    """The event is marked done, and then its effect is written."""

    async def around(real: Any, *args: Any, event_id: str, **more: Any) -> Any:
        await shop.db.transaction(finish_event, event_id, "done", shop.clock.now())
        return await real(*args, event_id=event_id, **more)

    return around_transaction(shop, "apply_report", around)


def _look_then_write(shop: Shop) -> Shop:
    """“Not paid yet, so send a letter”: looked at in one transaction, written in another."""

    async def around(real: Any, report: Any, *args: Any, **more: Any) -> Any:
        pair = await shop.db.read(find_pair, report.session_id)
        settled = await real(report, *args, **more)
        if pair is not None and settled.command.paid and not pair.command.paid:
            key = f"paid:{settled.command.id}:{secrets.token_hex(4)}"
            now = shop.clock.now()
            await shop.db.transaction(post_message, key, "paid", settled.command.id, now)
        return settled

    return around_transaction(shop, "apply_report", around)


def _plan_apart(shop: Shop) -> Shop:
    """“No live attempt, so make one”: the same, where the index that forbids it was dropped."""

    async def around(real: Any, command_id: str, ticket: Ticket, accept: int | None) -> Any:
        if await shop.db.read(live_attempts, command_id):
            return await real(command_id, ticket, accept)
        await asyncio.sleep(0.05)
        return await shop.db.transaction(_add_anyway, command_id, ticket)

    return around_transaction(shop, "plan_retry", around)


def _add_anyway(conn: sqlalchemy.Connection, command_id: str, ticket: Ticket) -> Opening:
    command, last = find_command(conn, command_id), list_attempts(conn, command_id)[0]
    assert command is not None
    number = last.number + secrets.randbelow(10**6) + 1
    return opening._add_attempt(conn, command, last.quote, ticket, number)


BUGS: dict[str, Callable[[Shop], Shop]] = {
    bug.__name__.removeprefix("_"): bug
    for bug in (_own_rate, _own_refund, _bury_blindly, _mark_first, _look_then_write, _plan_apart)
}


@contextmanager
def _letters(bug: str) -> Iterator[None]:
    """With ``look_then_write`` the settlement itself posts nothing, as long as the job lasts."""
    real = settlement.post_message

    def silent(_conn: sqlalchemy.Connection, _key: str, _kind: Kind, _id: str, _now: Any) -> bool:
        return False

    if bug == "look_then_write":
        settlement.post_message = silent
    try:
        yield
    finally:
        settlement.post_message = real


# -- one job after the other -------------------------------------------------------------------


def _halting(shop: Shop, at: int, line: Connection) -> Shop:
    """A process that stands still before its ``at``-th settlement, so that it can be killed there.

    It never gets there when ``at`` is 0.
    """
    left = [at]

    async def around(real: Any, *args: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            line.send("halted")
            await asyncio.sleep(60)
        return await real(*args, **more)

    return around_transaction(shop, "apply_report", around)


async def act(job: dict[str, Any], line: Connection) -> dict[str, Any]:
    """Do one job: open the shop, say ready, wait for the signal, play."""
    clock = MovableClock()
    clock.offset = timedelta(seconds=job["offset"])
    settings = stage_settings(job["database_url"], job["stripe_url"])
    shop = replace(open_shop(settings), clock=clock, mail=Letterbox())
    playing = _halting(shop, job.get("halt", 0), line)
    if job.get("bug"):
        playing = BUGS[job["bug"]](playing)
    actor = Actor(playing, job, random.Random(job["seed"]), [])
    try:
        await shop.db.read(find_command, "")  # connect before the signal, not after it
        line.send("ready")
        await asyncio.to_thread(line.recv)
        with _letters(job.get("bug", "")):
            for _ in range(job.get("rounds", 1)):
                await ROLES[job["role"]](actor)
    finally:
        await close_shop(shop)
    return {"role": job["role"], "done": actor.done, "surprises": actor.surprises}


def perform(line: Connection) -> None:
    """One job after the other, until the line is cut."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with suppress(EOFError):
        while True:
            line.send(asyncio.run(act(line.recv(), line)))
