"""Plain HTTP over a kept connection, cheap enough that the servers are the ones who work."""

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_HEAD_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer."""

    status: int
    body: bytes


class Line(asyncio.Protocol):
    """One connection: requests leave in one piece, answers come back in their order.

    A server hangs up on who is silent for long; then the next request opens it again.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._read = bytearray()
        self._waiting: deque[asyncio.Future[Heard]] = deque()
        self._transport: asyncio.Transport | None = None

    async def open(self) -> None:
        """Connect."""
        host, _, port = urlsplit(self._url).netloc.partition(":")
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, host, int(port))

    async def ask(self, requests: list[bytes]) -> list[Heard]:
        """All of them at once. Raises ConnectionError when the line breaks."""
        loop = asyncio.get_running_loop()
        if self._transport is None:
            await self.open()
        assert self._transport is not None
        answers = [loop.create_future() for _ in requests]
        self._waiting.extend(answers)
        self._transport.write(b"".join(requests))
        return list(await asyncio.gather(*answers))

    @property
    def is_open(self) -> bool:
        """Whether nobody has hung up."""
        return self._transport is not None

    def hang_up(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``; who waits for an answer hears that none comes."""
        self._transport = None
        self._read.clear()
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(ConnectionError(f"the line broke: {exc}"))

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        self._read += data
        at = 0
        while (end := self._read.find(_HEAD_END, at)) >= 0:
            length = _LENGTH.search(self._read, at, end)
            begin = end + len(_HEAD_END)
            stop = begin + (int(length[1]) if length else 0)
            if stop > len(self._read):
                break
            # HTTP/1.1 200 …
            heard = Heard(int(self._read[at + 9 : at + 12]), bytes(self._read[begin:stop]))
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_result(heard)
            at = stop
        del self._read[:at]


async def connect(url: str, number: int) -> list[Line]:
    """So many lines to a server."""
    lines = [Line(url) for _ in range(number)]
    for line in lines:
        await line.open()
    return lines


def post(path: str, body: bytes, kind: bytes = b"application/json", **headers: str) -> bytes:
    """A request as bytes."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = b"POST %s HTTP/1.1\r\nHost: shop\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n"
    return head % (path.encode(), kind, len(body), more.encode()) + body


def get(path: str, **headers: str) -> bytes:
    """A request as bytes."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: shop\r\n{more}\r\n".encode()
