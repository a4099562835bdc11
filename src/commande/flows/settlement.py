"""Settlement: the one door to paid. Confirm, webhook, reconciliation and people all come here."""

from datetime import datetime, timedelta
from typing import Final

from commande.core.command import SETTLED, Action, AttemptState, Status
from commande.core.document import Command
from commande.core.payment import PaymentReport
from commande.db.journal import record
from commande.db.pairs import Pair, Return, knows_session, read_return
from commande.db.settlement import Settled, apply_report
from commande.db.sql import NothingChanged
from commande.errors import (
    CommandNotFound,
    PaymentNotCompleted,
    SessionInvalid,
    SessionMismatch,
    StripeObjectMissing,
    StripeUnavailable,
)
from commande.ids import is_object_id
from commande.shop import Shop

# Confirm shows personal data to whoever holds the pair; a day later only the token opens them.
FULL_VIEW: Final = timedelta(hours=24)
_TRIES: Final = 3


async def settle(shop: Shop, session_id: str, source: str, event_id: str | None = None) -> Settled:
    """Ask Stripe about one of our sessions and write what it says. Repeat-safe, any number at once.

    Raises SessionInvalid when the session is not ours (without a call to Stripe) or Stripe no
    longer knows it, StripeUnavailable when Stripe cannot be asked.
    """
    if not await shop.db.read(knows_session, session_id):
        raise SessionInvalid("This is no session of ours.")
    return await ask_stripe(shop, session_id, source, event_id)


async def ask_stripe(
    shop: Shop, session_id: str, source: str, event_id: str | None = None
) -> Settled:
    """``settle`` for a caller that has just found the session among ours."""
    asked_at = shop.clock.now()
    try:
        report = await shop.stripe.read_session(session_id)
    except StripeObjectMissing as error:
        raise SessionInvalid("Stripe does not know this session.") from error
    if report.session_id != session_id:
        raise StripeUnavailable("Stripe answered about another session.")
    return await write_report(shop, report, source, asked_at, event_id)


async def write_report(
    shop: Shop, report: PaymentReport, source: str, as_of: datetime, event_id: str | None = None
) -> Settled:
    """Write what a report means; again from the start when a row moved under the transaction."""
    for attempt in range(_TRIES):
        try:
            now, policy = shop.clock.now(), shop.settings.policy
            return await shop.db.transaction(
                apply_report, report, source, now, as_of=as_of, event_id=event_id, policy=policy
            )
        except NothingChanged:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


async def expire_at_stripe(shop: Shop, session_id: str, source: str) -> Settled:
    """Make a session unpayable and write what it became: expired, or paid in the last second."""
    asked_at = shop.clock.now()
    report = await shop.stripe.expire_session(session_id)
    return await write_report(shop, report, source, asked_at)


async def confirm_payment(shop: Shop, session_id: str, command_id: str) -> tuple[Command, bool]:
    """The customer came back: settle, and give the command; the flag asks to mask personal data.

    Refuses pairs that are not ours before any call to Stripe; a paid command is answered from the
    database. Raises CommandNotFound, SessionInvalid, SessionMismatch, PaymentNotCompleted,
    StripeUnavailable. A processing command is returned, not raised.
    """
    returned, pair = await _find_ours(shop, session_id, command_id)
    if pair.command.status in SETTLED and pair.attempt.state is not AttemptState.OPEN:
        if pair.command.paid_session_id == session_id and not returned.noted:
            now = shop.clock.now()
            await shop.db.transaction(
                record, command_id, now, "confirmed", "browser", once=session_id
            )
        return pair.command, _is_old(shop, pair.command)
    if pair.attempt.state in (AttemptState.EXPIRED, AttemptState.CLOSED):
        raise PaymentNotCompleted("This payment page ended without a payment.")
    settled = await ask_stripe(shop, session_id, "browser")
    if settled.action is Action.MISMATCH:
        raise SessionMismatch("Stripe's session is not the one that was frozen for this command.")
    command = settled.command
    if command.paid or command.status is Status.PROCESSING:
        return command, _is_old(shop, command)
    raise PaymentNotCompleted("Stripe says that this session is not paid.")


async def _find_ours(shop: Shop, session_id: str, command_id: str) -> tuple[Return, Pair]:
    """Bind the two ids in our own tables before anything else is believed."""
    if not is_object_id(command_id):
        raise CommandNotFound("There is no such command.")
    returned = await shop.db.read(read_return, session_id, command_id)
    if returned.command is None:
        raise CommandNotFound("There is no such command.")
    if returned.pair is None:
        raise SessionInvalid("This is no session of ours.")
    if returned.pair.command.id != command_id:
        raise SessionMismatch("This session belongs to another command.")
    return returned, returned.pair


def _is_old(shop: Shop, command: Command) -> bool:
    return command.paid_at is not None and shop.clock.now() - command.paid_at > FULL_VIEW


async def recheck(shop: Shop, session_id: str, source: str) -> Settled | None:
    """Settle for a background job: None when Stripe cannot be asked now or knows no such session.

    Nothing is lost by None; the attempt stays due.
    """
    try:
        return await settle(shop, session_id, source)
    except (StripeUnavailable, SessionInvalid):
        return None
