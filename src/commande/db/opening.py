"""Transactions of the opening: a cart becomes an unpaid command with one live attempt."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from commande.core.cart import CartLine
from commande.core.command import SETTLED, AttemptState, Status
from commande.core.document import Command
from commande.core.order import Order
from commande.core.payment import PaymentReport
from commande.core.pricing import Quote, quote
from commande.core.session import (
    ENOUGH,
    SessionTerms,
    session_expiry,
    session_parameters,
    tax_rate_keys,
)
from commande.db.attempts import (
    Attempt,
    change_attempt,
    close_attempt,
    insert_attempt,
    list_attempts,
    lock_attempt,
)
from commande.db.catalogue import known_tax_rates, price_cart
from commande.db.commands import insert_command, lock_command
from commande.db.journal import record
from commande.db.modules import COMMANDS, find_module
from commande.db.sql import insert_once
from commande.db.tables import attempts, idempotency_keys
from commande.errors import (
    AlreadyPaid,
    CommandExpired,
    CommandNotFound,
    CommandsModuleMissing,
    IdempotencyConflict,
    PaymentProcessing,
    PriceChanged,
)
from commande.ids import Seal

# A second click comes within seconds; a minute later the customer means another order.
DOUBLE_CLICK: Final = timedelta(seconds=60)
# When reconciliation first asks about a session nobody reported: lost webhooks show within minutes.
FIRST_CHECK: Final = timedelta(minutes=5)
# Built once, with bound parameters: building one costs several times as much as running it.
_SAME_KEY: Final = idempotency_keys.c.key == bindparam("claim")
_CLAIM: Final = select(idempotency_keys).where(_SAME_KEY).with_for_update()
_RENEW: Final = update(idempotency_keys).where(_SAME_KEY)
_NEWEST: Final = (
    select(attempts.c.state, attempts.c.opening_until)
    .where(attempts.c.command_id == bindparam("command"))
    .order_by(attempts.c.number.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the flow decides before the transaction: ids, time, and the shop's terms."""

    now: datetime
    lease_until: datetime
    command_id: str
    attempt_id: str
    refs: tuple[str, ...]
    """Candidates; the first free one is taken."""
    seal: Seal
    livemode: bool
    currency: str
    country: str
    success_url: str
    cancel_url: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Who asks: the hash of an Idempotency-Key, or of the order itself for double clicks."""

    key: str
    body_hash: str
    from_caller: bool


@dataclass(frozen=True, slots=True)
class Opening:
    """A command and the attempt through which it can be paid."""

    command: Command
    attempt: Attempt
    rates: dict[str, str]
    """Stripe's ids of the tax rates that are known, by our key."""
    mine: bool = False
    """Whether the caller holds the lease, and so must ask Stripe for the session."""
    stale: bool = False
    """Whether the attempt's session must be expired at Stripe before a new one is handed out."""


def open_command(conn: Connection, order: Order, ticket: Ticket, claim: Claim) -> Opening:
    """Price the cart and store command, attempt and claim; or find what the claim made before.

    Repeat-safe through the claim. Raises CommandsModuleMissing, InputInvalid, TotalOutOfRange,
    IdempotencyConflict.
    """
    earlier = _take_claim(conn, claim, ticket)
    if earlier is not None:
        return earlier
    module = find_module(conn, COMMANDS)
    if module is None:
        raise CommandsModuleMissing("The shop has no module of type “commands”.")
    lines = price_cart(conn, list(order.cart), ticket.currency, ticket.country)
    priced = quote(lines, ticket.currency)
    command = Command(
        id=ticket.command_id,
        ref=ticket.refs[0],
        status=Status.UNPAID,
        module_id=module.id,
        currency=ticket.currency,
        cart=[
            {"product_id": line.product_id, "quantity": line.quantity, "type": line.type}
            for line in priced.lines
        ],
        customer=order.customer.to_dict(),
        appointment_at=order.appointment_at,
        note=order.note,
        locale=order.locale,
        snapshot=None,
        paid_at=None,
        paid_session_id=None,
        refunded_minor=0,
        attention=None,
        created_at=ticket.now,
        updated_at=ticket.now,
    )
    command = insert_command(conn, command, ticket.refs)
    record(conn, command.id, ticket.now, "opened", "browser", total_minor=priced.total_minor)
    return _add_attempt(conn, command, priced, ticket, number=1)


