"""Upkeep: openings that died, commands that nobody paid, and asking Stripe what we never heard."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from commande.core.command import SETTLED, AttemptState, Status
from commande.db import upkeep
from commande.db.adoption import adopt_session
from commande.db.attempts import Attempt
from commande.db.opening import abandon_opening, claim_opening
from commande.errors import (
    CommandeError,
    CommandExpired,
    InputInvalid,
    QuoteMismatch,
    StripeObjectMissing,
    StripeUnavailable,
)
from commande.flows.checkout import make_ticket, reach_open
from commande.flows.settlement import expire_at_stripe
from commande.shop import Shop

# Stripe keeps a key for at least 24 h; an hour earlier we no longer trust it to.
KEY_LIFETIME: Final = timedelta(hours=23)
BATCH: Final = 100

Progress = Callable[[int, int], None]
"""Told after each piece of long work: done, and how many there are."""


def unwatched(_done: int, _total: int) -> None:
    """Nobody watches."""


async def finish_openings(shop: Shop) -> int:
    """Resume openings whose process died or gave up; how many are open now. Repeat-safe."""
    opened = 0
    for command_id in await shop.db.read(upkeep.list_stuck_openings, shop.clock.now()):
        try:
            opened += await _finish_opening(shop, command_id)
        except StripeUnavailable:
            return opened
        except CommandeError:
            continue
    return opened


async def _finish_opening(shop: Shop, command_id: str) -> bool:
    found = await shop.db.transaction(claim_opening, command_id, make_ticket(shop))
    if not found.mine:
        return False
    attempt = await _reach_session(shop, found.attempt)
    if attempt is None:
        attempt = (await reach_open(shop, found)).attempt
    return attempt.state is AttemptState.OPEN


async def _reach_session(shop: Shop, attempt: Attempt) -> Attempt | None:
    """An attempt too old for its key: the session it made if it did, else the attempt closed.

    None when the key is young enough to ask again.
    """
    now = shop.clock.now()
    if now - attempt.created_at < KEY_LIFETIME:
        return None
    until = attempt.created_at + KEY_LIFETIME
    report = await shop.stripe.find_session(attempt.created_at, until, attempt.id, shop.seal.made)
    if report is None:
        await shop.db.transaction(abandon_opening, attempt.id, "too_old", now)
        return attempt
    await shop.db.transaction(adopt_session, report.session_id, report.metadata, report, now)
    await expire_at_stripe(shop, report.session_id, "worker")
    return attempt


@dataclass(slots=True)
class CleanupReport:
    """What a clean-up did, by command id."""

    expired: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    """Paid in the last second, or under way."""
    waiting: list[str] = field(default_factory=list)
    """Stripe could not be asked; the fence stays and the next clean-up goes on."""


async def expire_overdue(
    shop: Shop, older_than: timedelta, progress: Progress = unwatched, source: str = "worker"
) -> CleanupReport:
    """Close unpaid commands of that age: expire at Stripe, re-read, settle or make a tombstone.

    Repeat-safe, resumable, any number at once. Nothing that can still be paid is erased.
    """
    report = CleanupReport()
    cutoff = shop.clock.now() - older_than
    total = len(await shop.db.read(upkeep.list_overdue, cutoff))
    seen: set[str] = set()
    while True:
        ids = await shop.db.transaction(
            upkeep.fence_overdue, cutoff, shop.clock.now(), BATCH + len(report.waiting)
        )
        fresh = [command_id for command_id in ids if command_id not in seen]
        if not fresh:
            return report
        for command_id in fresh:
            seen.add(command_id)
            _count(report, command_id, await expire_command(shop, command_id, source))
            progress(len(seen), max(total, len(seen)))


def _count(report: CleanupReport, command_id: str, status: Status) -> None:
    if status is Status.EXPIRED:
        report.expired.append(command_id)
    elif status is Status.EXPIRING:
        report.waiting.append(command_id)
    else:
        report.settled.append(command_id)


async def cancel_command(shop: Shop, command_id: str, source: str = "person") -> Status:
    """Close one unpaid command now, as clean-up would; its status afterwards.

    Raises CommandNotFound, AlreadyPaid, PaymentProcessing.
    """
    await shop.db.transaction(upkeep.fence_command, command_id, shop.clock.now())
    return await expire_command(shop, command_id, source)


async def expire_command(shop: Shop, command_id: str, source: str) -> Status:
    """End every live session of a fenced command, then bury it if nothing paid it."""
    for attempt in await shop.db.read(upkeep.live_attempts, command_id):
        try:
            await _end_attempt(shop, attempt, source)
        except CommandeError:
            # Whatever is the matter with one: burying looks again, and the others wait for nobody.
            continue
    return await shop.db.transaction(upkeep.bury_command, command_id, source, shop.clock.now())


async def _end_attempt(shop: Shop, attempt: Attempt, source: str) -> None:
    """Make one attempt unpayable at Stripe, whatever state it is in."""
    session_id = attempt.stripe_session_id
    if attempt.state is AttemptState.CREATING:
        session_id = await _recover_session(shop, attempt)
    if session_id is None:
        return
    try:
        await expire_at_stripe(shop, session_id, source)
    except StripeObjectMissing:
        await _miss_session(shop, attempt)


async def _recover_session(shop: Shop, attempt: Attempt) -> str | None:
    """The session of a creating attempt, if Stripe made one: asked for again under its key."""
    found = await shop.db.transaction(claim_opening, attempt.command_id, make_ticket(shop))
    try:
        if found.mine and await _reach_session(shop, found.attempt) is not None:
            return None
        return (await reach_open(shop, found)).attempt.stripe_session_id
    except (CommandExpired, InputInvalid, QuoteMismatch):
        # Refused for good, by Stripe or by us; it is closed, and the fence allows no new one. The
        # commands after this one must not wait for its sake.
        return None


async def _miss_session(shop: Shop, attempt: Attempt) -> None:
    """Stripe does not know a session that we recorded: wrong account, or long forgotten.

    Until its time is over somebody may still pay it elsewhere, so a person must look.
    """
    now = shop.clock.now()
    if attempt.expires_at + timedelta(hours=1) < now:
        await shop.db.transaction(upkeep.give_up_session, attempt.id, now)
    else:
        command_id = attempt.command_id
        await shop.db.transaction(upkeep.flag_command, command_id, "session_missing", "stripe", now)


async def expire_leftover(shop: Shop, attempt: Attempt, source: str) -> None:
    """End a live session of a command that another session has paid: nobody pays twice."""
    await _end_attempt(shop, attempt, source)


def is_leftover(status: Status, state: AttemptState) -> bool:
    """Whether an attempt outlived the payment of its command."""
    return status in SETTLED and state in (AttemptState.CREATING, AttemptState.OPEN)


async def prune(shop: Shop) -> int:
    """Forget what nobody needs any more; how many rows went."""
    now: datetime = shop.clock.now()
    return await shop.db.transaction(upkeep.prune, now)
