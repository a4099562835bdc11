"""A small shop on the plain transactions: what it sells, who orders, and what Stripe says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from commande.core.cart import CartLine
from commande.core.customer import Customer
from commande.core.order import Order
from commande.core.payment import PaymentReport, PaymentState
from commande.core.product import Price, Product
from commande.db import Database, open_database, tables
from commande.db.attempts import Attempt
from commande.db.catalogue import upsert_products
from commande.db.discrepancies import Discrepancy, open_discrepancy
from commande.db.inbox import StoredEvent, store_event
from commande.db.modules import add_module
from commande.db.opening import Claim, Opening, Ticket, mark_open, open_command, plan_retry
from commande.db.outbox import post_message
from commande.db.schema import create_all
from commande.db.settlement import Settled, apply_report
from commande.db.sql import insert_once
from commande.db.upkeep import beat, bury_command, fence_command, give_up_session, move_cursor
from commande.ids import Ids, Seal

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
IDS = Ids()
SEAL = Seal("a secret of this test")

BREAD = Product(
    "b" * 24,
    "Pain de campagne",
    tax_percentage=Decimal("5.5"),
    prices=(Price("standard", 450, "eur", is_default=True), Price("half", 250, "eur")),
)
CAKE = Product("c" * 24, "Gâteau", tax_percentage=Decimal(20), prices=(Price("six", 2999, "eur"),))


def later(**times: float) -> datetime:
    return NOW + timedelta(**times)


def stock(conn: Connection) -> None:
    """The module that a shop needs to sell, and two products."""
    add_module(conn, "a" * 24, "commands", NOW)
    upsert_products(conn, [BREAD, CAKE], NOW)


def order(*lines: CartLine, email: str = "ada@example.org", **changes: Any) -> Order:
    """One order of two breads and a cake: 38.99 EUR."""
    customer = Customer(
        "Ada", "Lovelace", email, "+33612345678", "1 rue de la Paix", "75002", "Paris", "FR"
    )
    cart = lines or (CartLine(BREAD.id, 2), CartLine(CAKE.id, 1))
    given = Order(cart, customer, later(days=3), "Sans noix", "fr")
    return replace(given, **changes)


def ticket(now: datetime = NOW) -> Ticket:
    return Ticket(
        now=now,
        lease_until=now + timedelta(seconds=13),
        command_id=IDS.object_id(now),
        attempt_id=IDS.object_id(now),
        refs=(IDS.ref(), IDS.ref(), IDS.ref()),
        seal=SEAL,
        livemode=False,
        currency="eur",
        country="FR",
        success_url="https://shop.example/commande/terminee",
        cancel_url="https://shop.example/commande/annulee",
    )


def claim(key: str = "", body: str = "body", *, from_caller: bool = True) -> Claim:
    return Claim(key or IDS.ref(), body, from_caller)


def asked(conn: Connection, /, **changes: Any) -> Opening:
    """A command whose session Stripe was not asked for yet."""
    return open_command(conn, order(**changes), ticket(), claim())


def opened(conn: Connection, /, **changes: Any) -> Opening:
    """A command whose session is open."""
    return open_session(conn, asked(conn, **changes))


def open_session(conn: Connection, found: Opening, now: datetime = NOW) -> Opening:
    attempt = found.attempt
    report = says(attempt, PaymentState.OPEN, session_id=f"cs_test_{attempt.id}")
    open_attempt = mark_open(conn, attempt.id, report, attempt.quote, now)
    return replace(found, attempt=open_attempt)


def says(
    attempt: Attempt, state: PaymentState = PaymentState.PAID, **changes: Any
) -> PaymentReport:
    """What Stripe says about the attempt's session."""
    known = PaymentReport(
        session_id=attempt.stripe_session_id or "",
        state=state,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        mode="payment",
        livemode=attempt.livemode,
        url=f"https://checkout.stripe.com/c/pay/{attempt.id}",
        payment_intent_id=f"pi_{attempt.id}" if state is not PaymentState.OPEN else None,
    )
    return replace(known, **changes)


def tell(conn: Connection, report: PaymentReport, now: datetime = NOW, **options: Any) -> Settled:
    """Write a report that was read the moment before."""
    given: dict[str, Any] = {"source": "webhook", "as_of": now} | options
    return apply_report(conn, report, now=now, **given)


def paid(conn: Connection, /, **changes: Any) -> Settled:
    """A command that is paid a minute later."""
    return tell(conn, says(opened(conn, **changes).attempt), later(minutes=1))


def every_kind_of_row(conn: Connection) -> None:
    """Every kind of row: each status, each state, money that came late, twice and back."""
    stock(conn)
    asked(conn, email="asked@example.org")
    opened(conn, email="opened@example.org")
    buyer = paid(conn, email="paid@example.org").command
    lapsed = opened(conn, email="lapsed@example.org")
    fence_command(conn, lapsed.command.id, NOW)
    give_up_session(conn, lapsed.attempt.id, NOW)
    bury_command(conn, lapsed.command.id, "worker", NOW)
    again = opened(conn, email="again@example.org")
    give_up_session(conn, again.attempt.id, NOW)
    plan_retry(conn, again.command.id, ticket(later(minutes=2)), None)
    event = StoredEvent(
        "evt_1", "checkout.session.completed", "cs_1", "cs_1", "pi_1", buyer.id,
        {"id": "cs_1"}, "webhook", 0, NOW,
    )  # fmt: skip
    store_event(conn, event, "pending", NOW)
    post_message(conn, "failed:1", "payment_failed", buyer.id, NOW)
    refund = {
        "key": "refund:1", "stripe_refund_id": "re_1", "stripe_session_id": buyer.paid_session_id,
        "command_id": buyer.id, "amount_minor": 100, "state": "succeeded", "origin": "shop",
        "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    insert_once(conn, tables.refunds, refund)
    rate = {"key": "FR:20:incl", "livemode": False, "stripe_tax_rate_id": "txr_1"}
    insert_once(conn, tables.tax_rates, rate | {"created_at": NOW})
    found = Discrepancy(
        "charge:ch_1", "unbooked", 3899, "eur", buyer.id, None, "pi_1", NOW, None, None
    )
    open_discrepancy(conn, found)
    beat(conn, "worker-1", NOW)
    move_cursor(conn, "events", NOW)


@asynccontextmanager
async def stocked(url: str) -> AsyncIterator[Database]:
    """The shop's database with tables, module and catalogue, without Alembic."""
    db = open_database(url)
    await db.transaction(create_all)
    await db.transaction(stock)
    yield db
    await db.close()
