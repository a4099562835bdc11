"""A few bytes that a process and whoever kills it both see: orders to die, and how far it came."""

import mmap
import os
import signal
import struct
import threading
import time
from pathlib import Path
from typing import Final

POINTS: Final = (
    "starting",
    "idle",
    "request",
    "statement",
    "commit",
    "committed",
    "asked",
    "answered",
    "answering",
)
"""Starting; a request arrived; a statement is about to run; the function is done and COMMIT comes;
it is durable; Stripe was asked; Stripe answered; an HTTP answer is about to leave."""
SIZE: Final = 64
_ARMED, _COUNT, _DELAY, _LAST, _READY = 0, 8, 16, 24, 32


class Board:
    """One process's slot in a file that is mapped into both."""

    def __init__(self, path: Path, slot: int) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._at = slot * SIZE

    def arm(self, point: str, count: int, delay: float) -> None:
        """Let the process kill itself so many seconds after it has come there so many times."""
        self._put("q", _COUNT, count)
        self._put("d", _DELAY, delay)
        self._map[self._at + _ARMED] = POINTS.index(point)

    def clear(self) -> None:
        """Make the slot ready for a new process."""
        self._map[self._at : self._at + SIZE] = bytes(SIZE)

    @property
    def last(self) -> str:
        """The point that the process passed last."""
        return POINTS[self._map[self._at + _LAST]]

    @property
    def ready_at(self) -> float:
        """When it was ready, by the machine's monotonic clock; 0 while it is not."""
        return float(struct.unpack_from("d", self._map, self._at + _READY)[0])

    def ready(self) -> None:
        """The process works from now on."""
        self._put("d", _READY, time.monotonic())
        self.reach("idle")

    def reach(self, point: str) -> None:
        """The process comes to a point, and perhaps no further."""
        number = POINTS.index(point)
        self._map[self._at + _LAST] = number
        if self._map[self._at + _ARMED] != number:
            return
        left = struct.unpack_from("q", self._map, self._at + _COUNT)[0] - 1
        self._put("q", _COUNT, left)
        if left <= 0:
            self._map[self._at + _ARMED] = 0
            delay = struct.unpack_from("d", self._map, self._at + _DELAY)[0]
            if delay:
                threading.Timer(delay, _die).start()
            else:
                _die()

    def _put(self, form: str, offset: int, value: float) -> None:
        struct.pack_into(form, self._map, self._at + offset, value)


class Moment:
    """A number of seconds that one process sets and others read at any time."""

    def __init__(self, path: Path) -> None:
        """The file is made when it is not there, with 0 in it."""
        if not path.exists():
            path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    @property
    def seconds(self) -> float:
        """What was set last."""
        return float(struct.unpack("d", self._map[:8])[0])

    @seconds.setter
    def seconds(self, value: float) -> None:
        self._map[:8] = struct.pack("d", value)


def new_board(path: Path, slots: int) -> list[Board]:
    """A file with so many slots."""
    path.write_bytes(bytes(SIZE * slots))
    return [Board(path, slot) for slot in range(slots)]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
