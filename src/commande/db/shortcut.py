"""The real statements, compiled once: what the database of a simulation runs.

SQLAlchemy's own preparation of every execution takes a third of a simulation's time. Here a
statement that is built once is compiled once, and goes straight to SQLite with the same SQL, the
same parameters and the same types; everything else takes the long way. A test holds the two against
each other.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sized
from typing import Any, Final, cast

from sqlalchemy import ClauseElement, Engine, Select
from sqlalchemy.engine import Dialect

from commande.db.connection import TransactionConnection
from commande.db.group import driver_of

_MANY: Final = 10_000


class Rows:
    """What was read, or how many rows were changed: the part of a ``Result`` that ``db`` uses."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows, self.rowcount = rows, rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> list[Any]:
        """Every row."""
        return self._rows

    def first(self) -> Any:
        """The first row, if any."""
        return self._rows[0] if self._rows else None

    def one(self) -> Any:
        """The only row. Raises ValueError."""
        (row,) = self._rows
        return row

    def scalars(self) -> list[Any]:
        """The first column."""
        return [row[0] for row in self._rows]

    def scalar(self) -> Any:
        """The first column of the first row, if any."""
        return self._rows[0][0] if self._rows else None

    def scalar_one(self) -> Any:
        """The first column of the only row. Raises ValueError."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """The first column of the only row, if any. Raises ValueError."""
        return self.scalar_one() if self._rows else None


class Plan:
    """One statement with one set of parameters, ready to run."""

    def __init__(self, statement: Any, names: tuple[str, ...], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(names))
        self._sql: str = compiled.string
        self._places: list[tuple[str | None, Any]] = []
        """A parameter's name and how its value is converted; or no name, and the value itself."""
        self._lists: dict[str, str] = {}
        """Parameters that are lists, and where each stands in the text."""
        for name in compiled.positiontup or ():
            bind = compiled.binds[name]
            convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if bind.expanding:
                self._lists[name] = f"__[POSTCOMPILE_{name}]"
            if name in names:
                self._places.append((name, convert))
            elif bind.expanding:
                self._write_list(name, bind.value)
            else:
                value = bind.effective_value
                self._places.append((None, convert(value) if convert else value))
        self._columns: list[tuple[int, Callable[[Any], Any]]] = []
        self._row: Callable[[Any], Any] = tuple
        if isinstance(statement, Select):
            self._read_columns(statement, dialect)

    def _write_list(self, name: str, values: list[Any]) -> None:
        """A list that is always the same becomes part of the text."""
        self._sql = self._sql.replace(self._lists.pop(name), _marks(values))
        self._places += [(None, value) for value in values]

    def _read_columns(self, statement: Select[Any], dialect: Dialect) -> None:
        columns = list(statement.selected_columns)
        for at, column in enumerate(columns):
            convert = column.type.dialect_impl(dialect).result_processor(dialect, None)
            if convert is not None:
                self._columns.append((at, convert))
        keys = [str(column.key) for column in columns]
        # A column that comes twice is read by its place alone, as a joined pair is.
        row: Any = cast("Any", namedtuple)("Row", keys, rename=True)  # noqa: PYI024 – made at run time
        self._row = row._make

    def run(self, driver: sqlite3.Connection, given: Mapping[str, Any]) -> Rows:
        """Run it once."""
        sql, bound = self._sql, []
        for name, value in self._places:
            if name is None:
                bound.append(value)
            elif name in self._lists:
                # Ids, all of them: texts that need no conversion.
                sql = sql.replace(self._lists[name], _marks(given[name]))
                bound += given[name]
            else:
                bound.append(value(given[name]) if value else given[name])
        cursor = driver.execute(sql, bound)
        if not cursor.description:
            return Rows([], cursor.rowcount)
        return Rows([self._made(row) for row in cursor.fetchall()], cursor.rowcount)

    def _made(self, row: tuple[Any, ...]) -> Any:
        if self._columns:
            cells = list(row)
            for at, convert in self._columns:
                cells[at] = convert(cells[at])
            return self._row(cells)
        return self._row(row)


def _marks(values: Sized) -> str:
    return ", ".join("?" * len(values)) if values else "SELECT NULL WHERE 0"


class ShortConnection(TransactionConnection):
    """A transaction's connection that remembers what it has compiled."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._driver = driver_of(self)
        # The statements are kept, so that no id comes twice.
        self._plans: dict[Any, tuple[ClauseElement, Plan | None]] = {}

    def execute(self, statement: Any, parameters: Any = None, **options: Any) -> Any:
        """See ``Connection``; what it raises is what the long way raises."""
        if options:
            return super().execute(statement, parameters, **options)
        many = parameters if isinstance(parameters, list) else [parameters or {}]
        plan = self._plan(statement, many[0]) if many else None
        if plan is None:
            return super().execute(statement, parameters)
        try:
            answers = [plan.run(self._driver, given) for given in many]
        except sqlite3.Error:
            return super().execute(statement, parameters)
        return answers[-1]

    def _plan(self, statement: ClauseElement, given: Mapping[str, Any]) -> Plan | None:
        """The plan of a statement that comes again; one built for a single use is not worth it."""
        key = (id(statement), *given)
        known = self._plans.get(key)
        if known is None:
            if len(self._plans) > _MANY:
                self._plans.clear()
            self._plans[key] = (statement, None)
            return None
        if known[1] is None:
            known = self._plans[key] = (statement, Plan(statement, tuple(given), self.dialect))
        return known[1]
