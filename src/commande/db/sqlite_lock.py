"""Whose turn it is to write, among several processes on one SQLite file."""

import os
import time
from types import TracebackType

try:
    import fcntl
except ImportError:  # Windows: SQLite's own lock must do there, with its unfair waiting
    fcntl = None  # type: ignore[assignment]

PATIENCE_S = 3.0
# Short beside a group's few milliseconds, long beside the cost of looking (about 5 µs).
PAUSE_S = 0.0002


class WriteTurn:
    """An flock beside the database, held around each write transaction.

    SQLite's own lock keeps the data right; this one keeps waiting short, since SQLite sleeps
    ever longer between its tries and starves (p99 of two processes: 109 → 11 ms). It is looked
    at rather than waited for, so that a process that was stopped in its turn cannot hang the
    others: after ``PATIENCE_S`` SQLite decides, and its own time-out makes a ``DatabaseBusy``.
    """

    def __init__(self, database: str) -> None:
        self._file = os.open(f"{database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        if fcntl is None:
            return
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(PAUSE_S)
            else:
                return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if fcntl is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file; in a forked child this leaves the parent's lock alone."""
        os.close(self._file)
