"""The rounds: something happens to the primary, and what was acknowledged is looked up."""

import asyncio
import os
import sys
import threading
import time
from datetime import UTC, datetime
from random import Random
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from commande.cli.terminal import err, out, table
from commande.db import open_database
from commande.logs import configure_logs
from proof.books import audit, count_under_way, find_losses, read_acknowledged
from proof.crew import until_so
from proof.crowd import KEY
from proof.failover.__main__ import arguments
from proof.failover.cluster import Cluster, Programs, Terms
from proof.failover.machines import FOLDER, NETWORKS, Machine, build_switches
from proof.failover.shop import STRIPE_URL, Shop, TimedLedger, paid_at_stripe, unaccounted
from proof.outset import open_tally
from proof.tally import Tally
from tests.support.invariants import find_breaches

KINDS: Final = ("kill", "partition", "split")
CALM: Final = (3.0, 6.0)
"""Seconds of ordinary business before something happens."""
STAYS_AWAY: Final = 4.0
"""Seconds that the old primary stays away after the first order on the new one."""
# Without a synchronous standby commits are lost; of what is about money alone nothing may be.
MONEY: Final = frozenset({"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8"})


def main() -> int:
    """Build, fail over, compare, print; 1 when something was lost that must not be."""
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    given = arguments(sys.argv[1:])
    configure_logs("console", "error")
    ttl, loop_wait, retry_timeout = map(int, given.times.split(","))
    programs = Programs(*given.programs)
    standby = "streaming" if given.patroni is None else "running"
    terms = Terms(given.mode == "sync", ttl, loop_wait, retry_timeout, standby)
    tally = open_tally(given.state, {"proof": "failover", "mode": given.mode, "times": given.times})
    build_switches()
    cluster = Cluster(programs, terms)
    kinds = KINDS if given.kind == "all" else (given.kind,)
    run = Run(cluster, tally, given.customers, given.seed)
    asyncio.run(run.live([kinds[n % len(kinds)] for n in range(given.rounds)]))
    tally.save()
    _print(tally)
    return 1 if tally.findings else 0


