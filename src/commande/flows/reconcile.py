"""Reconciliation: what Stripe knows against what we know, whoever failed to tell whom."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from commande.core.command import AttemptState
from commande.core.payment import StripeEvent
from commande.db import upkeep
from commande.db.commands import count_commands
from commande.db.discrepancies import Discrepancy, list_discrepancies, money_unaccounted
from commande.db.inbox import CLAIMED, HORIZON, count_waiting, known_events
from commande.db.outbox import hold_waiting
from commande.db.settlement import RESTORE
from commande.db.upkeep import Unsettled
from commande.errors import CommandeError, StripeRefused, StripeUnavailable
from commande.flows.inbox import handle_events, receive_event
from commande.flows.ledger import SETTLING, compare_charges
from commande.flows.refunds import finish_refunds
from commande.flows.settlement import settle
from commande.flows.upkeep import Progress, expire_leftover, finish_openings, is_leftover, unwatched
from commande.shop import Shop

CURSOR: Final = "events"
# Stripe shows events by ``created`` and may show one later than that; what overlaps is known.
OVERLAP: Final = timedelta(hours=2)
DAY: Final = timedelta(days=1)
BATCH: Final = 500
# A hundred pages: what a busy shop has in hours, and more than one reading should hold.
MOST_EVENTS: Final = 10_000


@dataclass(slots=True)
class ReconcileReport:
    """What a reconciliation found. Counts."""

    events_read: int = 0
    events_new: int = 0
    asked: int = 0
    """Attempts about which Stripe was asked."""
    settled: int = 0
    """Commands that were unpaid before and are paid now."""
    unanswered: int = 0
    """Attempts about which Stripe could not be asked."""
    events_unavailable: str | None = None
    """Why Stripe's events could not be listed."""
    charges: int = 0
    """Charges of ours that were compared with the books."""
    differing: int = 0
    """Those that differed; what could be healed was."""
    charges_unavailable: str | None = None
    """Why Stripe's charges could not be listed."""
    unaccounted_minor: dict[str, int] = field(default_factory=dict)
    """Money about which the two books still differ, by currency."""
    open: list[Discrepancy] = field(default_factory=list)
    """The differences themselves, newest first."""
    attention: int = 0
    """Commands that need a person afterwards."""

    @property
    def complete(self) -> bool:
        """Whether every session could be asked about, and no money waits for a person.

        Events and charges that cannot be listed (a key without that right) are told, but every
        session was asked about all the same.
        """
        return not (self.unanswered or self.attention or self.unaccounted_minor)


async def reconcile(
    shop: Shop, since: datetime | None = None, progress: Progress = unwatched
) -> ReconcileReport:
    """Read Stripe's events since the cursor (or ``since``) and ask about every unsettled attempt.

    When it returns, every attempt that Stripe could be asked about is settled. Repeat-safe, any
    number at once.
    """
    report = ReconcileReport()
    # After a restore nobody knows which letters had left: they are held for a person.
    source = RESTORE if since is not None else "reconcile"
    if since is not None:
        await shop.db.transaction(hold_waiting, shop.clock.now())
    await finish_openings(shop)
    await read_events(shop, report, since)
    waiting = await shop.db.read(count_waiting)
    for _ in range(waiting // CLAIMED + 1):
        # A fixed number of rounds: an event that fails waits again for the worker's patience.
        await handle_events(shop, all_waiting=True, source=source)
    unsettled = await shop.db.read(upkeep.list_unsettled)
    await _ask_about(shop, unsettled, report, source, progress)
    await read_charges(shop, report, since, source)
    await finish_refunds(shop)
    report.attention = (await shop.db.read(count_commands))["attention"]
    report.unaccounted_minor = await shop.db.read(money_unaccounted)
    report.open = await shop.db.read(list_discrepancies, only_open=True, limit=100)
    return report


async def read_charges(
    shop: Shop,
    report: ReconcileReport,
    since: datetime | None = None,
    source: str = "reconcile",
) -> None:
    """Compare Stripe's charges of the last day (or since then) with our books, both ways."""
    until = shop.clock.now() - SETTLING
    try:
        compared, differing = await compare_charges(shop, since or until - DAY, until, source)
    except (StripeUnavailable, StripeRefused) as error:
        report.charges_unavailable = error.detail
    else:
        report.charges, report.differing = compared, differing


async def check_due(shop: Shop) -> ReconcileReport:
    """The worker's share: ask about those attempts whose check has come."""
    report = ReconcileReport()
    due = await shop.db.read(upkeep.list_due_checks, shop.clock.now(), 100)
    await _ask_about(shop, due, report, "reconcile", unwatched)
    return report


async def read_events(shop: Shop, report: ReconcileReport, since: datetime | None = None) -> None:
    """Store the events that we never received: the undelivered first, then all since the cursor."""
    now = shop.clock.now()
    # What happened right before a backup may have been heard right after it.
    start = await _start(shop, now) if since is None else max(since - OVERLAP, now - HORIZON)
    try:
        missed = await shop.stripe.list_events(start, undelivered=True, limit=MOST_EVENTS)
        listed = await shop.stripe.list_events(start, limit=MOST_EVENTS)
    except (StripeUnavailable, StripeRefused) as error:
        report.events_unavailable = error.detail
        return
    unique = {event.id: event for event in (*missed, *listed)}
    report.events_read = len(unique)
    report.events_new += await _receive_unknown(shop, list(unique.values()))
    if listed:
        # Stripe's own time, which no clock of ours can set ahead. Of too many, the oldest were
        # given: the next reading goes on where these end.
        await shop.db.transaction(upkeep.move_cursor, CURSOR, listed[-1].created_at)


async def _receive_unknown(shop: Shop, listed: list[StripeEvent]) -> int:
    """Store what the inbox does not hold; how many. One read for all that the overlap repeats."""
    new = 0
    for first in range(0, len(listed), BATCH):
        batch = listed[first : first + BATCH]
        known = await shop.db.read(known_events, [event.id for event in batch])
        for event in batch:
            if event.id not in known:
                new += await receive_event(shop, event, "reconcile")
    return new


async def _start(shop: Shop, now: datetime) -> datetime:
    known = await shop.db.read(upkeep.read_cursor, CURSOR)
    known = known or await shop.db.read(upkeep.oldest_attempt_at) or now
    return max(known - OVERLAP, now - HORIZON)


async def _ask_about(
    shop: Shop,
    unsettled: Sequence[Unsettled],
    report: ReconcileReport,
    source: str,
    progress: Progress,
) -> None:
    for done, item in enumerate(unsettled, start=1):
        attempt = item.attempt
        try:
            await _ask_about_one(shop, item, report, source)
        except CommandeError:
            report.unanswered += 1
        await shop.db.transaction(upkeep.schedule_check, attempt, shop.clock.now())
        progress(done, len(unsettled))


async def _ask_about_one(shop: Shop, item: Unsettled, report: ReconcileReport, source: str) -> None:
    attempt = item.attempt
    if is_leftover(item.status, attempt.state):
        await expire_leftover(shop, attempt, source)
    elif attempt.stripe_session_id is not None and attempt.state is not AttemptState.CREATING:
        report.asked += 1
        settled = await settle(shop, attempt.stripe_session_id, source)
        report.settled += settled.command.paid
