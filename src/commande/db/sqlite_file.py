"""How a SQLite database is opened and read."""

import sqlite3
from collections.abc import Callable
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from commande.db.connection import (
    TransactionConnection,
    name_of,
    run_plainly,
    to_json,
    watch_errors,
    wrong_address,
)
from commande.db.group import Call, driver_of, for_the_caller, primary_code
from commande.db.sqlite_lock import WriteTurn
from commande.errors import DatabaseBusy

# The file lock has made the processes take turns already; this is for a backup or a shell.
BUSY_MS = 2000
# All the statements of a shop, prepared once per connection.
CACHED_STATEMENTS = 512
WRITER_CACHE_KIB = 32 * 1024
READER_CACHE_KIB = 8 * 1024
# What the log may keep after a checkpoint: an import should not cost its size for ever.
LOG_LIMIT_BYTES = 64 * 1024 * 1024


def sqlite_engine(path: str | None) -> Engine:
    """Make the engine whose connections are opened below, each by the thread that uses it."""
    # From 3.12 on the driver's autocommit has its own switch, whose default will change.
    switch: dict[str, Any] = (
        {"autocommit": True} if hasattr(sqlite3, "LEGACY_TRANSACTION_CONTROL") else {}
    )

    def connect() -> sqlite3.Connection:
        opened: sqlite3.Connection = sqlite3.connect(
            path or ":memory:",
            timeout=BUSY_MS / 1000,
            isolation_level=None,
            cached_statements=CACHED_STATEMENTS,
            **switch,
        )
        return opened

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=NullPool,
        json_serializer=to_json,
        json_deserializer=orjson.loads,
        hide_parameters=True,
    )
    watch_errors(engine)
    return engine


def open_writer(engine: Engine, path: str | None) -> TransactionConnection:
    """Open the one connection that writes. Raises ``SettingInvalid``, ``DatabaseBusy``."""
    connection = _open(engine)
    if path is None:
        return prepare_in_memory(connection)
    # FULL: NORMAL loses acknowledged commits when the power goes. fullfsync: macOS alone needs
    # to be told that fsync means the disk.
    _pragmas(
        connection,
        "journal_mode = WAL",
        "synchronous = FULL",
        "fullfsync = ON",
        "checkpoint_fullfsync = ON",
        "foreign_keys = ON",
        # REPLACE deletes: only then do the triggers that refuse it hear of it.
        "recursive_triggers = ON",
        "temp_store = MEMORY",
        f"cache_size = -{WRITER_CACHE_KIB}",
        f"journal_size_limit = {LOG_LIMIT_BYTES}",
    )
    return connection


def prepare_in_memory(connection: TransactionConnection) -> TransactionConnection:
    """A connection to a database of its own that no file keeps."""
    _pragmas(connection, "foreign_keys = ON", "recursive_triggers = ON")
    return connection


def open_reader(engine: Engine) -> TransactionConnection:
    """Open a connection that cannot write. Raises ``SettingInvalid``, ``DatabaseBusy``."""
    connection = _open(engine)
    _pragmas(
        connection,
        "query_only = ON",
        "temp_store = MEMORY",
        f"cache_size = -{READER_CACHE_KIB}",
    )
    return connection


def open_turn(path: str) -> WriteTurn:
    """Open the lock files beside the database. Raises ``SettingInvalid``."""
    try:
        return WriteTurn(path)
    except OSError as error:
        raise wrong_address(f"the folder cannot be written to ({error.strerror}).") from error


class SnapshotReader:
    """Runs reading functions on one connection, each on one snapshot."""

    def __init__(self, connection: TransactionConnection) -> None:
        self._connection = connection
        Connection.begin(connection)
        self._cursor = driver_of(connection).cursor()

    def run(self, call: Call) -> None:
        """Settle the call; the next one sees what was committed meanwhile."""
        try:
            self._cursor.execute("BEGIN")
            try:
                call.value = _run_reading(call.fn, self._connection, *call.args, **call.kwargs)
            finally:
                self._cursor.execute("ROLLBACK")
        except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is
            call.error = for_the_caller(error)
        call.settled = True

    def close(self) -> None:
        """Close the connection."""
        Connection.close(self._connection)


def read_in_memory(
    connection: Connection, fn: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Run a reading function on the only connection there is; writing in it raises."""
    connection.exec_driver_sql("PRAGMA query_only = ON")
    try:
        return _run_reading(fn, connection, *args, **kwargs)
    finally:
        connection.exec_driver_sql("PRAGMA query_only = OFF")


def _run_reading(fn: Callable[..., Any], connection: Connection, *args: Any, **kwargs: Any) -> Any:
    try:
        return run_plainly(fn, connection, *args, **kwargs)
    except DBAPIError as error:
        if primary_code(error.orig) == sqlite3.SQLITE_READONLY:
            raise InvalidRequestError(f"{name_of(fn)} writes inside a read.") from error
        raise


def _open(engine: Engine) -> TransactionConnection:
    try:
        return TransactionConnection(engine)
    except DBAPIError as error:
        raise wrong_address("SQLite cannot open the file.") from error


def _pragmas(connection: TransactionConnection, *settings: str) -> None:
    raw = driver_of(connection)
    try:
        for setting in settings:
            answer = raw.execute(f"PRAGMA {setting}").fetchone()
            if setting.startswith("journal_mode") and answer != ("wal",):
                raise wrong_address("the file system cannot hold a write-ahead log.")
    except sqlite3.Error as error:
        Connection.close(connection)
        if primary_code(error) == sqlite3.SQLITE_BUSY:
            raise DatabaseBusy("The database is locked by another program.") from error
        raise wrong_address(f"SQLite cannot use the file ({error}).") from error