def _end_with_the_caller() -> None:
    """Whoever began this holds the other end of our standard input."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


class Run:
    """One cluster, one shop, and round after round."""

    def __init__(self, cluster: Cluster, tally: Tally, customers: int, seed: int) -> None:
        self._cluster, self._tally, self._customers = cluster, tally, customers
        self._synchronous = cluster.terms.synchronous
        self._seed = f"{seed}-{tally.counts['rounds']}"
        self._rng = Random(self._seed)
        self._shop = Shop(cluster.url, FOLDER)
        self._ledger = TimedLedger(FOLDER / "ledger")
        self._lost: set[str] = set()
        self._db = open_database(cluster.url, application="proof")

    async def live(self, kinds: list[str]) -> None:
        """From three empty machines to the comparison of the books."""
        began = datetime.now(UTC)
        await self._build()
        with self._shop.open():
            crowds = self._shop.crowds(self._customers, self._ledger, self._seed)
            for crowd, customers in crowds:
                crowd.start(customers)
            for number, kind in enumerate(kinds, 1):
                await self._round(kind, f"{number}/{len(kinds)}")
                self._tally.save()
            for crowd, _ in crowds:
                await crowd.stop(patience=15.0)
            await self._look_up()
            await self._reconcile(began)
            await self._compare()
        self._ledger.close()
        await self._db.close()

    async def _build(self) -> None:
        begun = time.monotonic()
        for machine in self._cluster.machines:
            self._cluster.start(machine)
        primary = await self._cluster.healthy()
        connection = await asyncpg.connect(self._cluster.url_of(primary, "postgres"))
        await connection.execute("CREATE DATABASE shop")
        version = await connection.fetchval("SHOW server_version")
        await connection.close()
        await self._shop.furnish()
        _tell(
            f"PostgreSQL {version} on three machines after {time.monotonic() - begun:.0f} s; "
            f"the primary is {primary}."
        )

    async def _round(self, kind: str, number: str) -> None:
        """One failover, from three that are well to three that are well again."""
        await asyncio.sleep(self._rng.uniform(*CALM))
        await self._hear_of_an_order(0.0)  # on a busy machine there may be none yet to lose
        old = await self._cluster.healthy()
        machine, struck = self._cluster.machine(old), time.monotonic()
        _strike(machine, kind)
        new = await self._cluster.successor(old)
        elected = time.monotonic()
        await self._hear_of_an_order(elected)
        lost = await self._look_up()
        await asyncio.sleep(STAYS_AWAY)
        machine.plug()
        if kind == "kill":
            self._cluster.start(machine)
        await self._cluster.healthy()
        lost += await self._look_up()
        gap = self._ledger.gap(struck, time.monotonic())
        self._tally.note(f"gap {kind}", gap)
        self._tally.note("gap", gap)
        self._tally.counts.update({"rounds": 1, f"rounds: {kind}": 1, "lost": lost,
                                   "losing rounds": lost > 0})  # fmt: skip
        _tell(
            f"{number} {kind}: {old} → {new} after {elected - struck:.1f} s, no order for "
            f"{gap:.1f} s, all three well after {time.monotonic() - struck:.0f} s; "
            f"{lost} acknowledged facts lost."
        )

    async def _hear_of_an_order(self, since: float) -> None:
        give_up = time.monotonic() + 120
        while not self._ledger.moments or self._ledger.moments[-1] < since:
            if time.monotonic() > give_up:
                raise RuntimeError("The shop sells nothing on this primary.")
            await asyncio.sleep(0.05)

    async def _look_up(self) -> int:
        """How many facts, acknowledged until now, are newly found to be gone."""
        self._ledger.hear(await read_acknowledged(STRIPE_URL, KEY))
        facts = self._ledger.facts()
        gone = set(await find_losses(self._db, facts)) - self._lost
        self._lost |= gone
        self._tally.counts["facts looked up"] += facts.count
        if self._synchronous:
            self._tally.blame(f"run {self._seed}", sorted(gone))
        return len(gone)

    async def _reconcile(self, began: datetime) -> None:
        """What an operator types; in asynchronous mode also what docs/operating.md says then."""
        since = () if self._synchronous else ("--since", began.isoformat())
        at = time.monotonic()
        _, report = await asyncio.to_thread(self._shop.run, "reconcile", "--json", *since)
        self._tally.note("reconcile", time.monotonic() - at)
        await asyncio.to_thread(self._shop.run, "cleanup", "--older-than", "0s")
        self._tally.counts["need a person"] += report["attention"]
        await self._come_to_rest()

    async def _come_to_rest(self) -> None:
        """The workers skip the letters (there is no mail server), also those that somebody held
        whose session was lost: after their lease. What is left half done is told by the
        comparison."""

        async def rests() -> bool:
            return not await self._db.read(count_under_way)

        await until_so(rests)

    async def _compare(self) -> None:
        """Every payment that Stripe took, in the books; and all invariants."""
        counts = self._tally.counts
        paid = await asyncio.to_thread(paid_at_stripe)
        findings = await self._db.read(unaccounted, paid)
        counts["paid sessions"] += len(paid)
        counts["minor units taken"] += sum(paid.values())
        counts["acknowledged facts"] += self._ledger.facts().count
        if self._synchronous:
            findings += await audit(self._db, STRIPE_URL, self._ledger)
        else:
            findings += await find_breaches(self._db, STRIPE_URL, only=MONEY)
        self._tally.blame(f"run {self._seed}", findings)


def _strike(machine: Machine, kind: str) -> None:
    if kind == "kill":
        machine.kill()
    elif kind == "partition":
        machine.pull(*NETWORKS)
    else:
        machine.pull("peers")


def _print(tally: Tally) -> None:
    counts, rows = tally.counts, table("", "", right=("",))
    mode = {"sync": "synchronous", "async": "asynchronous"}[tally.about["mode"]]
    rows.add_row(f"Failovers, {mode}", f"{counts['rounds']}")
    for kind in KINDS:
        rows.add_row(f"  {kind}", f"{counts[f'rounds: {kind}']}")
    for name in ("acknowledged facts", "facts looked up", "lost", "losing rounds",
                 "paid sessions", "need a person"):  # fmt: skip
        rows.add_row(f"  {name}", f"{counts[name]:,}")
    for percent in (50, 95, 100):
        rows.add_row(f"  no order for, p{percent}", f"{tally.quantile('gap', percent):.1f} s")
    rows.add_row("  reconcile took", f"{tally.quantile('reconcile', 100):.1f} s")
    rows.add_row("  findings", f"{counts['findings']:,}")
    out.print(rows)
    for finding in tally.findings[:10]:
        _tell(finding)


def _tell(line: str) -> None:
    err.print(line, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
