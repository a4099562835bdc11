"""The database itself refuses what must never be, whoever asks; without its guard it would not."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import IntegrityError

from commande.core.command import SETTLED, Status, may_move
from commande.db import Database, open_database
from commande.db.schema import create_all
from commande.db.tables import metadata
from tests.support.counter import every_kind_of_row
from tests.support.gates import Gate, somebody_in_line, until
from tests.support.guards import (
    ADD_CHILDLESS,
    CHECKED,
    INDEXED,
    NEW_COMMAND,
    REFERRING,
    REPLACED,
    TRIGGERED,
    TRUNCATED,
    UNIQUE,
    Forbidden,
    copy,
)
from tests.support.postgres import Postgres
from tests.support.schema import triggers_of

T = TypeVar("T")


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def filled_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database with every kind of row; each test takes back what it did."""
    if request.param == "sqlite":
        folder: Path = tmp_path_factory.mktemp("constraints")
        url = f"sqlite:///{folder / 'shop.sqlite'}"
        run(url, create_all, every_kind_of_row, add_childless)
        yield url
        return
    server: Postgres = request.getfixturevalue("postgres_server")
    with server.new_database() as url:
        run(url, create_all, every_kind_of_row, add_childless)
        yield url


def add_childless(conn: Connection) -> None:
    conn.execute(text(ADD_CHILDLESS))


def run(url: str, *works: Callable[[Connection], Any]) -> None:
    async def once() -> None:
        db = open_database(url)
        try:
            for work in works:
                await db.transaction(work)
        finally:
            await db.close()

    asyncio.run(once())


class TakenBack(Exception):
    """Everything worked, and shall leave no trace."""


def try_out(url: str, *statements: str) -> int:
    """Run statements in a transaction that is taken back; how many rows the last one changed."""
    changed = []

    def work(conn: Connection) -> None:
        changed[:] = [conn.execute(text(statement)).rowcount for statement in statements]
        raise TakenBack

    with pytest.raises(TakenBack):
        run(url, work)
    return changed[-1]


def is_refused_by_its_guard_alone(url: str, forbidden: Forbidden, lift: Callable[..., Any]) -> None:
    with pytest.raises(IntegrityError):
        try_out(url, forbidden.sql)
    if "foreign keys" in forbidden.guards:
        # The foreign keys of other rows refuse it too: the trigger alone must be enough.
        with pytest.raises(IntegrityError):
            try_out(url, *without_foreign_keys(url), forbidden.sql)
    lifted = lift(url, forbidden)
    assert lifted, "no way to lift the guard"
    assert try_out(url, *lifted, forbidden.sql) != 0


def lift_triggers(url: str, forbidden: Forbidden) -> list[str]:
    lifted = [drop_trigger(url, name) for name in forbidden.guards if name != "foreign keys"]
    foreign = without_foreign_keys(url) if "foreign keys" in forbidden.guards else []
    return lifted + foreign


def drop_trigger(url: str, name: str) -> str:
    if url.startswith("sqlite"):
        return f"DROP TRIGGER {name}"
    every = (TRIGGERED | TRUNCATED).values()
    table = next(f.table for f in every if f.guards[0] == name)
    return f"DROP TRIGGER {name} ON {table}"


def without_foreign_keys(url: str) -> list[str]:
    if url.startswith("sqlite"):
        return ["PRAGMA defer_foreign_keys = ON"]
    keys = [f"ALTER TABLE {f.table} DROP CONSTRAINT {f.guards[0]}" for f in REFERRING.values()]
    return list(dict.fromkeys(keys))


def lift_check(url: str, forbidden: Forbidden) -> list[str]:
    if url.startswith("sqlite"):
        return ["PRAGMA ignore_check_constraints = ON"]
    return lift_constraint(url, forbidden)


def lift_index(_url: str, forbidden: Forbidden) -> list[str]:
    return [f"DROP INDEX {forbidden.guards[0]}"]


def lift_constraint(_url: str, forbidden: Forbidden) -> list[str]:
    return [f"ALTER TABLE {forbidden.table} DROP CONSTRAINT {forbidden.guards[0]} CASCADE"]


def lift_foreign_key(url: str, forbidden: Forbidden) -> list[str]:
    if url.startswith("sqlite"):
        return ["PRAGMA defer_foreign_keys = ON"]
    return lift_constraint(url, forbidden)


@pytest.mark.parametrize("rule", TRIGGERED)
def test_the_trigger_refuses(filled_url: str, rule: str) -> None:
    is_refused_by_its_guard_alone(filled_url, TRIGGERED[rule], lift_triggers)