def _take_claim(conn: Connection, claim: Claim, ticket: Ticket) -> Opening | None:
    """Claim the key for the new command, or give what an earlier claim of it made."""
    row = {"key": claim.key, "body_hash": claim.body_hash, "command_id": ticket.command_id}
    if insert_once(conn, idempotency_keys, row | {"created_at": ticket.now}):
        return None
    held = conn.execute(_CLAIM, {"claim": claim.key}).one()
    if held.body_hash != claim.body_hash:
        raise IdempotencyConflict("This Idempotency-Key was used with another body.")
    # Locked: clean-up's fence may be going up before the command that gets another attempt here.
    command = lock_command(conn, held.command_id)
    if command is not None and (claim.from_caller or _is_double_click(command, ticket.now)):
        last = list_attempts(conn, command.id)[0]
        if last.live or last.url or command.status is not Status.UNPAID:
            return _opening(conn, command, last, ticket)
        # Its only attempts died before anybody could pay: this claim may try again.
        return _add_attempt(conn, command, last.quote, ticket, last.number + 1)
    values = {"command_id": ticket.command_id, "created_at": ticket.now}
    conn.execute(_RENEW, values | {"claim": claim.key})
    return None


def _is_double_click(command: Command, now: datetime) -> bool:
    return command.status is Status.UNPAID and now - command.created_at < DOUBLE_CLICK


def _add_attempt(
    conn: Connection, command: Command, priced: Quote, ticket: Ticket, number: int
) -> Opening:
    """Freeze quote and parameters in a new live attempt that the caller holds."""
    total = priced.total_minor
    email = (command.customer or {}).get("email")
    expires_at = session_expiry(command.created_at, ticket.now)
    terms = SessionTerms(
        command_id=command.id,
        attempt_id=ticket.attempt_id,
        ref=command.ref,
        token=ticket.seal.token(command.id),
        mark=ticket.seal.mark(command.id, ticket.attempt_id, total, priced.currency),
        email=email,
        locale=command.locale,
        success_url=ticket.success_url,
        cancel_url=ticket.cancel_url,
        expires_at=expires_at,
        appointment_at=command.appointment_at,
    )
    attempt = Attempt(
        id=ticket.attempt_id,
        command_id=command.id,
        number=number,
        state=AttemptState.CREATING,
        idempotency_key=f"commande-{ticket.attempt_id}",
        parameters=session_parameters(priced, terms),
        quote=priced,
        amount_minor=total,
        currency=priced.currency,
        livemode=ticket.livemode,
        stripe_session_id=None,
        url=None,
        expires_at=expires_at,
        opening_until=ticket.lease_until,
        tries=1,
        last_error=None,
        check_at=ticket.now + FIRST_CHECK,
        checks=0,
        created_at=ticket.now,
        opened_at=None,
        closed_at=None,
    )
    insert_attempt(conn, attempt)
    record(
        conn, command.id, ticket.now, "session_requested", "shop",
        once=attempt.id, number=number, total_minor=total,
    )  # fmt: skip
    return replace(_opening(conn, command, attempt, ticket), mine=True)


def _opening(conn: Connection, command: Command, attempt: Attempt, ticket: Ticket) -> Opening:
    """The attempt as it stands, taking its lease if nobody holds it."""
    rates: dict[str, str] = {}
    mine = False
    if attempt.state is AttemptState.CREATING:
        rates = known_tax_rates(conn, tax_rate_keys(attempt.parameters), ticket.livemode)
        if attempt.opening_until is None or attempt.opening_until <= ticket.now:
            lease: dict[str, Any] = {"opening_until": ticket.lease_until}
            lease["tries"] = attempt.tries + 1
            change_attempt(conn, attempt, **lease)
            attempt = replace(attempt, **lease)
            mine = True
    return Opening(command, attempt, rates, mine)


def is_held(conn: Connection, command_id: str, now: datetime) -> bool:
    """Whether somebody is still opening the command's newest attempt: whoever waits only reads."""
    newest = conn.execute(_NEWEST, {"command": command_id}).first()
    if newest is None or newest.state != AttemptState.CREATING:
        return False
    return newest.opening_until is not None and newest.opening_until > now


def claim_opening(conn: Connection, command_id: str, ticket: Ticket) -> Opening:
    """The command's newest attempt as it stands, taking its lease if nobody holds it.

    Raises CommandNotFound.
    """
    command = lock_command(conn, command_id)
    if command is None:
        raise CommandNotFound("There is no such command.")
    return _opening(conn, command, list_attempts(conn, command_id)[0], ticket)


