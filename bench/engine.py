"""What one durable transaction costs, at 1, 16 and 64 waiting: `python bench/engine.py [url …]`.

Each transaction reads a row and writes two. Without a URL a SQLite file in a temporary folder is
measured; name one on the disk that matters.
"""

import asyncio
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    insert,
    select,
    update,
)

from commande.db import Database, open_database

SECONDS = 2.0
metadata = MetaData()
stock = Table(
    "bench_stock", metadata, Column("id", Integer, primary_key=True), Column("left", Integer)
)
sold = Table(
    "bench_sold",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("product", Integer),
    Column("customer", String(40)),
)


# Built once: to build a statement costs SQLAlchemy more than to run it (compare `sell_anew`).
FIND = select(stock.c.left).where(stock.c.id == bindparam("product"))
TAKE = update(stock).where(stock.c.id == bindparam("product")).values(left=stock.c.left - 1)
NOTE = insert(sold)


def prepare(connection: Connection) -> None:
    """Empty tables with a thousand products."""
    metadata.drop_all(connection)
    metadata.create_all(connection)
    connection.execute(insert(stock), [{"id": n, "left": 10**9} for n in range(1000)])


def sell(connection: Connection, product: int) -> int:
    """Three statements: one read, two writes."""
    left = connection.scalar(FIND, {"product": product})
    connection.execute(TAKE, {"product": product})
    connection.execute(NOTE, {"product": product, "customer": "Marie Dupont"})
    return left or 0


def sell_anew(connection: Connection, product: int) -> int:
    """The same with statements built on the spot."""
    left = connection.scalar(select(stock.c.left).where(stock.c.id == product))
    connection.execute(
        update(stock).where(stock.c.id == product).values(left=stock.c.left - 1),
    )
    connection.execute(insert(sold).values(product=product, customer="Marie Dupont"))
    return left or 0


def look(connection: Connection, product: int) -> int:
    """One small read."""
    return connection.scalar(FIND, {"product": product}) or 0


async def measure(db: Database, fn: Callable[[Connection, int], int], waiting: int) -> str:
    """Keep so many calls waiting for a while; answer one row of the table."""
    run = db.read if fn is look else db.transaction
    end = time.perf_counter() + SECONDS
    times: list[float] = []

    async def client(number: int) -> None:
        product = number
        while (began := time.perf_counter()) < end:
            await run(fn, product % 1000)
            times.append(time.perf_counter() - began)
            product += 67

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client(n) for n in range(waiting)))
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    p50, p99 = (quantiles(times, n=100)[n] * 1000 for n in (49, 98))
    return (
        f"{db.dialect:<10} {fn.__name__:<9} {waiting:>4} {len(times) / wall:>9.0f}/s "
        f"{cpu / len(times) * 1e6:>7.0f} µs CPU {p50:>8.2f} ms {p99:>8.2f} ms"
    )


async def bench(url: str) -> None:
    """Measure one database."""
    db = open_database(url)
    try:
        await db.transaction(prepare)
        for fn in (sell, sell_anew, look):
            for waiting in (1, 16, 64):
                print(await measure(db, fn, waiting))
    finally:
        await db.close()


def main() -> None:
    """Measure the databases named, else a SQLite file."""
    print(f"{platform.node()} {platform.machine()} Python {platform.python_version()}")
    print("database   function  waiting      rate         cost         p50         p99")
    with tempfile.TemporaryDirectory() as folder:
        for url in sys.argv[1:] or [f"sqlite:///{Path(folder, 'bench.sqlite')}"]:
            asyncio.run(bench(url))


if __name__ == "__main__":
    main()
