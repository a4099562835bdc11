"""What the tests of the PostgreSQL engine share: its functions, and a network that fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from sqlalchemy import Connection, text

from commande.db.postgres import PostgresDatabase


def prepare(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE note (id INTEGER)"))
    connection.execute(text("CREATE TABLE counter (id INTEGER PRIMARY KEY, n INTEGER)"))
    connection.execute(text("INSERT INTO counter VALUES (1, 0), (2, 0)"))


def put(connection: Connection, number: int) -> int:
    connection.execute(text("INSERT INTO note VALUES (:id)"), {"id": number})
    return number


def count(connection: Connection) -> int:
    return connection.scalar(text("SELECT count(*) FROM note")) or 0


def total(connection: Connection) -> int:
    return connection.scalar(text("SELECT sum(n) FROM counter")) or 0


class Tally:
    """A function that counts how often it ran: the very effect that the shop's never have."""

    def __init__(self, fn: Callable[..., object]) -> None:
        self.fn, self.runs = fn, 0

    def __call__(self, connection: Connection, *args: object) -> object:
        self.runs += 1
        return self.fn(connection, *args)


class Proxy:
    """Stands between the shop and PostgreSQL, and cuts at COMMIT, before or after it."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.cut: str | None = None
        self.on = b"COMMIT;"  # and not READ COMMITTED
        self.silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self.host, self.port)
        done = asyncio.Event()
        state = {"mute": False}
        try:
            back = asyncio.ensure_future(self.answer(up_reader, writer, state, done))
            while data := await reader.read(65536):
                if self.silent:
                    continue
                if self.cut and self.on in data:
                    cut, self.cut = self.cut, None
                    if cut == "before":
                        break
                    state["mute"] = True
                    up_writer.write(data)
                    await done.wait()
                    break
                up_writer.write(data)
            back.cancel()
        finally:
            for end in (writer, up_writer):
                end.close()

    async def answer(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        state: dict[str, bool],
        done: asyncio.Event,
    ) -> None:
        while data := await reader.read(65536):
            if state["mute"]:
                done.set()
                return
            writer.write(data)
        writer.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, PostgresDatabase]]:
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "", parts.port or 5432)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    db = PostgresDatabase(
        f"postgresql://postgres@127.0.0.1:{port}{parts.path}", application="tests"
    )
    try:
        yield proxy, db
    finally:
        await db.close()
        server.close()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def silent_host() -> AsyncIterator[int]:
    """A host that takes connections and never says a word."""

    async def ignore(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(ignore, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    for writer in writers:
        writer.close()
    server.close()
