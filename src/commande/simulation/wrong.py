"""What seeded bugs are made of: the register, and wrong pieces that several share."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any, Final

from commande.core.command import LIVE, AttemptState
from commande.db.tables import attempts, events
from commande.simulation.bench import Bench, Mutant

CORE, FLOWS, DB = "commande.core", "commande.flows", "commande.db"
GATEWAY: Final = "commande.stripe_gateway"
Seed = Callable[[Bench], None]


def mutant(
    breaks: str,
    *,
    layers: int = 1,
    faults: Mapping[str, float] | None = None,
    seconds: Mapping[str, float] | None = None,
    without: tuple[Seed, ...] = (),
    tolerates: frozenset[str] = frozenset(),
) -> Callable[[Seed], Mutant]:
    """Make a mutant of a function that does it on the bench; the function's name is its name."""

    def register(make: Seed) -> Mutant:
        return Mutant(
            make.__name__, breaks, make, faults or {}, seconds or {}, layers, without, tolerates
        )

    return register


def module(name: str) -> Any:
    return sys.modules[name]


async def do_nothing(*_given: Any, **_more: Any) -> None:
    """The duty is off."""


async def see_no_difference(*_given: Any, **_more: Any) -> tuple[int, int]:
    """No charge compared, none that differs."""
    return 0, 0


def with_new_key(real: Any, place: int) -> Any:
    turns = count(1)

    async def call(*given: Any) -> Any:
        fresh = list(given)
        fresh[place] = f"{given[place]}-{next(turns)}"
        return await real(*fresh)

    return call


def by_metadata(real: Any) -> Any:
    """An unknown session is taken for the newest attempt of any unpaid command."""

    def find(conn: Any, session_id: str) -> Any:
        known = real(conn, session_id) if _knows(conn, session_id) else None
        if known is not None:
            return known
        waiting = attempts.select().where(attempts.c.state.in_(sorted(LIVE)))
        row = conn.execute(waiting.order_by(attempts.c.created_at.desc())).first()
        return real(conn, row.stripe_session_id) if row and row.stripe_session_id else None

    return find


def _knows(conn: Any, session_id: str) -> bool:
    match = attempts.c.stripe_session_id == session_id
    return conn.execute(attempts.select().where(match)).first() is not None


def close_locally(conn: Any, attempt_id: str) -> None:
    match = (attempts.c.id == attempt_id) & attempts.c.state.in_(sorted(LIVE))
    conn.execute(attempts.update().where(match).values(state=AttemptState.EXPIRED, url=None))


def mark_done(conn: Any, event_id: str) -> None:
    match = events.c.stripe_event_id == event_id
    conn.execute(events.update().where(match).values(state="done", next_at=None))


def blindly(real: Any) -> Any:
    """Burying forgets that an attempt may still be paid."""

    def bury_command(conn: Any, command_id: str, *more: Any) -> Any:
        match = (attempts.c.command_id == command_id) & attempts.c.state.in_(sorted(LIVE))
        conn.execute(attempts.update().where(match).values(state=AttemptState.EXPIRED, url=None))
        return real(conn, command_id, *more)

    return bury_command


def always_creating(real: Any) -> Any:
    def find_attempt(conn: Any, attempt_id: str) -> Any:
        found = real(conn, attempt_id)
        if found is not None and found.state in (AttemptState.CLOSED, AttemptState.EXPIRED):
            match = attempts.c.id == attempt_id
            conn.execute(attempts.update().where(match).values(state=AttemptState.CREATING))
            return replace(found, state=AttemptState.CREATING)
        return found

    return find_attempt


def nobody_asks(bench: Bench) -> None:
    """No worker asks Stripe about attempts: a layer that covers much."""
    bench.function(f"{FLOWS}.reconcile", "_ask_about", lambda _: do_nothing)


def nobody_reads(bench: Bench) -> None:
    """Stripe's events are not listed: what the webhook lost stays lost."""
    bench.function(f"{FLOWS}.reconcile", "read_events", lambda _: do_nothing)


def nobody_compares(bench: Bench) -> None:
    """Stripe's charges of the day are not compared with the books: it heals what was not heard."""
    bench.function(f"{FLOWS}.ledger", "compare_charges", lambda _: see_no_difference)


def any_move(bench: Bench) -> None:
    """Statuses move as anybody likes: neither our table of moves nor the database objects."""
    bench.drop("TRIGGER", "commands_status_moves")
    bench.sql.append("PRAGMA ignore_check_constraints = ON")
    bench.function(f"{CORE}.command", "may_move", lambda _: lambda _old, _new: True)
