"""A disk that forgets: what can lie on it after the power went, under SQLite's own assumptions.

What was synced is there. Every sector written since the last sync of its file, each on its own, is
there, is not, holds an earlier of its writes, or is damaged; so is every change of a file's size.
Bytes that were not written are not harmed ("powersafe overwrite", SQLite's default and that of
every disk sold in years: https://www.sqlite.org/psow.html). What sync promised, holds: a disk that
lies about fsync cannot be helped by any database.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from proof.recorder import Acknowledged, Delete, Event, Sync, Truncate, Write

SECTOR: Final = 512
Change = Write | Truncate | Delete
Keep = Callable[[Random], str]
Image = dict[str, bytes | bytearray]
"""Files by name."""


def _dice(kept: float, damaged: float) -> Keep:
    def roll(rng: Random) -> str:
        number = rng.random()
        if number < damaged:
            return "damaged"
        return "kept" if number < damaged + kept else "lost"

    return roll


# How the disk's cache was emptied when the power went: chosen once an image.
MANNERS: Final[dict[str, Keep]] = {
    "nothing kept": _dice(0, 0),
    "everything kept": _dice(1, 0),
    "half kept": _dice(0.5, 0),
    "few kept": _dice(0.1, 0),
    "most kept": _dice(0.9, 0),
    "half kept, some damaged": _dice(0.5, 0.05),
    "most kept, few damaged": _dice(0.95, 0.02),
}


class Disk:
    """Follows a recording, event by event, and shows what a cut at this moment could leave."""

    def __init__(self, files: Image) -> None:
        """``files`` are durable already."""
        self._durable = {name: bytearray(content) for name, content in files.items()}
        self._pending: dict[str, list[Change]] = {}

    def follow(self, event: Event) -> None:
        """The event has happened."""
        if isinstance(event, Write | Truncate | Delete):
            self._pending.setdefault(event.file, []).append(event)
        elif isinstance(event, Sync):
            content = self._durable.setdefault(event.file, bytearray())
            for change in self._pending.pop(event.file, []):
                assert not isinstance(change, Delete), "a file came back: not played here"
                _apply(content, change)
        else:
            assert isinstance(event, Acknowledged)

    @property
    def unsynced(self) -> int:
        """How many changes only the machine's memory holds."""
        return sum(len(changes) for changes in self._pending.values())

    def cut(self, rng: Random, manner: str) -> Image:
        """The files as they are found afterwards."""
        keep = MANNERS[manner]
        left: Image = {}
        for name in sorted(self._durable.keys() | self._pending.keys()):
            changes = self._pending.get(name, [])
            gone = bool(changes) and isinstance(changes[-1], Delete)
            unsure = gone or name not in self._durable
            # Its directory was never told for good that it went, or that it came.
            if unsure and (keep(rng) == "kept") is gone:
                continue
            content = bytearray(self._durable.get(name, b""))
            for change in changes:
                if not isinstance(change, Delete):
                    _apply_some(content, change, keep, rng)
            left[name] = content
        return left


def write_image(files: Image, folder: Path) -> None:
    """Lay the files out in a folder that is emptied first."""
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        if change.size < len(content):
            del content[change.size :]
        else:
            content.extend(bytes(change.size - len(content)))
        return
    _put(content, change.offset, change.data)


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _apply_some(content: bytearray, change: Write | Truncate, keep: Keep, rng: Random) -> None:
    """Each sector of one write on its own."""
    if isinstance(change, Truncate):
        if keep(rng) == "kept":
            _apply(content, change)
        return
    start, end = change.offset, change.offset + len(change.data)
    while start < end:
        stop = min(end, start - start % SECTOR + SECTOR)
        piece = change.data[start - change.offset : stop - change.offset]
        fate = keep(rng)
        if fate == "damaged":
            _put(content, start, _damaged(piece, rng))
        elif fate == "kept":
            _put(content, start, piece)
        start = stop


def _damaged(piece: bytes, rng: Random) -> bytes:
    """Torn in the middle, zeroes, or noise."""
    how = rng.randrange(3)
    if how == 0:
        return piece[: rng.randrange(len(piece))]
    return bytes(len(piece)) if how == 1 else rng.randbytes(len(piece))