@pytest.mark.parametrize("rule", CHECKED)
def test_the_check_refuses(filled_url: str, rule: str) -> None:
    is_refused_by_its_guard_alone(filled_url, CHECKED[rule], lift_check)


@pytest.mark.parametrize("rule", INDEXED)
def test_the_partial_index_refuses_a_second(filled_url: str, rule: str) -> None:
    is_refused_by_its_guard_alone(filled_url, INDEXED[rule], lift_index)


@pytest.mark.parametrize("rule", REFERRING)
def test_the_foreign_key_refuses(filled_url: str, rule: str) -> None:
    is_refused_by_its_guard_alone(filled_url, REFERRING[rule], lift_foreign_key)


@pytest.mark.parametrize("rule", UNIQUE)
def test_the_key_refuses_a_second(filled_url: str, rule: str) -> None:
    if filled_url.startswith("sqlite"):
        # SQLite cannot drop the constraint of a table: that it is this one is read off its words.
        columns = named_columns(UNIQUE[rule].guards[0], UNIQUE[rule].table)
        with pytest.raises(IntegrityError, match=columns):
            try_out(filled_url, UNIQUE[rule].sql)
    else:
        is_refused_by_its_guard_alone(filled_url, UNIQUE[rule], lift_constraint)


def named_columns(guard: str, table: str) -> str:
    """How SQLite names the columns of a unique key."""
    found = metadata.tables[table]
    if guard.startswith("pk_"):
        return ", ".join(rf"{table}\.{column.name}" for column in found.primary_key.columns)
    names = guard.removeprefix(f"uq_{table}_")
    columns = ["command_id", "number"] if names == "command_id_number" else [names]
    return ", ".join(rf"{table}\.{column}" for column in columns)


@pytest.mark.parametrize("rule", TRUNCATED)
def test_postgresql_empties_no_table_at_once(
    filled_url: str, rule: str, request: pytest.FixtureRequest
) -> None:
    if filled_url.startswith("sqlite"):
        with pytest.raises(IntegrityError):
            try_out(filled_url, f"DELETE FROM {TRUNCATED[rule].table}")
    else:
        is_refused_by_its_guard_alone(filled_url, TRUNCATED[rule], lift_triggers)


@pytest.mark.parametrize("rule", REPLACED)
def test_sqlite_replaces_no_row_that_stays(filled_url: str, rule: str) -> None:
    if filled_url.startswith("sqlite"):
        is_refused_by_its_guard_alone(filled_url, REPLACED[rule], lift_triggers)
    else:
        upsert = REPLACED[rule].sql.replace("INSERT OR REPLACE", "INSERT")
        with pytest.raises(IntegrityError):
            try_out(filled_url, upsert)


def test_every_guard_of_the_database_has_its_test(filled_url: str) -> None:
    sqlite = filled_url.startswith("sqlite")
    everything = [TRIGGERED, CHECKED, REFERRING, UNIQUE, INDEXED, {} if sqlite else TRUNCATED]
    tried = {forbidden.guards[0] for kind in everything for forbidden in kind.values()}
    found: set[str] = set()

    def work(conn: Connection) -> None:
        functions = {"refuse", "refuse_if_live", "refuse_beyond_payment"}
        found.update(triggers_of(conn).keys() - functions)
        look = inspect(conn)
        for table in set(look.get_table_names()) - {"alembic_version"}:
            found.update(c["name"] for c in look.get_check_constraints(table))
            found.update(c["name"] for c in look.get_foreign_keys(table))
            found.update(c["name"] for c in look.get_unique_constraints(table))
            found.update(i["name"] for i in look.get_indexes(table) if i["unique"])
            found.add(look.get_pk_constraint(table)["name"])

    run(filled_url, work)
    assert found - {None} == tried


# What stays allowed.

ALLOWED = {
    "terms_while_the_session_is_made": (
        "UPDATE attempts SET quote = '{}', amount_minor = 5, parameters = '{\"a\": 1}'"
        " WHERE state = 'creating'"
    ),
    "parameters_are_erased": "UPDATE attempts SET parameters = '{}' WHERE state <> 'creating'",
    "a_paid_customer_is_erased_one_day": (
        "UPDATE commands SET customer = NULL, note = NULL, erased_at = updated_at"
        " WHERE paid_at IS NOT NULL"
    ),
    "a_refund_moves_the_status": (
        "UPDATE commands SET status = 'refunded', refunded_minor = 3899 WHERE paid_at IS NOT NULL"
    ),
    "refunds_up_to_the_last_cent": copy(
        "refunds", key="'new'", stripe_refund_id="NULL", amount_minor="3799"
    ),
    "a_failed_refund_counts_nothing": copy(
        "refunds", key="'new'", stripe_refund_id="NULL", amount_minor="3899", state="'failed'"
    ),
    "a_payment_learns_its_charge": (
        "UPDATE payments SET stripe_charge_id = 'ch_1', refunded_minor = 100, disputed = TRUE"
    ),
    "another_default_price": "UPDATE prices SET is_default = TRUE WHERE type = 'half'",
    "a_product_leaves_with_its_prices": "DELETE FROM products",
}


