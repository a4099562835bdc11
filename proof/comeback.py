"""One shop whose database is put back to an older copy, and what Stripe and the post office know.

Its clock and Stripe's begin in the past and are moved forward together while customers order, so
that the hour that is lost ends now: ``commande reconcile`` is the real program on the real clock.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import orjson
from sqlalchemy import Connection, func, select

from commande.db import open_database
from commande.db.outbox import count_messages
from commande.db.tables import attempts
from proof.board import Moment
from proof.books import count_under_way, find_refund_gaps
from proof.copies import copy_of
from proof.crew import PATIENCE, SECRET, Crew, Hand, until, until_so
from proof.crowd import KEY, Crowd
from proof.effects import sent_letters
from proof.failover.shop import unaccounted
from proof.ledger import Facts, Ledger
from proof.premises import Premises
from tests.support.invariants import find_breaches, is_paid, list_sessions
from tests.support.stage import ask_stand_in

STEPS: Final = 6
"""In which the clocks move from the copy to the disaster."""
BUSINESS: Final = (1.0, 2.5)
"""Seconds of business before the copy, and in each step a quarter of that."""
POSTING: Final = 0.12
"""Seconds that the mail server takes for a letter: some are on their way at any moment."""
MEANS: Final = (
    *("payment_method=pm_card_visa",) * 6, "payment_method=DE89370400440532013000",
    "payment_method=DE62370400440532013001",
)  # fmt: skip
"""Mostly cards; of two debits one succeeds and one fails, a moment later."""
LATE: Final = 3
"""Customers of lost orders who pay when the shop is back."""
REFUNDS: Final = 2
"""Given back in Stripe's dashboard between the copy and the disaster; one more right before."""


