"""Changing the schema of a SQLite file."""

import sqlite3
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from commande.db.connection import TransactionConnection, TransactionFunction, wrong_address
from commande.db.group import driver_of, for_the_caller, primary_code
from commande.db.sqlite_file import open_turn, open_writer, sqlite_engine
from commande.errors import DatabaseBusy, SettingInvalid

R = TypeVar("R")

# Another process may be migrating: longer than that takes on a shop's file.
PATIENCE_MS: Final = 60_000


def change_schema(
    path: str, change: TransactionFunction[[], R], *, patience_ms: int = PATIENCE_MS
) -> R:
    """Run the change alone and in one transaction. Makes the file, but not its folder.

    Raises ``SettingInvalid`` and ``DatabaseBusy``.
    """
    if not Path(path).absolute().parent.is_dir():
        raise SettingInvalid(
            "COMMANDE_DATABASE_URL",
            "the folder of the SQLite file does not exist.",
            "Create it, or correct the path.",
        )
    turn = open_turn(path)
    try:
        with turn:
            connection = open_writer(sqlite_engine(path), path)
            try:
                return _changed(connection, change, patience_ms)
            except (sqlite3.Error, DBAPIError) as error:
                raise _failure(error) from error
            finally:
                # Rolls back what was not committed.
                Connection.close(connection)
    finally:
        turn.close()


def _changed(
    connection: TransactionConnection, change: TransactionFunction[[], R], patience_ms: int
) -> R:
    raw = driver_of(connection)
    raw.execute(f"PRAGMA busy_timeout = {patience_ms}")
    # A table is rebuilt by dropping the old one: its rows' children must not follow them.
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute("BEGIN IMMEDIATE")
    Connection.begin(connection)
    value = change(connection)
    orphan = raw.execute("PRAGMA foreign_key_check").fetchone()
    if orphan is not None:
        raise RuntimeError(f"A revision leaves rows of {orphan[0]} without their {orphan[2]}.")
    raw.execute("COMMIT")
    return value


def _failure(error: Exception) -> BaseException:
    code = primary_code(error.orig if isinstance(error, DBAPIError) else error)
    if code == sqlite3.SQLITE_READONLY:
        return wrong_address("the file cannot be written to.")
    if code == sqlite3.SQLITE_BUSY:
        return DatabaseBusy("The database is locked by another program.")
    return for_the_caller(error)
