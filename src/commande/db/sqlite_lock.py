"""Whose turn it is to write, among several processes on one SQLite file."""

import os
import time
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows: SQLite's own lock must do, with its unfair waiting
    fcntl = None  # type: ignore[assignment]

PATIENCE_S = 5.0
PAUSE_S = 0.0002


class WriteTurn:
    """An flock beside the database, held around each write transaction.

    SQLite's own lock keeps the data right; this one keeps waiting short, since SQLite's sleeps
    ever longer between tries and starves. Two files make it fair: whoever waits holds the
    second one, so a process that has just written cannot step in front. It is never waited for
    longer than ``PATIENCE_S``: after that SQLite decides.
    """

    def __init__(self, database: str) -> None:
        self._next, self._writer = (
            os.open(f"{database}.{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            for name in ("next", "lock")
        )

    def __enter__(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        if _take(self._next, deadline):
            _take(self._writer, deadline)
            _leave(self._next)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _leave(self._writer)

    def close(self) -> None:
        """Let go of both files; in a forked child this leaves the parent's lock alone."""
        os.close(self._next)
        os.close(self._writer)


def _take(file: int, deadline: float) -> bool:
    if fcntl is None:
        return True
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE_S)
        else:
            return True


def _leave(file: int) -> None:
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_UN)
