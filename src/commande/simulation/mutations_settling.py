"""Seeded bugs in settling, in the inbox and in the outbox."""

from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import commande.db.settlement as settlement_rows
from commande.core.command import Action, AttemptState, Decision, Status, take_snapshot
from commande.core.payment import PaymentState
from commande.db.tables import commands, events, messages
from commande.errors import DatabaseBusy
from commande.letters import Links
from commande.simulation.bench import Bench
from commande.simulation.wrong import (
    CORE,
    DB,
    FLOWS,
    any_move,
    mark_done,
    module,
    mutant,
    nobody_asks,
    nobody_compares,
)

# -- settling and clean-up -----------------------------------------------------------------------


@mutant("paid is written WHERE status = 'unpaid', and nobody counts the rows")
def silent_zero_rows(bench: Bench) -> None:
    def make(real: Any) -> Any:
        def change_command(conn: Any, command: Any, now: Any, **values: Any) -> None:
            if "snapshot" not in values:
                real(conn, command, now, **values)
                return
            match = (commands.c.id == command.id) & (commands.c.status == Status.UNPAID)
            conn.execute(commands.update().where(match).values(**values, updated_at=now))

        return change_command

    bench.function(f"{DB}.commands", "change_command", make)


@mutant("the confirmation is sent before the commit")
def mail_before_commit(bench: Bench) -> None:
    def make(real: Any) -> Any:
        async def write_report(shop: Any, report: Any, *more: Any) -> Any:
            if report.paid:
                pair = await shop.db.read(module(f"{DB}.pairs").find_pair, report.session_id)
                if pair is not None and pair.command.customer and not pair.command.paid:
                    links = Links("https://shop.example", "https://shop.example")
                    key = f"paid:{pair.command.id}"
                    paid = replace(pair.command, snapshot=take_snapshot(pair.attempt.quote))
                    render = module("commande.letters.letter").render_letter
                    await shop.mail.send(render("paid", paid, shop.settings, links, key))
            return await real(shop, report, *more)

        return write_report

    bench.function(f"{FLOWS}.settlement", "write_report", make)


@mutant("every report queues a confirmation, under a key of its own", layers=2)
def random_outbox_key(bench: Bench) -> None:
    turns = count(1)

    def make(real: Any) -> Any:
        def again(conn: Any, case: Any) -> None:
            real(conn, case)
            row = {"key": f"paid:{case.command.id}:{next(turns)}", "kind": "paid",
                   "command_id": case.command.id, "state": "pending", "tries": 0,
                   "next_at": case.now, "created_at": case.now}  # fmt: skip
            conn.execute(messages.insert(), row)

        return again

    bench.entry(settlement_rows._WRITERS, Action.AGAIN, make)


@mutant("every sending of a letter has another Message-ID", faults={"mail_unsure": 0.4})
def random_message_id(bench: Bench) -> None:
    turns = count(1)

    def make(real: Any) -> Any:
        def render(*given: Any) -> Any:
            letter = real(*given)
            name, _, host = letter.message_id.partition("@")
            return replace(letter, message_id=f"{name}.{next(turns)}@{host}")

        return render

    bench.function("commande.letters.letter", "render_letter", make)


@mutant("the event is marked done before its effect", layers=2, without=(nobody_compares,),
        faults={"crash": 0.01, "429": 0.3, "hang_before": 0.2})  # fmt: skip
def done_before_the_effect(bench: Bench) -> None:
    def make(real: Any) -> Any:
        async def handle_event(shop: Any, event: Any, *more: Any) -> None:
            await shop.db.transaction(mark_done, event.id)
            await real(shop, event, *more)

        return handle_event

    bench.function(f"{FLOWS}.inbox", "handle_event", make)


@mutant("an event that cannot be stored is acknowledged", faults={"db_busy": 0.05})
def acknowledged_and_dropped(bench: Bench) -> None:
    def make(real: Any) -> Any:
        async def receive_event(*given: Any) -> bool:
            try:
                return bool(await real(*given))
            except DatabaseBusy:
                return False

        return receive_event

    bench.function(f"{FLOWS}.inbox", "receive_event", make)


@mutant("an event that fails once is given up for good", layers=3, without=(nobody_compares,),
        faults={"500_before": 0.6, "hang_before": 0.1})  # fmt: skip
def given_up_at_once(bench: Bench) -> None:
    bench.constant(f"{DB}.inbox", "MAX_TRIES", 1)
    bench.constant(f"{DB}.inbox", "HORIZON", timedelta())


@mutant("of several events of one session only the first is handled, and nobody asks", layers=2,
        without=(nobody_asks,))  # fmt: skip
def first_event_only(bench: Bench) -> None:
    def make(real: Any) -> Any:
        def claim_events(conn: Any, *given: Any, **more: Any) -> list[Any]:
            claimed = real(conn, *given, **more)
            done = (events.c.state == "done") & events.c.stripe_session_id.is_not(None)
            known = {row.stripe_session_id for row in conn.execute(events.select().where(done))}
            for event in claimed:
                if event.session_id in known:
                    mark_done(conn, event.id)
            return [event for event in claimed if event.session_id not in known]

        return claim_events

    bench.function(f"{DB}.inbox", "claim_events", make)


@mutant("events are listed from the cursor on, without overlap", layers=2,
        without=(nobody_compares,),
        faults={"lost:*refund*": 1.0, "late_listing:*refund*": 1.0},
        seconds={"late_listing": 6000.0})  # fmt: skip
def no_overlap(bench: Bench) -> None:
    bench.constant(f"{FLOWS}.reconcile", "OVERLAP", module(f"{FLOWS}.reconcile").OVERLAP * 0)


@mutant("a failed debit frees the command, whichever attempt it was of", layers=3,
        faults={"doubled": 0.5, "delayed": 0.5, "twin": 0.5})  # fmt: skip
def failure_un_pays(bench: Bench) -> None:
    any_move(bench)

    def make(real: Any) -> Any:
        def decide(command: Any, attempt: Any, report: Any, *more: Any) -> Any:
            if report.state is PaymentState.FAILED:
                return Decision(Action.FAILED, Status.UNPAID, AttemptState.CLOSED)
            return real(command, attempt, report, *more)

        return decide

    bench.function(f"{CORE}.command", "decide", make)