@pytest.mark.parametrize("write", ALLOWED)
def test_an_honest_write_is_not_refused(filled_url: str, write: str) -> None:
    before = "DELETE FROM prices WHERE FALSE"
    if write == "another_default_price":
        before = "UPDATE prices SET is_default = FALSE"
    assert try_out(filled_url, before, ALLOWED[write]) > 0


def test_a_repeated_refund_that_is_passed_over_is_not_counted_twice(filled_url: str) -> None:
    most = "UPDATE refunds SET amount_minor = 3899"
    again = copy("refunds") + " ON CONFLICT DO NOTHING"
    assert try_out(filled_url, most, again) == 0


# The transition table, its full product.


async def test_i05_a_status_moves_exactly_along_the_transition_table(shop_db: Database) -> None:
    await shop_db.transaction(every_kind_of_row)
    for old, new in product(Status, Status):
        moved = await tried_move(shop_db, old, new)
        assert moved is (may_move(old, new) or old is new), f"{old} → {new}"


async def test_without_the_trigger_a_status_moves_anywhere(own_shop_db: Database) -> None:
    await own_shop_db.transaction(every_kind_of_row)
    drop = drop_trigger(own_shop_db.dialect, "commands_status_moves")
    await own_shop_db.transaction(lambda conn: conn.execute(text(drop)).close())
    wrong = [
        (old, new)
        for old, new in product(Status, Status)
        if await tried_move(own_shop_db, old, new) is not (may_move(old, new) or old is new)
    ]
    assert (Status.EXPIRED, Status.UNPAID) in wrong
    assert (Status.PROCESSING, Status.EXPIRING) in wrong


async def tried_move(db: Database, old: Status, new: Status) -> bool:
    """Whether a command of one status takes the other, with all that belongs to it."""
    given = NEW_COMMAND | {"status": f"'{old}'"}
    if old in SETTLED:
        given |= {"paid_session_id": "'cs_new'", "paid_at": "created_at", "snapshot": "'{}'"}
    paid = ", paid_session_id = 'cs_new', paid_at = created_at, snapshot = '{}'"
    also = paid if new in SETTLED and old not in SETTLED else ""
    move = f"UPDATE commands SET status = '{new}'{also} WHERE id = 'new'"

    def work(conn: Connection) -> None:
        conn.execute(text(copy("commands", "paid_at IS NULL", **given)))
        assert conn.execute(text(move)).rowcount == 1
        raise TakenBack

    try:
        await db.transaction(work)
    except TakenBack:
        return True
    except IntegrityError:
        return False
    raise AssertionError("unreachable")


# Two refunds at once.


async def two_refunds_at_once(db: Database) -> int:
    """How many of two refunds, together more than the payment, were taken."""
    gate = Gate()

    def refund(conn: Connection, key: str) -> None:
        one = {"key": f"'{key}'", "stripe_refund_id": "NULL", "amount_minor": "2000"}
        conn.execute(text(copy("refunds", **one)))
        gate.stop(conn)

    async def met() -> bool:
        """Both were taken and neither is committed, or the second waits for the first."""
        return gate.came == 2 or (gate.came == 1 and await somebody_in_line(db))

    both = [asyncio.ensure_future(db.transaction(refund, key)) for key in ("one", "two")]
    await until(met, "two refunds to meet")
    gate.open()
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert all(answer is None or isinstance(answer, IntegrityError) for answer in answers)
    return answers.count(None)


async def test_s15_c34_of_two_refunds_at_once_only_what_was_paid_goes_back(
    shop_db: Database,
) -> None:
    await shop_db.transaction(every_kind_of_row)
    assert await two_refunds_at_once(shop_db) == 1


async def test_without_its_lock_the_trigger_would_let_both_pass(postgres_url: str) -> None:
    db = open_database(postgres_url)

    def unlock(conn: Connection) -> None:
        whole = triggers_of(conn)["refuse_beyond_payment"]
        assert "FOR NO KEY UPDATE" in whole
        conn.execute(text(whole.replace("FOR NO KEY UPDATE", "")))

    try:
        await db.transaction(create_all)
        await db.transaction(every_kind_of_row)
        await db.transaction(unlock)
        assert await two_refunds_at_once(db) == 2
    finally:
        await db.close()