@dataclass
class Comeback:
    """A shop, its Stripe, its customers, and the age of the copy in minutes."""

    place: Premises
    name: str
    minutes: float
    unasked: bool = False
    """The control: nobody runs ``reconcile``."""
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    """What ``reconcile`` took."""

    def __post_init__(self) -> None:
        self._rng = Random(self.name)
        self.folder = self.place.folder / f"comeback-{self.name}"
        self.folder.mkdir()
        self.url = self.place.furnish(self.name, self.folder)
        self._copy = copy_of(self.url, self.folder, self.place.server)
        self._letters = self.folder / "letters"
        self._offset = Moment(self.folder / "clock")
        self._offset.seconds = -60.0 * self.minutes
        more = {"letters": str(self._letters), "posting": POSTING,
                "clock": str(self.folder / "clock")}  # fmt: skip
        self._crew = Crew(self.place, self.folder, self.url, more)
        self._ledger = Ledger(self.folder / "ledger")

    async def run(self) -> list[str]:
        """Sell, copy, sell, lose, put back, reconcile; everything that is wrong then."""
        try:
            return await self._live()
        finally:
            self._crew.dismiss()
            self._ledger.close()

    async def _live(self) -> list[str]:
        door = self._crew.open_door("shop")
        self._crew.open_stripe(self.name, door, offset=self._offset.seconds)
        hands = [self._crew.hire("server", worker=True) for _ in range(2)]
        await self._open(hands)
        crowd = Crowd(door, self._crew.stripe_url, self._ledger, self._rng)
        crowd.means = MEANS
        crowd.start(8)
        await asyncio.sleep(self._rng.uniform(*BUSINESS))
        # What happened before the copy may be heard after it.
        late = {"kind": "delayed", "type": "*refund*", "seconds": 2.5, "count": None}
        await self._control("faults", late)
        if self._ledger.charged:
            await self._give_back(self._rng.choice(list(self._ledger.charged)))
            await asyncio.sleep(1.5)
        copied_at = self._now()
        await asyncio.to_thread(self._copy.take)
        before = self._ledger.facts()
        await self._pass_time()
        await self._do_business(before)
        await crowd.stop()
        await self._crew.kill(hands)
        left = sent_letters(self._letters)
        await asyncio.to_thread(self._copy.put_back)
        wrong = await self._reconcile(copied_at)
        await self._open(hands)
        await asyncio.to_thread(self._pay_late, before)
        wrong += await self._compare(before)
        return wrong + self._find_repeats(left)

    async def _open(self, hands: list[Hand]) -> None:
        for hand in hands:
            self._crew.start(hand)
        await self._crew.all_ready(hands)

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._offset.seconds)

    async def _pass_time(self) -> None:
        """Business goes on, and from step to step it is later."""
        step = 60.0 * self.minutes / STEPS
        for number in range(STEPS):
            await asyncio.sleep(self._rng.uniform(*BUSINESS) / 4)
            await self._control("clock", {"advance": step})
            self._offset.seconds += step
            if number < REFUNDS and self._ledger.charged:
                await self._give_back(self._rng.choice(list(self._ledger.charged)))

    async def _do_business(self, before: Facts) -> None:
        """Until an order that is not in the copy was paid, and a letter left: else, on a machine
        that others keep busy, there may be nothing to lose."""
        known = {opening.session for opening in before.opened}

        def lost() -> bool:
            return bool(self._ledger.charged.keys() - known and sent_letters(self._letters))

        if not await until(lost, PATIENCE):
            raise RuntimeError("There is no business")

    async def _give_back(self, session: str) -> None:
        found = await asyncio.to_thread(
            ask_stand_in, self._crew.stripe_url, f"/v1/checkout/sessions/{session}"
        )
        amount = self._rng.choice((100, found["amount_total"]))
        given = {"payment_intent": found["payment_intent"], "amount": amount}
        answer = await self._control("refunds", given)
        self.counts["refunds"] += "error" not in answer

    async def _control(self, what: str, body: dict[str, Any]) -> Any:
        path = f"/sandbox-control/{what}"
        return await asyncio.to_thread(ask_stand_in, self._crew.stripe_url, path, body)

    async def _reconcile(self, since: datetime) -> list[str]:
        """What docs/operating.md tells to type; what it could not account for."""
        if self.unasked:
            return []
        began = time.monotonic()
        report = await asyncio.to_thread(self._type, "reconcile", "--json", "--since",
                                         since.isoformat())  # fmt: skip
        self.seconds = time.monotonic() - began
        self.counts["settled or rebuilt by reconcile"] += report["settled"] + report["eventsNew"]
        unknown = ("unanswered", "unaccountedMinor", "eventsUnavailable", "chargesUnavailable")
        return [f"reconcile says {name}: {report[name]}" for name in unknown if report[name]]

    def _type(self, *verb: str) -> Any:
        environment = {
            "COMMANDE_DATABASE_URL": self.url,
            "COMMANDE_SECRET_KEY": "the secret of a proof, long enough",
            "COMMANDE_SITE_URL": "https://shop.example",
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": self._crew.stripe_url,
        }
        done = subprocess.run(
            [sys.executable, "-m", "commande", *verb], env=os.environ | environment,
            cwd=self.folder, capture_output=True, check=False, timeout=600,
        )  # fmt: skip
        # 1 says that a person must look: at every command that was rebuilt.
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{verb}: {done.stderr.decode()}")
        return orjson.loads(done.stdout)

    def _pay_late(self, before: Facts) -> None:
        """Their payment page is open still, though the shop no longer knows the order."""
        known = {opening.command for opening in before.opened}
        late = [
            opening
            for opening in self._ledger.facts().opened
            if opening.command not in known and opening.session not in self._ledger.charged
        ]
        for opening in late[:LATE]:
            body = {"session": opening.session, "payment_method": "4242424242424242"}
            answer = ask_stand_in(self._crew.stripe_url, "/sandbox-control/pay", body)
            if "error" not in answer:
                self._ledger.charge(opening.session, answer["amount_total"])
                self.counts["lost orders paid afterwards"] += 1

    # -- books ---------------------------------------------------------------------------------

    async def _compare(self, before: Facts) -> list[str]:
        db = open_database(self.url)
        try:

            async def rests() -> bool:
                # In this order: what is heard between the two looks is under way then.
                return await self._all_heard() and not await db.read(count_under_way)

            if not await until_so(rests):
                return ["I12: it does not come to rest"]
            listed = await asyncio.to_thread(list_sessions, self._crew.stripe_url)
            paid = {
                session["id"]: session["amount_total"] for session in listed if is_paid(session)
            }
            wrong = await db.read(unaccounted, paid)
            wrong += await find_breaches(db, self._crew.stripe_url)
            wrong += await find_refund_gaps(db, self._crew.stripe_url, KEY)
            known = await db.read(_recovered)
            self.counts["letters held"] += (await db.read(count_messages)).get("held", 0)
        finally:
            await db.close()
        self.counts["paid sessions"] += len(paid)
        self.counts["paid orders that the copy did not have"] += known
        facts = self._ledger.facts()
        self.counts["orders"] += len(facts.opened)
        self.counts["orders after the copy"] += len(facts.opened) - len(before.opened)
        return wrong + self._crew.read_log() + self._ledger.wrong

    async def _all_heard(self) -> bool:
        """No bank has still to answer, and no webhook is on its way any more."""
        path = "/sandbox-control/status"
        status = await asyncio.to_thread(ask_stand_in, self._crew.stripe_url, path)
        return not status["debits_waiting"] and not status["deliveries_waiting"]

    def _find_repeats(self, left: list[str]) -> list[str]:
        """What leaves afterwards has never left before.

        Until the disaster a letter may leave twice here: where its sender's lease ends within it,
        because the clock leapt.
        """
        sent = sent_letters(self._letters)
        self.counts.update({"letters sent": len(sent), "of them afterwards": len(sent) - len(left)})
        repeats = Counter(set(left)) + Counter(sent[len(left) :])
        return [f"letter {key} was sent {n} times" for key, n in repeats.items() if n > 1]


def _recovered(conn: Connection) -> int:
    """How many commands were rebuilt from what Stripe knew."""
    query = select(func.count()).where(attempts.c.idempotency_key.like("recovered-%"))
    count: int = conn.execute(query).scalar_one()
    return count
