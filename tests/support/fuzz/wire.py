"""Requests byte by byte: whatever a client may send, however wrong, and the answer whole."""

import http.client
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

PATIENCE = 60.0


@dataclass(frozen=True)
class Sent:
    """One request as it goes out."""

    method: str
    target: str
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ((b"Content-Type", b"application/json"),)
    chunks: tuple[int, ...] = ()
    """Sizes of chunks (the last one repeats); none: one piece with its length."""

    def raw(self, host: str) -> bytes:
        """The request as bytes."""
        head = [f"{self.method} {self.target} HTTP/1.1".encode(), b"Host: " + host.encode()]
        head += [name + b": " + value for name, value in self.headers]
        if self.chunks:
            head.append(b"Transfer-Encoding: chunked")
        elif self.body or self.method == "POST":
            head.append(b"Content-Length: " + str(len(self.body)).encode())
        framed = b"".join(chunked(self.body, self.chunks)) if self.chunks else self.body
        return b"\r\n".join(head) + b"\r\n\r\n" + framed


def chunked(body: bytes, sizes: tuple[int, ...]) -> Iterable[bytes]:
    """The body in HTTP's chunks of these sizes, then the end."""
    at = number = 0
    while at < len(body):
        piece = body[at : at + sizes[min(number, len(sizes) - 1)]]
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        at, number = at + len(piece), number + 1
    yield b"0\r\n\r\n"


@dataclass(frozen=True)
class Heard:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Wire:
    """A connection to a server that is kept open, and opened again when the server closes it."""

    url: str
    _socket: socket.socket | None = field(default=None, init=False)

    def ask(self, sent: Sent) -> Heard:
        """Send as it is. A kept connection that died between two requests is opened once more."""
        fresh = self._socket is None
        try:
            return self._ask(sent)
        except (ConnectionError, http.client.BadStatusLine):
            self.close()
            if fresh:
                raise
            return self._ask(sent)

    def _ask(self, sent: Sent) -> Heard:
        host = urlsplit(self.url).netloc
        if self._socket is None:
            name, _, port = host.partition(":")
            self._socket = socket.create_connection((name, int(port)), PATIENCE)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionError):  # refused by its first lines: the answer is there already
            self._socket.sendall(sent.raw(host))
        answer = http.client.HTTPResponse(self._socket, method=sent.method)
        try:
            answer.begin()
            heard = Heard(
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read(),
            )
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if answer.will_close or heard.status == 413:
            self.close()
        return heard

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def as_bytes(text: str) -> bytes:
    """A header's text as bytes, surrogates and all; only line breaks cannot travel."""
    return text.encode("utf-8", "surrogatepass").replace(b"\r", b"").replace(b"\n", b"")
