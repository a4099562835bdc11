"""Recovery: rows that a failover or an old backup lost, written again from what Stripe knows."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from commande.core.command import AttemptState, Status
from commande.core.document import Command
from commande.core.payment import PaidOrder
from commande.core.pricing import Quote, adopt_total, quote
from commande.core.session import LIFETIME
from commande.db.attempts import (
    Attempt,
    find_attempt,
    insert_attempt,
    list_attempts,
)
from commande.db.commands import insert_command, lock_command
from commande.db.journal import record
from commande.db.modules import COMMANDS, find_module
from commande.db.outbox import hold_message
from commande.db.pairs import knows_session
from commande.errors import CommandsModuleMissing, SessionInvalid


def recover_order(
    conn: Connection, order: PaidOrder, spare_ref: str, locale: str, now: datetime
) -> None:
    """Write the command and the attempt of a session whose seal was verified. Repeat-safe.

    The command waits unpaid for the report that follows; if that is paid, its letter is held,
    because it may have been sent before the rows were lost. Raises CommandsModuleMissing,
    KeyError without metadata, SessionInvalid when the attempt stands and has another session.
    """
    report, metadata = order.report, order.report.metadata
    if knows_session(conn, report.session_id):
        return
    if find_attempt(conn, metadata["attempt_id"]) is not None:
        raise SessionInvalid("This session copies the words of another one of ours.")
    agreed, amount_minor = _agree(order, report.currency or metadata["currency"])
    made_at = report.created_at or now
    command_id = metadata["command_id"]
    if lock_command(conn, command_id) is None:
        refs = tuple(ref for ref in (metadata.get("ref"), spare_ref) if ref)
        _insert_command(conn, order, agreed, command_id, refs, locale, made_at, now)
        if report.paid:
            hold_message(conn, f"paid:{command_id}", "paid", command_id, now)
    known = [attempt.number for attempt in list_attempts(conn, command_id)]
    expires_at = report.expires_at or made_at + LIFETIME
    attempt = Attempt(
        id=metadata["attempt_id"],
        command_id=command_id,
        number=max(known, default=0) + 1,
        # Closed, so that it meets no live attempt; the report opens or completes it.
        state=AttemptState.CLOSED,
        idempotency_key=f"recovered-{metadata['attempt_id']}",
        parameters={},
        quote=agreed,
        amount_minor=amount_minor,
        currency=agreed.currency,
        livemode=report.livemode,
        stripe_session_id=report.session_id,
        url=None,
        expires_at=expires_at,
        opening_until=None,
        tries=0,
        last_error="recovered",
        check_at=now,
        checks=0,
        created_at=made_at,
        opened_at=made_at,
        closed_at=now,
    )
    insert_attempt(conn, attempt)
    record(conn, command_id, now, "recovered", "stripe", once=report.session_id,
           session=report.session_id)  # fmt: skip


def _agree(order: PaidOrder, currency: str) -> tuple[Quote, int]:
    """What was sold, and the sealed total (minor units), moved by Stripe's rounding of tax alone.

    With any other total the report that follows is a mismatch, for a person.
    """
    sealed, charged = int(order.report.metadata["total"]), order.report.amount_minor or 0
    ours = quote(list(order.lines), currency)
    adopted = adopt_total(ours, charged) if ours.total_minor == sealed else None
    if adopted is None:
        return Quote(currency, order.lines), sealed
    return adopted, adopted.total_minor


def _insert_command(
    conn: Connection,
    order: PaidOrder,
    agreed: Quote,
    command_id: str,
    refs: tuple[str, ...],
    locale: str,
    made_at: datetime,
    now: datetime,
) -> None:
    module = find_module(conn, COMMANDS)
    if module is None:
        raise CommandsModuleMissing("The shop has no module of type “commands”.")
    command = Command(
        id=command_id,
        ref=refs[0],
        status=Status.UNPAID,
        module_id=module.id,
        currency=agreed.currency,
        cart=[
            {"product_id": line.product_id, "quantity": line.quantity, "type": line.type}
            for line in order.lines
        ],
        customer=dict(order.customer),
        appointment_at=_appointment(order, made_at),
        note=None,
        locale=locale,
        snapshot=None,
        paid_at=None,
        paid_session_id=None,
        refunded_minor=0,
        attention="recovered",
        created_at=made_at,
        updated_at=now,
    )
    insert_command(conn, command, refs)


def _appointment(order: PaidOrder, made_at: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(order.report.metadata["appointment"])
    except (KeyError, ValueError):
        return made_at + timedelta(days=1)
    return at if at.tzinfo else made_at + timedelta(days=1)
