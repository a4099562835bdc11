"""The one door to the database: transactions and reads, whichever database it is.

A transaction is a plain function whose first argument is a Core connection. It may run several
times, so it has no effect outside SQL; ``commit()`` inside is refused.
"""

from typing import Protocol

from commande.db.connection import P, R, TransactionFunction, wrong_address


class Database(Protocol):
    """What ``Shop.db`` is; see ``SQLiteDatabase``, ``PostgresDatabase`` and ``InlineDatabase``."""

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""

    async def transaction(
        self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run the function in a transaction and answer once it is durable.

        Raises what the function raises (nothing of it is written then), ``DatabaseBusy`` when
        nothing was written and a repeat makes sense, ``OutcomeUnknown`` when only re-reading
        tells whether it was.
        """

    async def read(self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function on one snapshot; writing in it raises. Raises ``DatabaseBusy``."""

    async def close(self) -> None:
        """Let what is under way finish, then close every connection. May be repeated."""


def open_database(url: str, *, application: str = "commande") -> Database:
    """Make a database from its URL; nothing is opened before the first use.

    ``sqlite:////absolute``, ``sqlite:///relative``, ``sqlite://`` (in memory, private), or
    ``postgresql://`` as libpq writes it, with several hosts and ``target_session_attrs``.
    Raises ``SettingInvalid`` for anything else.
    """
    dialect, address = read_address(url)
    if dialect == "sqlite":
        from commande.db.sqlite import SQLiteDatabase

        return SQLiteDatabase(address or None)
    # Imported here: an embedded shop does without asyncpg.
    from commande.db.postgres import PostgresDatabase

    return PostgresDatabase(address, application=application)


def read_address(url: str) -> tuple[str, str]:
    """Tell the dialect, and the file's path (empty: in memory) or the server's address.

    Raises ``SettingInvalid``.
    """
    scheme, separator, rest = url.strip().partition("://")
    if separator and scheme == "sqlite":
        return "sqlite", _path(rest)
    if separator and scheme in ("postgres", "postgresql", "postgresql+asyncpg"):
        return "postgresql", f"postgresql://{rest}"
    raise wrong_address("it names no database that we know.")


def read_lasting_address(url: str) -> tuple[str, str]:
    """The same of a database that outlives its process. Raises ``SettingInvalid``."""
    dialect, address = read_address(url)
    if not address:
        raise wrong_address("a database in memory is gone before it can be used.")
    return dialect, address


def _path(rest: str) -> str:
    if rest in ("", "/", "/:memory:"):
        return ""
    if not rest.startswith("/"):
        raise wrong_address("a SQLite address has no host.")
    if "?" in rest or "#" in rest:
        raise wrong_address("a SQLite address has no parameters.")
    return rest[1:]
