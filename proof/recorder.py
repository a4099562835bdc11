"""Writes down what SQLite asks of the disk: every write, every fsync, in order.

A SQLite "VFS" laid over the real one, registered in the very library that Python's ``sqlite3`` is
linked to, so that the shop's own engine is recorded unchanged. Everything is passed on; nothing is
slowed or altered. https://www.sqlite.org/vfs.html; the layouts are frozen by SQLite's ABI.
"""

import _sqlite3
import ctypes
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_OK: Final = 0
# The path is passed as an address: SQLite promises that it stays valid, and the real VFS keeps it.
_Open = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_Write = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = ctypes.CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = ctypes.CFUNCTYPE(c_int, c_void_p, c_int)


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods``, version 3."""

    _fields_ = [
        ("version", c_int),
        *((name, c_void_p) for name in ("close", "read", "write", "truncate", "sync")),
        *((f"other{number}", c_void_p) for number in range(13)),
    ]


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``, version 3."""

    _fields_ = [
        *((name, c_int) for name in ("version", "file_size", "longest_path")),
        *((name, c_void_p) for name in ("next", "name", "data", "open", "delete")),
        *((f"other{number}", c_void_p) for number in range(13)),
    ]


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes handed to the operating system; only a later sync makes them durable."""

    file: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """The file was cut to that size."""

    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Delete:
    """The file was removed; its directory may not have been told for good."""

    file: str


@dataclass(frozen=True, slots=True)
class Sync:
    """Everything written to that file so far is durable when this returns."""

    file: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The shop told somebody that this is so; ``fact`` is the workload's own."""

    fact: Any


Event = Write | Truncate | Delete | Sync | Acknowledged


class Unreachable(RuntimeError):
    """This Python hides the functions of its SQLite library, so nothing can be recorded."""


class Recorder:
    """The events of the database files in one folder, oldest first."""

    def __init__(self, folder: Path) -> None:
        self.events: list[Event] = []
        self._folder = str(folder.resolve())
        self._library = _library()
        self._real = _Vfs.from_address(self._library.sqlite3_vfs_find(None))
        self._names: dict[int, str] = {}
        self._tables: dict[int, tuple[_Methods, Any]] = {}
        self._open, self._delete = _Open(self._opened), _Delete(self._deleted)
        self._vfs = _Vfs.from_buffer_copy(self._real)
        self._name = ctypes.create_string_buffer(b"recording")
        self._vfs.name = ctypes.addressof(self._name)
        self._vfs.open = ctypes.cast(self._open, c_void_p)
        self._vfs.delete = ctypes.cast(self._delete, c_void_p)

    def acknowledge(self, fact: Any) -> None:
        """Somebody outside was told."""
        self.events.append(Acknowledged(fact))

    @contextmanager
    def recording(self) -> Iterator["Recorder"]:
        """Record every connection opened in this block; close them all before it ends."""
        self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)
        try:
            yield self
        finally:
            self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))
            self._library.sqlite3_vfs_register(ctypes.byref(self._real), 1)

    def _opened(self, _vfs: int, path: int | None, file: int, flags: int, out: int) -> int:
        answer: int = _Open(self._real.open)(ctypes.addressof(self._real), path, file, flags, out)
        name = ctypes.string_at(path).decode() if path else ""
        if answer == _OK and name.startswith(self._folder):
            self._names[file] = name.rpartition("/")[2]
            # The first word of an open file is its table of methods.
            place = ctypes.cast(file, POINTER(c_void_p))
            place[0] = ctypes.addressof(self._table(place[0]))
        return answer

    def _deleted(self, _vfs: int, path: int, sync: int) -> int:
        answer = int(_Delete(self._real.delete)(ctypes.addressof(self._real), path, sync))
        name = ctypes.string_at(path).decode()
        if answer == _OK and name.startswith(self._folder):
            self.events.append(Delete(name.rpartition("/")[2]))
        return answer

    def _table(self, address: int) -> _Methods:
        """The methods at that address with write, truncate and sync recorded; made once."""
        if address not in self._tables:
            real = _Methods.from_address(address)
            write, cut, sync = _Write(real.write), _Truncate(real.truncate), _Sync(real.sync)

            def written(file: int, data: int, size: int, offset: int) -> int:
                content = ctypes.string_at(data, size)
                self.events.append(Write(self._names[file], offset, content))
                return int(write(file, data, size, offset))

            def truncated(file: int, size: int) -> int:
                self.events.append(Truncate(self._names[file], size))
                return int(cut(file, size))

            def synced(file: int, flags: int) -> int:
                answer = int(sync(file, flags))
                self.events.append(Sync(self._names[file]))
                return answer

            ours = _Write(written), _Truncate(truncated), _Sync(synced)
            table = _Methods.from_buffer_copy(real)
            table.write, table.truncate, table.sync = (ctypes.cast(fn, c_void_p) for fn in ours)
            self._tables[address] = table, ours
        return self._tables[address][0]


def _library() -> ctypes.CDLL:
    """The library behind ``sqlite3``: its module's or the interpreter's. Raises Unreachable."""
    for path in (getattr(_sqlite3, "__file__", None), None):
        try:
            library = ctypes.CDLL(path)
            library.sqlite3_vfs_find.restype = c_void_p
            library.sqlite3_libversion.restype = c_char_p
        except (OSError, AttributeError):
            continue
        if library.sqlite3_libversion().decode() == sqlite3.sqlite_version:
            return library
    raise Unreachable("This Python keeps its SQLite to itself; a distribution's Python does not.")
