"""Seeded bugs in the opening of payment pages."""

from dataclasses import replace
from itertools import count
from typing import Any

from commande.core.command import AttemptState
from commande.simulation.bench import Bench
from commande.simulation.mutations_clean_up import bury_with_live_attempts
from commande.simulation.wrong import (
    CORE,
    DB,
    FLOWS,
    always_creating,
    close_locally,
    module,
    mutant,
    nobody_asks,
    nobody_reads,
    with_new_key,
)
from commande.stripe_gateway.gateway import Gateway

# -- opening -------------------------------------------------------------------------------------


@mutant("each request to make a session has a new key", faults={"hang_after": 0.2})
def random_idempotency_key(bench: Bench) -> None:
    bench.method(Gateway, "create_session", lambda real: with_new_key(real, 2))


@mutant("an opening that died is resumed with a new key", faults={"crash": 0.03, "stall": 0.02})
def resume_with_a_new_key(bench: Bench) -> None:
    def make(real: Any) -> Any:
        async def make_session(shop: Any, found: Any) -> Any:
            if found.attempt.tries > 1:
                key = f"{found.attempt.idempotency_key}-{found.attempt.tries}"
                found = replace(found, attempt=replace(found.attempt, idempotency_key=key))
            return await real(shop, found)

        return make_session

    bench.function(f"{FLOWS}.checkout", "_make_session", make)


@mutant("the expiry is computed anew for every request", faults={"hang_after": 0.2})
def expiry_recomputed(bench: Bench) -> None:
    def make(real: Any) -> Any:
        def resolve(parameters: dict[str, Any], known: Any) -> Any:
            return real(parameters, known) | {"expires_at": parameters["expires_at"] - next(turns)}

        return resolve

    turns = count(1)
    bench.function(f"{CORE}.session", "resolve_tax_rates", make)


@mutant("the address leaves before its session is recorded")
def address_before_the_record(bench: Bench) -> None:
    def make(_real: Any) -> Any:
        async def ask_stripe(shop: Any, found: Any) -> Any:
            make_session = module(f"{FLOWS}.checkout")._make_session
            report = await make_session(shop, found)
            return replace(found.attempt, url=report.url, state=AttemptState.OPEN,
                           stripe_session_id=report.session_id)  # fmt: skip

        return ask_stripe

    bench.function(f"{FLOWS}.checkout", "_ask_stripe", make)


@mutant("an Idempotency-Key is not remembered")
def no_claim(bench: Bench) -> None:
    bench.function(f"{DB}.opening", "_take_claim", lambda _: lambda *_a: None)


@mutant("a retry opens a new session beside the open one", layers=2)
def retry_beside_the_open_one(bench: Bench) -> None:
    bench.drop("INDEX", "one_live_attempt")

    def make(real: Any) -> Any:
        def list_attempts(conn: Any, command_id: str) -> list[Any]:
            found = real(conn, command_id)
            return [replace(each, state=AttemptState.EXPIRED) for each in found]

        return list_attempts

    def plan(real: Any) -> Any:
        def plan_retry(*given: Any) -> Any:
            inner = Bench()
            inner.function(f"{DB}.attempts", "list_attempts", make)
            try:
                return real(*given)
            finally:
                inner.put_back()

        return plan_retry

    bench.function(f"{DB}.opening", "plan_retry", plan)


@mutant("a stale session is replaced without being expired at Stripe")
def retry_without_expiring(bench: Bench) -> None:
    def make(_real: Any) -> Any:
        async def retire(shop: Any, plan: Any) -> None:
            await shop.db.transaction(close_locally, plan.attempt.id)

        return retire

    bench.function(f"{FLOWS}.checkout", "_retire", make)


@mutant("a session that was paid meanwhile is replaced, and nobody reads or asks", layers=3,
        faults={"lost:checkout*": 1.0}, without=(nobody_asks, nobody_reads),
        tolerates=frozenset({"I1", "I12"}))  # fmt: skip
def retry_replaces_complete(bench: Bench) -> None:
    def make(_real: Any) -> Any:
        async def retire(shop: Any, plan: Any) -> None:
            if plan.attempt.stripe_session_id is not None:
                await shop.stripe.expire_session(plan.attempt.stripe_session_id)
            await shop.db.transaction(close_locally, plan.attempt.id)

        return retire

    bench.function(f"{FLOWS}.checkout", "_retire", make)


@mutant("a late opener opens an attempt that clean-up closed", layers=3,
        faults={"stall": 0.05, "hang_before": 0.3})  # fmt: skip
def reopened_after_the_fence(bench: Bench) -> None:
    bench.drop("INDEX", "one_live_attempt")
    bury_with_live_attempts.make(bench)
    bench.function(f"{DB}.attempts", "find_attempt", always_creating)
