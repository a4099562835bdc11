"""What the tests of the PostgreSQL engine share: its functions, and a network that fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import Connection, text

from commande.db.postgres import PostgresDatabase
from tests.support.gates import until
from tests.support.postgres import Postgres


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
        self.lines = 0  # that are open
        self.cut: str | None = None
        self.on = b"COMMIT;"  # and not READ COMMITTED
        self.silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines += 1
        up_reader, up_writer = await asyncio.open_connection(self.host, self.port)
        done = asyncio.Event()
        state = {"mute": False}
        back = asyncio.ensure_future(self.answer(up_reader, writer, state, done))
        try:
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
        finally:
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            for end in (writer, up_writer):
                end.close()
            self.lines -= 1

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
        await until(lambda: not proxy.lines, "the proxy to end")


@dataclass
class Silent:
    """A host that takes connections and never says a word."""

    port: int = 0
    asked: list[asyncio.StreamWriter] = field(default_factory=list)

    async def ignore(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(writer)


@asynccontextmanager
async def silent_host() -> AsyncIterator[Silent]:
    host = Silent()
    server = await asyncio.start_server(host.ignore, "127.0.0.1", 0)
    host.port = server.sockets[0].getsockname()[1]
    yield host
    for writer in host.asked:
        writer.close()
    server.close()


ONE_WAITS = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@asynccontextmanager
async def without_a_standby(server: Postgres, url: str) -> AsyncIterator[asyncpg.Connection]:
    """The server waits at each COMMIT for a standby that is not there; a session to ask with."""
    bare = await asyncpg.connect(url)
    try:
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        await bare.execute("SELECT pg_reload_conf()")
        # Another process of the server puts it into force, a moment later: until a COMMIT waits.
        probe = await asyncpg.connect(url)
        while True:
            write = "SELECT pg_logical_emit_message(true, 'probe', '')"
            commit = asyncio.ensure_future(probe.execute(write))
            await until(partial(_over_or_waiting, commit, bare), "a COMMIT")
            if not commit.done():
                break
        await bare.execute("SELECT pg_cancel_backend($1)", probe.get_server_pid())
        await commit
        await probe.close()
        yield bare
    finally:
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await bare.execute("SELECT pg_reload_conf()")
        await bare.close()


async def _over_or_waiting(commit: "asyncio.Future[str]", bare: asyncpg.Connection) -> bool:
    return commit.done() or bool(await bare.fetchval(ONE_WAITS))
