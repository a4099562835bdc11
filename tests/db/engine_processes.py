"""What the engine's tests let other processes do: `python engine_processes.py VERB PATH …`."""

import asyncio
import os
import sys
import time

from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select, text, update

from commande.db import Database, open_database

metadata = MetaData()
note = Table("note", metadata, Column("id", Integer, primary_key=True))
counter = Table("counter", metadata, Column("n", Integer))
STOPS = 40


def put(connection: Connection, number: int) -> int:
    connection.execute(insert(note), {"id": number})
    return number


def put_and_tell(connection: Connection, number: int) -> int:
    """The seeded bug: tells of a row that is not committed yet."""
    put(connection, number)
    tell(number)
    if number == STOPS:
        time.sleep(60)  # whoever reads this number has all the time to kill
    return number


def increase(connection: Connection) -> None:
    """Reads, then writes what it read: right only if nobody writes in between."""
    seen = connection.scalar(select(counter.c.n)) or 0
    connection.execute(update(counter).values(n=seen + 1))


def set_counter(connection: Connection, number: int) -> None:
    connection.execute(update(counter).values(n=number))


def prepare(connection: Connection) -> None:
    metadata.create_all(connection)
    connection.execute(insert(counter), {"n": 0})


def tell(number: int) -> None:
    os.write(1, b"%d\n" % number)


async def write(db: Database, careless: str) -> None:
    """Write rows for ever, and tell of each once it is acknowledged (or before, the control)."""

    async def client(number: int) -> None:
        while True:
            if careless == "careless":
                await db.transaction(put_and_tell, number)
            else:
                tell(await db.transaction(put, number))
            number += 16

    await asyncio.gather(*(client(n) for n in range(16)))


async def count_up(db: Database, times: str, careless: str) -> None:
    """Increase the counter so often; carelessly is to read in one transaction, write in another.

    Begins when told to, so that nobody is done before the others came.
    """
    await db.read(lambda c: c.scalar(select(counter.c.n)))
    tell(0)
    sys.stdin.readline()
    for _ in range(int(times)):
        if careless == "careless":
            seen = await db.read(lambda c: c.scalar(select(counter.c.n)))
            await db.transaction(
                lambda c, n: c.execute(update(counter).values(n=n)).rowcount, seen + 1
            )
        else:
            await db.transaction(increase)


async def fork(db: Database) -> None:
    """Use the database, fork, and use it in both processes at once."""
    await db.transaction(put, 0)
    await db.read(lambda c: c.scalar(select(note.c.id)))
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(used_in_the_child(db))
        except BaseException as error:  # noqa: BLE001 - the child must end here
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    await asyncio.gather(*(db.transaction(put, n) for n in range(100, 200)))
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    tell(os.waitstatus_to_exitcode(status))
    await db.transaction(put, 999)


async def used_in_the_child(db: Database) -> None:
    await asyncio.gather(*(db.transaction(put, n) for n in range(200, 300)))
    assert await db.read(lambda c: c.scalar(select(note.c.id).where(note.c.id == 299))) == 299
    await db.close()


async def pragmas(db: Database) -> None:
    """Tell what the writer's connection is set to."""

    def ask(connection: Connection) -> str:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return " ".join(str(connection.scalar(text(f"PRAGMA {name}"))) for name in names)

    print(await db.transaction(ask), flush=True)


async def main(verb: str, url: str, *options: str) -> None:
    db = open_database(url)
    verbs = {"write": write, "count_up": count_up, "fork": fork, "pragmas": pragmas}
    await verbs[verb](db, *options)
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
