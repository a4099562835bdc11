"""Seeded bugs in clean-up."""

from typing import Any

import commande.db.settlement as settlement_rows
from commande.core.command import Action, Status
from commande.db.tables import commands
from commande.simulation.bench import Bench
from commande.simulation.wrong import (
    DB,
    FLOWS,
    any_move,
    blindly,
    close_locally,
    do_nothing,
    mutant,
    nobody_asks,
    nobody_reads,
)


@mutant("an expiry that is told late closes a paid command", layers=2)
def expiry_clobbers_paid(bench: Bench) -> None:
    bench.drop("TRIGGER", "commands_status_moves")
    bench.sql.append("PRAGMA ignore_check_constraints = ON")

    def make(real: Any) -> Any:
        def close(conn: Any, case: Any) -> None:
            real(conn, case)
            match = commands.c.id == case.command.id
            conn.execute(commands.update().where(match).values(status=Status.UNPAID))

        return close

    bench.entry(settlement_rows._WRITERS, Action.CLOSE, make)


@mutant("clean-up deletes (here: makes a tombstone) without expiring at Stripe")
def bury_without_expiring(bench: Bench) -> None:
    def make(_real: Any) -> Any:
        async def end_attempt(shop: Any, attempt: Any, _source: str) -> None:
            await shop.db.transaction(close_locally, attempt.id)

        return end_attempt

    bench.function(f"{FLOWS}.upkeep", "_end_attempt", make)


@mutant("clean-up expires at Stripe and does not read what became of the session")
def bury_without_reading(bench: Bench) -> None:
    def make(_real: Any) -> Any:
        async def end_attempt(shop: Any, attempt: Any, _source: str) -> None:
            if attempt.stripe_session_id is not None:
                await shop.stripe.expire_session(attempt.stripe_session_id)
            await shop.db.transaction(close_locally, attempt.id)

        return end_attempt

    bench.function(f"{FLOWS}.upkeep", "_end_attempt", make)


@mutant("clean-up buries a command whose session could not be expired",
        faults={"429": 0.5, "hang_before": 0.3, "500_before": 0.3})  # fmt: skip
def bury_with_live_attempts(bench: Bench) -> None:
    bench.function(f"{DB}.upkeep", "bury_command", blindly)


@mutant("clean-up takes commands whose money is on its way", layers=3)
def processing_not_fenced(bench: Bench) -> None:
    any_move(bench)

    def make(real: Any) -> Any:
        def fence_overdue(conn: Any, cutoff: Any, now: Any, limit: int) -> list[str]:
            match = (commands.c.status == Status.PROCESSING) & (commands.c.created_at <= cutoff)
            conn.execute(commands.update().where(match).values(status=Status.EXPIRING))
            return list(real(conn, cutoff, now, limit))

        return fence_overdue

    bench.function(f"{DB}.upkeep", "fence_overdue", make)


@mutant("clean-up puts up no fence, and burying asks for none", layers=2,
        faults={"hang_before": 0.5, "hang_after": 0.3})  # fmt: skip
def no_fence(bench: Bench) -> None:
    bench.drop("TRIGGER", "commands_status_moves")
    bench.function(f"{DB}.upkeep", "_fence", lambda _: lambda *_a: None)

    def make(real: Any) -> Any:
        def bury(conn: Any, command_id: str, *more: Any) -> Any:
            match = (commands.c.id == command_id) & (commands.c.status == Status.UNPAID)
            conn.execute(commands.update().where(match).values(status=Status.EXPIRING))
            return blindly(real)(conn, command_id, *more)

        return bury

    bench.function(f"{DB}.upkeep", "bury_command", make)


@mutant("nobody asks Stripe or reads its events, and clean-up never comes", layers=3,
        faults={"lost": 0.9})  # fmt: skip
def nobody_asks_nor_cleans(bench: Bench) -> None:
    nobody_asks(bench)
    bench.function(f"{FLOWS}.upkeep", "expire_overdue", lambda _: do_nothing)
    nobody_reads(bench)
