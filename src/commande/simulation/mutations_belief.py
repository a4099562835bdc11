"""Seeded bugs in what is believed, and in what becomes of money."""

from dataclasses import replace
from itertools import count
from typing import Any

import commande.db.settlement as settlement_rows
from commande.core.command import Action, Decision, Status
from commande.core.payment import PaymentState
from commande.db.tables import prices
from commande.errors import DatabaseBusy
from commande.ids import Seal
from commande.simulation.bench import Bench
from commande.simulation.mutations_clean_up import bury_without_expiring
from commande.simulation.wrong import (
    CORE,
    DB,
    FLOWS,
    GATEWAY,
    by_metadata,
    module,
    mutant,
    nobody_asks,
    nobody_compares,
)

# -- what is believed ----------------------------------------------------------------------------


@mutant("confirm reads the two ids independently")
def no_binding_of_the_pair(bench: Bench) -> None:
    def make(_real: Any) -> Any:
        async def find_ours(shop: Any, session_id: str, command_id: str) -> Any:
            returned = await shop.db.read(module(f"{DB}.pairs").read_return, session_id, command_id)
            other = await shop.db.read(module(f"{DB}.commands").find_command, command_id)
            if returned.pair is None or other is None:
                raise DatabaseBusy("nothing to confirm")
            return returned, returned.pair

        return find_ours

    bench.function(f"{FLOWS}.settlement", "_find_ours", make)


@mutant("a completed session counts as paid, whatever payment_status says")
def trust_completed(bench: Bench) -> None:
    def make(real: Any) -> Any:
        def read_state(status: Any, payment: str, intent: Any) -> PaymentState:
            return PaymentState.PAID if status == "complete" else real(status, payment, intent)

        return read_state

    bench.function(f"{CORE}.payment", "read_state", make)


@mutant("confirm believes the browser and does not ask Stripe")
def trust_the_browser(bench: Bench) -> None:
    def make(real: Any) -> Any:
        async def write_report(shop: Any, report: Any, source: str, *more: Any) -> Any:
            if source == "browser":
                report = replace(report, state=PaymentState.PAID)
            return await real(shop, report, source, *more)

        return write_report

    bench.function(f"{FLOWS}.settlement", "write_report", make)


@mutant("an event is believed as it is, however old, and nobody asks", layers=2,
        without=(nobody_asks,), faults={"delayed": 0.5})  # fmt: skip
def trust_the_event(bench: Bench) -> None:
    def make(_real: Any) -> Any:
        async def carries_report(_shop: Any, event: Any, _report: Any) -> bool:
            return bool(event.session_id)

        return carries_report

    bench.function(f"{FLOWS}.inbox", "_carries_report", make)


@mutant(
    "a fresh event is believed although a refund is known",
    faults={"delayed:checkout.session.completed": 1.0},
    seconds={"delayed": 280.0},
)
def forget_the_refund(bench: Bench) -> None:
    bench.function(f"{DB}.inbox", "has_refund_or_dispute", lambda _: lambda *_a: False)


@mutant(
    "a refund heard before its payment is put aside for ever",
    layers=3,
    without=(nobody_compares,),
    faults={"delayed:checkout.session.completed": 1.0},
    seconds={"delayed": 120.0},
)
def refund_put_aside(bench: Bench) -> None:
    bench.function(f"{DB}.inbox", "wake_money_events", lambda _: lambda *_a: None)
    forget_the_refund.make(bench)


@mutant("a session whose metadata names a command is ours, without our seal", layers=2)
def adopt_without_seal(bench: Bench) -> None:
    bench.method(Seal, "made", lambda _: lambda _self, _metadata: True)
    bench.function(f"{DB}.pairs", "knows_session", lambda _: lambda *_a: True)
    bench.function(f"{DB}.pairs", "lock_pair", by_metadata)
    bench.function(f"{DB}.pairs", "find_pair", by_metadata)


@mutant("webhooks are not verified")
def unsigned_webhook(bench: Bench) -> None:
    bench.function("commande.stripe_gateway.events", "_verify", lambda _: lambda *_a: 2**36)


@mutant("a command id alone opens the command")
def no_token(bench: Bench) -> None:
    bench.method(Seal, "opens", lambda _: lambda _self, _token, _command: True)


# -- money ---------------------------------------------------------------------------------------


@mutant("the snapshot is taken from the catalogue at confirmation")
def snapshot_from_the_catalogue(bench: Bench) -> None:
    def make(real: Any) -> Any:
        def change_command(conn: Any, command: Any, now: Any, **values: Any) -> None:
            if "snapshot" in values:
                for line in values["snapshot"]["lines"]:
                    match = (prices.c.product_id == line["product_id"]) & (
                        prices.c.type == line["type"]
                    )
                    found = conn.execute(prices.select().where(match)).first()
                    line["unit_minor"] = found.amount_minor if found else line["unit_minor"]
            real(conn, command, now, **values)

        return change_command

    bench.function(f"{DB}.commands", "change_command", make)


@mutant("Stripe's total is neither adopted nor compared", layers=2)
def total_not_compared(bench: Bench) -> None:
    bench.function(f"{CORE}.pricing", "adopt_total", lambda _: lambda ours, _theirs: ours)
    bench.function(f"{CORE}.command", "compare", lambda _: lambda _attempt, _report: ())


@mutant("a later refund is not taken over")
def refunds_ignored(bench: Bench) -> None:
    bench.entry(settlement_rows._WRITERS, Action.AGAIN, lambda _: lambda _conn, _case: None)


@mutant("a refund is asked for with a new key each time",
        faults={"cut_body": 0.6})  # fmt: skip
def double_refund(bench: Bench) -> None:
    turns = count(1)

    def make(real: Any) -> Any:
        def call(operation: str, *given: Any, **more: Any) -> Any:
            if operation == "create_refund":
                more["key"] = f"{more['key']}-{next(turns)}"
            return real(operation, *given, **more)

        return call

    real = module(f"{GATEWAY}.troubles").Call
    bench.constant(f"{GATEWAY}.gateway", "Call", make(real))


@mutant("money for a buried command is dropped, and burying does not look at Stripe", layers=2,
        tolerates=frozenset({"I9"}))  # fmt: skip
def late_money_dropped(bench: Bench) -> None:
    bury_without_expiring.make(bench)

    def make(real: Any) -> Any:
        def decide(command: Any, *more: Any) -> Any:
            if command.status is Status.EXPIRED:
                return Decision(Action.NOTHING)
            return real(command, *more)

        return decide

    bench.function(f"{CORE}.command", "decide", make)
