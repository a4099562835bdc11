"""The schema as a whole: how it comes to a database, and whether it is there.

Forward only: an older program goes on with a newer schema (expand, then contract in a later
release), and whoever must go back restores the backup.
"""

import threading
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
)

from commande.db.engine import read_lasting_address
from commande.db.tables import metadata
from commande.db.triggers import create_triggers

MIGRATIONS: Final = Path(__file__).parent / "migrations"
VERSIONS: Final = MIGRATIONS / "versions"

Log = Callable[[str], None]

# Where Alembic notes the revision of a database, as Alembic makes it.
_VERSION: Final = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
# Alembic's ``op`` stands for one connection of the whole process.
_ONE_AT_A_TIME: Final = threading.Lock()


def migrate(
    url: str,
    *,
    to: str = "head",
    log: Log | None = None,
    versions: Iterable[Path] = (VERSIONS,),
) -> list[str]:
    """Bring a database to a revision: all the missing ones in one transaction, or none.

    Answers the revisions applied, none on a repeat; ``log`` hears of each. Of two processes at
    once one waits for the other. Raises ``SettingInvalid`` when the database cannot be used as
    it is configured, ``DatabaseBusy`` when a repeat makes sense, ``ValueError`` for an unknown
    ``to``.
    """
    folders = tuple(versions)

    def upgrade(conn: Connection) -> list[str]:
        return _upgrade(conn, to, folders, log or _nobody)

    dialect, address = read_lasting_address(url)
    with _ONE_AT_A_TIME:
        if dialect == "sqlite":
            from commande.db.schema_sqlite import change_schema

            return change_schema(address, upgrade)
        # Imported here: an embedded shop does without asyncpg.
        from commande.db.schema_postgres import change_schema as change_schema_there

        return change_schema_there(address, upgrade)


def pending_migrations(conn: Connection) -> list[str]:
    """Tell the revisions that the database still lacks, oldest first.

    None when it is newer than this program: an older one goes on with it.
    """
    return _missing(read_chain((VERSIONS,)), _revision(conn), "head")


def create_all(conn: Connection) -> None:
    """Make everything on an empty database at once, as all the revisions together would."""
    metadata.create_all(conn, checkfirst=False)
    create_triggers(conn)
    _VERSION.create(conn)
    conn.execute(insert(_VERSION).values(version_num=read_chain((VERSIONS,))[-1]))


@cache
def read_chain(folders: tuple[Path, ...]) -> tuple[str, ...]:
    """Read the revisions in those folders, oldest first."""
    return tuple(step.revision for step in _scripts(folders).walk_revisions())[::-1]


def _scripts(folders: tuple[Path, ...]) -> Any:
    # Imported late: a server that is up to date asks only once.
    from alembic.script import ScriptDirectory

    return ScriptDirectory(MIGRATIONS, version_locations=folders)


def _revision(conn: Connection) -> str | None:
    """Where the database stands. Looks for the table first: PostgreSQL forgives no error."""
    if not inspect(conn).has_table(_VERSION.name):
        return None
    return conn.execute(select(_VERSION.c.version_num)).scalar_one_or_none()


def _missing(chain: tuple[str, ...], revision: str | None, to: str) -> list[str]:
    if to != "head" and to not in chain:
        raise ValueError(f"There is no revision {to}.")
    if revision is not None and revision not in chain:
        return []
    done = chain.index(revision) + 1 if revision else 0
    wanted = len(chain) if to == "head" else chain.index(to) + 1
    return list(chain[done:wanted])


def _upgrade(conn: Connection, to: str, folders: tuple[Path, ...], log: Log) -> list[str]:
    """Run the missing revisions in the transaction that the caller began."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    chain = read_chain(folders)
    revision = _revision(conn)
    missing = _missing(chain, revision, to)
    if revision is not None and revision not in chain:
        log(f"The database is at {revision}, newer than this program: nothing to do.")
    if not missing:
        return []
    scripts = _scripts(folders)

    def steps(heads: Any, _context: MigrationContext) -> Any:
        return scripts._upgrade_revs(missing[-1], heads)

    def tell(*, step: Any, **_rest: object) -> None:
        log(f"{step.up_revision_id}: {step.up_revision.doc}")

    context = MigrationContext.configure(conn, opts={"fn": steps, "on_version_apply": (tell,)})
    with Operations.context(context):
        context.run_migrations()
    return missing


def _nobody(_line: str) -> None:
    """Nobody listens."""
