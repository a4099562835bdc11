"""Discrepancies ("écarts"): where Stripe's books and ours told different stories."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select, update

from commande.db.sql import insert_once
from commande.db.tables import attempts, discrepancies, payments


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One difference, and what was done about it. Amount in minor units."""

    fact: str
    kind: str
    amount_minor: int
    currency: str
    command_id: str | None
    stripe_session_id: str | None
    stripe_payment_intent_id: str | None
    found_at: datetime
    healed_at: datetime | None
    remedy: str | None


_COLUMNS: Final = tuple(c for c in discrepancies.c if c.name != "detail")


def open_discrepancy(conn: Connection, /, found: Discrepancy, **detail: Any) -> bool:
    """Note a difference; False when it stands already. The fact makes it one."""
    names = [column.name for column in _COLUMNS]
    return insert_once(
        conn, discrepancies, {name: getattr(found, name) for name in names} | {"detail": detail}
    )


def heal_discrepancy(conn: Connection, fact: str, remedy: str, now: datetime) -> None:
    """Say what mended a difference. Repeat-safe."""
    match = (discrepancies.c.fact == fact) & discrepancies.c.healed_at.is_(None)
    conn.execute(update(discrepancies).where(match).values(healed_at=now, remedy=remedy))


def list_discrepancies(
    conn: Connection, *, only_open: bool = False, limit: int | None = None
) -> list[Discrepancy]:
    """Differences, newest first."""
    query = select(*_COLUMNS).order_by(discrepancies.c.found_at.desc()).limit(limit)
    if only_open:
        query = query.where(discrepancies.c.healed_at.is_(None))
    return [Discrepancy(*row) for row in conn.execute(query)]


def money_unaccounted(conn: Connection) -> dict[str, int]:
    """Open differences by currency, in minor units."""
    query = select(discrepancies.c.currency, func.sum(discrepancies.c.amount_minor))
    query = query.where(discrepancies.c.healed_at.is_(None)).group_by(discrepancies.c.currency)
    return {currency: int(amount) for currency, amount in conn.execute(query)}


@dataclass(frozen=True, slots=True)
class Booked:
    """What our books say of one payment intent. Amounts in minor units."""

    stripe_session_id: str
    command_id: str
    amount_minor: int
    refunded_minor: int
    disputed: bool


# Built once: asked about every charge of the day, every hour.
_BOOKED: Final = select(
    payments.c.stripe_payment_intent_id,
    payments.c.stripe_session_id,
    payments.c.command_id,
    payments.c.amount_minor,
    payments.c.refunded_minor,
    payments.c.disputed,
).where(payments.c.stripe_payment_intent_id.in_(bindparam("intents", expanding=True)))


def booked_payments(conn: Connection, payment_intent_ids: list[str]) -> dict[str, Booked]:
    """Our rows of these payments, as far as there are any, by payment intent."""
    rows = conn.execute(_BOOKED, {"intents": payment_intent_ids})
    return {intent: Booked(*row) for intent, *row in rows}


def session_of_attempt(conn: Connection, attempt_id: str) -> str | None:
    """The session that an attempt made, as far as we know."""
    query = select(attempts.c.stripe_session_id).where(attempts.c.id == attempt_id)
    return conn.execute(query).scalar_one_or_none()
