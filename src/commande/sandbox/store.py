"""Everything the stand-in remembers: plain rows by kind, in memory, kept in a file if asked.

The file is SQLite through the standard library: one connection, one transaction a request, written
before the request is answered. `synchronous=NORMAL` survives the death of the process at any
instant (the claim); only a power cut may lose the last requests.
"""

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson

Row = dict[str, Any]


class State:
    """Rows by kind and id, newest last. `put` after every change; `commit` ends a request."""

    def __init__(self) -> None:
        self.rows: defaultdict[str, dict[str, Row]] = defaultdict(dict)

    def put(self, kind: str, id_: str, row: Row) -> None:
        self.rows[kind][id_] = row

    def drop(self, kind: str, id_: str) -> None:
        self.rows[kind].pop(id_, None)

    def get(self, kind: str, id_: str) -> Row | None:
        return self.rows[kind].get(id_)

    def commit(self) -> None:
        """Nothing to do in memory."""

    def close(self) -> None:
        """Nothing to close in memory."""


class FileState(State):
    """The same, kept in a file."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError when the file cannot be used."""
        super().__init__()
        self._changed: dict[tuple[str, str], None] = {}
        try:
            self._open(path)
        except (sqlite3.Error, ValueError) as error:
            raise ValueError(f"{path} cannot keep the stand-in's state: {error}") from error

    def _open(self, path: Path) -> None:
        # The engine serves one request at a time, but not always on the thread that opened it.
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS kept (place INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
            " id TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (kind, id))"
        )
        for kind, id_, body in self._file.execute("SELECT kind, id, body FROM kept ORDER BY place"):
            self.rows[kind][id_] = orjson.loads(body)

    def put(self, kind: str, id_: str, row: Row) -> None:
        self.rows[kind][id_] = row
        self._changed[kind, id_] = None

    def drop(self, kind: str, id_: str) -> None:
        self.rows[kind].pop(id_, None)
        self._changed[kind, id_] = None

    def commit(self) -> None:
        """Write what this request changed, in one transaction."""
        if not self._changed:
            return
        kept, gone = [], []
        for kind, id_ in self._changed:
            row = self.rows[kind].get(id_)
            if row is None:
                gone.append((kind, id_))
            else:
                kept.append((kind, id_, orjson.dumps(row, default=bytes.decode)))
        self._file.execute("BEGIN IMMEDIATE")
        self._file.executemany(
            "INSERT INTO kept (kind, id, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            kept,
        )
        self._file.executemany("DELETE FROM kept WHERE kind = ? AND id = ?", gone)
        self._file.execute("COMMIT")
        self._changed.clear()

    def close(self) -> None:
        self._file.close()
