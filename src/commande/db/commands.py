"""Commands as rows: read, listed, counted, moved along the transition table, erased."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, String, bindparam, cast, func, or_, select, update

from commande.core.command import Status, may_move
from commande.core.document import Command
from commande.db.sql import NothingChanged, change_one
from commande.db.tables import attempts, commands, payments

_COLUMNS: Final = (
    commands.c.id,
    commands.c.ref,
    commands.c.status,
    commands.c.module_id,
    commands.c.currency,
    commands.c.cart,
    commands.c.customer,
    commands.c.appointment_at,
    commands.c.note,
    commands.c.locale,
    commands.c.snapshot,
    commands.c.paid_at,
    commands.c.paid_session_id,
    commands.c.refunded_minor,
    commands.c.attention,
    commands.c.created_at,
    commands.c.updated_at,
)


def _command(row: Any) -> Command:
    values = row._asdict()
    return Command(**values | {"status": Status(values["status"])})


# Built once, with bound parameters: building one costs several times as much as running it.
_BY_ID: Final = select(*_COLUMNS).where(commands.c.id == bindparam("command"))
_LOCKED: Final = _BY_ID.with_for_update()
_REF_TAKEN: Final = select(commands.c.id).where(commands.c.ref == bindparam("wanted"))
_CHANGE: Final = update(commands).where(
    commands.c.id == bindparam("command"), commands.c.status == bindparam("was")
)
_FIRST_PAID: Final = _CHANGE.where(commands.c.paid_at.is_(None))


_INSERT: Final = commands.insert()
_INSERTED: Final = tuple(column.name for column in commands.c if column.name != "erased_at")


def insert_command(conn: Connection, command: Command) -> None:
    """Store a new command as it is."""
    conn.execute(_INSERT, {name: getattr(command, name) for name in _INSERTED})


def find_command(conn: Connection, command_id: str) -> Command | None:
    """The command with that id."""
    row = conn.execute(_BY_ID, {"command": command_id}).first()
    return _command(row) if row else None


def find_by_ref(conn: Connection, ref: str) -> Command | None:
    """The command with that reference (with or without its ``#``)."""
    wanted = "#" + ref.removeprefix("#").upper()
    row = conn.execute(select(*_COLUMNS).where(commands.c.ref == wanted)).first()
    return _command(row) if row else None


def lock_command(conn: Connection, command_id: str) -> Command | None:
    """The command, locked until the transaction ends. Always before its attempts."""
    row = conn.execute(_LOCKED, {"command": command_id}).first()
    return _command(row) if row else None


def ref_is_taken(conn: Connection, ref: str) -> bool:
    """Whether another command has this reference."""
    return conn.execute(_REF_TAKEN, {"wanted": ref}).first() is not None


def change_command(conn: Connection, command: Command, now: datetime, **values: Any) -> None:
    """Write what differs from the locked command; ``updated_at`` moves only with a real change.

    A status must follow the transition table. Raises NothingChanged when the row was not as read.
    """
    changed = {key: value for key, value in values.items() if getattr(command, key) != value}
    if not changed:
        return
    status = changed.get("status")
    if status is not None and not may_move(command.status, status):
        raise NothingChanged(f"{command.status} does not become {status}")
    statement = _FIRST_PAID if "paid_at" in changed else _CHANGE
    bound = {"command": command.id, "was": command.status, "updated_at": now}
    change_one(conn, statement, changed | bound)


def erase_command(conn: Connection, command: Command, now: datetime) -> None:
    """Make a tombstone: id, amounts and sessions stay, whatever names a person goes."""
    match = (commands.c.id == command.id) & (commands.c.status == Status.EXPIRING)
    values = {
        "status": Status.EXPIRED,
        "customer": None,
        "note": None,
        "erased_at": now,
        "updated_at": now,
    }
    change_one(conn, update(commands).where(match).values(values))
    # The frozen parameters carry the e-mail address; a closed attempt never needs them again.
    conn.execute(
        update(attempts).where(attempts.c.command_id == command.id).values(parameters={}, url=None)
    )


# The states that the merchant and ``commands list`` filter by.
FILTERS: Final[dict[str, tuple[Status, ...]]] = {
    "unpaid": (Status.UNPAID, Status.EXPIRING),
    "processing": (Status.PROCESSING,),
    "paid": (Status.PAID, Status.PARTIALLY_REFUNDED, Status.REFUNDED),
    "refunded": (Status.PARTIALLY_REFUNDED, Status.REFUNDED),
    "expired": (Status.EXPIRED,),
}


def _filtered(query: Select[Any], state: str | None, search: str | None) -> Select[Any]:
    if state == "attention":
        query = query.where(commands.c.attention.is_not(None))
    elif state is not None:
        query = query.where(commands.c.status.in_(FILTERS[state]))
    if search:
        # JSON as text: good enough for a name or an address, and the same on both databases.
        text = f"%{search.lower().replace('%', '')}%"
        customer = cast(commands.c.customer, String)
        query = query.where(
            or_(
                func.lower(commands.c.ref).like(text),
                commands.c.id == search.lower(),
                func.lower(customer).like(text),
                # SQLite lowers no accents: Élodie is found as she wrote herself, too.
                customer.like(f"%{search.title().replace('%', '')}%"),
                customer.like(f"%{search.replace('%', '')}%"),
            )
        )
    return query


@dataclass(frozen=True, slots=True)
class Listed:
    """A command in a list, with the total of its newest attempt (minor units)."""

    command: Command
    total_minor: int


def list_commands(
    conn: Connection,
    *,
    state: str | None = None,
    search: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[Listed]:
    """Commands, newest first. ``state``: unpaid, processing, paid, refunded, expired, attention."""
    newest = (
        select(attempts.c.amount_minor)
        .where(attempts.c.command_id == commands.c.id)
        .order_by(attempts.c.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = _filtered(select(*_COLUMNS, newest.label("total_minor")), state, search)
    query = query.order_by(commands.c.created_at.desc(), commands.c.id.desc())
    return [_listed(row) for row in conn.execute(query.limit(limit).offset(offset))]


def _listed(row: Any) -> Listed:
    values = row._asdict()
    total = values.pop("total_minor")
    command = Command(**values | {"status": Status(values["status"])})
    if command.snapshot is not None:
        total = command.snapshot["total_minor"]
    return Listed(command, total or 0)


def count_commands(conn: Connection, search: str | None = None) -> dict[str, int]:
    """How many commands there are in each filter, and ``all`` of them."""
    query = _filtered(select(commands.c.status, func.count()), None, search)
    by_status: dict[str, int] = dict(conn.execute(query.group_by(commands.c.status)).all())
    counts = {name: sum(by_status.get(s, 0) for s in states) for name, states in FILTERS.items()}
    attention = _filtered(select(func.count()).select_from(commands), "attention", search)
    counts["attention"] = conn.execute(attention).scalar_one()
    counts["all"] = sum(by_status.values())
    return counts


@dataclass(frozen=True, slots=True)
class Payment:
    """One paid session and what became of it. Amounts in minor units."""

    stripe_session_id: str
    stripe_payment_intent_id: str | None
    amount_minor: int
    currency: str
    method: str | None
    outcome: str
    refunded_minor: int
    disputed: bool
    created_at: datetime


def list_payments(conn: Connection, command_id: str) -> list[Payment]:
    """The command's paid sessions, oldest first."""
    columns = (
        payments.c.stripe_session_id, payments.c.stripe_payment_intent_id,
        payments.c.amount_minor, payments.c.currency, payments.c.method, payments.c.outcome,
        payments.c.refunded_minor, payments.c.disputed, payments.c.created_at,
    )  # fmt: skip
    query = select(*columns).where(payments.c.command_id == command_id)
    return [Payment(*row) for row in conn.execute(query.order_by(payments.c.created_at))]