def plan_retry(
    conn: Connection, command_id: str, ticket: Ticket, accept_minor: int | None
) -> Opening:
    """Find the session to pay with, make a new attempt, or name the one to expire first.

    Raises CommandNotFound, AlreadyPaid, PaymentProcessing, CommandExpired, PriceChanged and, when
    something left the catalogue, InputInvalid.
    """
    command = lock_command(conn, command_id)
    if command is None:
        raise CommandNotFound("There is no such command.")
    if command.status in SETTLED:
        raise AlreadyPaid("This command is paid.")
    if command.status is Status.PROCESSING:
        raise PaymentProcessing("A payment of this command is under way.")
    if command.status is not Status.UNPAID or command.customer is None:
        raise CommandExpired("This command was closed. Please order again.")
    last = list_attempts(conn, command_id)[0]
    cart = [CartLine(line["product_id"], line["quantity"], line["type"]) for line in command.cart]
    priced = quote(price_cart(conn, cart, command.currency, ticket.country), command.currency)
    moved = _has_moved(last, priced)
    if moved and accept_minor != priced.total_minor:
        raise PriceChanged(last.amount_minor, priced.total_minor, command.currency)
    if not last.live:
        return _add_attempt(conn, command, priced, ticket, last.number + 1)
    opening = _opening(conn, command, last, ticket)
    lasting = last.expires_at - ticket.now >= ENOUGH
    return replace(opening, stale=moved or not lasting)


def _has_moved(last: Attempt, priced: Quote) -> bool:
    """Whether the catalogue asks another total than the one frozen (tax rounding apart)."""
    if last.quote.total_minor == priced.total_minor:
        return False
    frozen = [(line.product_id, line.unit_minor, line.quantity, line.rate)
              for line in last.quote.lines]  # fmt: skip
    return frozen != [(p.product_id, p.unit_minor, p.quantity, p.rate) for p in priced.lines]


def mark_open(
    conn: Connection, attempt_id: str, report: PaymentReport, adopted: Quote, now: datetime
) -> Attempt:
    """Record the session that Stripe made; the attempt as it then stands.

    Repeat-safe: a second caller with the same session finds it open. If clean-up closed the attempt
    meanwhile it stays closed, and the caller must not hand the address out.
    """
    attempt = _lock_attempt(conn, attempt_id)
    if attempt.state is not AttemptState.CREATING:
        return attempt
    values: dict[str, Any] = {
        "state": AttemptState.OPEN,
        "stripe_session_id": report.session_id,
        "url": report.url,
        "amount_minor": adopted.total_minor,
        "opened_at": now,
        "opening_until": None,
        "last_error": None,
    }
    change_attempt(conn, attempt, **values, quote=adopted.to_dict())
    record(
        conn, attempt.command_id, now, "session_opened", "stripe",
        once=attempt.id, session=report.session_id, number=attempt.number,
    )  # fmt: skip
    return replace(attempt, quote=adopted, **values)


def release_opening(conn: Connection, held: Attempt, error: str, now: datetime) -> None:
    """Give the lease back after Stripe did not answer; the next caller or the worker goes on.

    A lease that ran out and was taken by somebody else is theirs.
    """
    attempt = _lock_attempt(conn, held.id)
    if attempt.state is AttemptState.CREATING and attempt.tries == held.tries:
        change_attempt(conn, attempt, opening_until=now, last_error=error)
        record(
            conn, attempt.command_id, now, "session_delayed", "stripe",
            once=f"{attempt.id}:{error}", reason=error,
        )  # fmt: skip


def abandon_opening(
    conn: Connection, attempt_id: str, reason: str, now: datetime, session_id: str | None = None
) -> None:
    """Close an attempt whose session never came to be, or was never handed out. Repeat-safe.

    One that another caller opened meanwhile stays open: its address may have left the server.
    """
    attempt = _lock_attempt(conn, attempt_id)
    if attempt.state is AttemptState.CREATING:
        values: dict[str, Any] = {"last_error": reason, "check_at": None}
        session = {"stripe_session_id": session_id} if session_id else {}
        close_attempt(conn, attempt, AttemptState.CLOSED, now, **values, **session)
        record(
            conn, attempt.command_id, now, "session_abandoned", "shop",
            once=attempt.id, reason=reason,
        )  # fmt: skip


def replace_attempt(conn: Connection, command_id: str, ticket: Ticket) -> Opening:
    """A new attempt with the newest one's quote, after that one was abandoned.

    Raises CommandExpired when the command may no longer be opened.
    """
    command = lock_command(conn, command_id)
    if command is None or command.status is not Status.UNPAID:
        raise CommandExpired("This command was closed. Please order again.")
    last = list_attempts(conn, command_id)[0]
    if last.live:
        return _opening(conn, command, last, ticket)
    return _add_attempt(conn, command, last.quote, ticket, last.number + 1)


def _lock_attempt(conn: Connection, attempt_id: str) -> Attempt:
    """The attempt, its command locked first, in the house's order. Raises CommandNotFound."""
    locked = lock_attempt(conn, attempt_id)
    if locked is None:
        raise CommandNotFound("There is no such attempt.")
    return locked
