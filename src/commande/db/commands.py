"""Commands as rows: read, listed, counted, moved along the transition table, erased."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, String, bindparam, cast, func, or_, select, update

from commande.core.command import Status, may_move
from commande.core.document import Command
from commande.db.sql import NothingChanged, change_one, insert_once
from commande.db.tables import attempts, commands, payments

_NAMES: Final = tuple(field.name for field in fields(Command))
COLUMNS: Final = tuple(commands.c[name] for name in _NAMES)
"""What ``read_command`` reads, in its order."""
_STATUS: Final = _NAMES.index("status")


def read_command(row: Sequence[Any]) -> Command:
    """A row that holds ``COLUMNS`` as a Command."""
    values = list(row)
    values[_STATUS] = Status(values[_STATUS])
    return Command(*values)


# Built once, with bound parameters: building one costs several times as much as running it.
_BY_ID: Final = select(*COLUMNS).where(commands.c.id == bindparam("command"))
_LOCKED: Final = _BY_ID.with_for_update()
_CHANGE: Final = update(commands).where(
    commands.c.id == bindparam("command"), commands.c.status == bindparam("was")
)
_FIRST_PAID: Final = _CHANGE.where(commands.c.paid_at.is_(None))
_ERASE: Final = _CHANGE.values(status=Status.EXPIRED, customer=None, note=None)
# The frozen parameters carry the e-mail address; a closed attempt never needs them again.
_ERASE_ATTEMPTS: Final = (
    update(attempts)
    .where(attempts.c.command_id == bindparam("command"))
    .values(parameters={}, url=None)
)


def insert_command(conn: Connection, command: Command, refs: Iterable[str]) -> Command:
    """Store a new command under the first of the references that no other command has."""
    row = {name: getattr(command, name) for name in _NAMES}
    ref = next(ref for ref in refs if insert_once(conn, commands, row | {"ref": ref}))
    return replace(command, ref=ref)


def find_command(conn: Connection, command_id: str) -> Command | None:
    """The command with that id."""
    row = conn.execute(_BY_ID, {"command": command_id}).first()
    return read_command(row) if row else None


def find_by_ref(conn: Connection, ref: str) -> Command | None:
    """The command with that reference (with or without its ``#``)."""
    wanted = "#" + ref.removeprefix("#").upper()
    row = conn.execute(select(*COLUMNS).where(commands.c.ref == wanted)).first()
    return read_command(row) if row else None


def lock_command(conn: Connection, command_id: str) -> Command | None:
    """The command, locked until the transaction ends. Always before its attempts."""
    row = conn.execute(_LOCKED, {"command": command_id}).first()
    return read_command(row) if row else None


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
    bound = {"command": command.id, "was": Status.EXPIRING}
    change_one(conn, _ERASE, bound | {"erased_at": now, "updated_at": now})
    conn.execute(_ERASE_ATTEMPTS, {"command": command.id})


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
    query = _filtered(select(*COLUMNS, newest.label("total_minor")), state, search)
    query = query.order_by(commands.c.created_at.desc(), commands.c.id.desc())
    return [_listed(row) for row in conn.execute(query.limit(limit).offset(offset))]


def _listed(row: Any) -> Listed:
    *values, total = row
    command = read_command(values)
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
