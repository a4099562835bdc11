"""The seeded bugs: each is one that shops really had, or that one careless line would bring back.

A simulation is worth what it catches: ``mutants.py`` counts the worlds until each is.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any, Final

import commande.db.settlement as settlement_rows
from commande.core.command import LIVE, Action, AttemptState, Decision, Status, take_snapshot
from commande.core.payment import PaymentState
from commande.db.tables import attempts, commands, events, messages, prices
from commande.errors import DatabaseBusy
from commande.ids import Seal
from commande.letters import Links
from commande.simulation.bench import Bench, Mutant
from commande.stripe_gateway.gateway import Gateway

MUTANTS: Final[list[Mutant]] = []
CORE, FLOWS, DB = "commande.core", "commande.flows", "commande.db"
GATEWAY: Final = "commande.stripe_gateway"


def mutant(
    breaks: str, *, layers: int = 1, faults: Mapping[str, float] | None = None
) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Register a function that makes a mutant; its name is the mutant's."""

    def register(make: Callable[[Bench], None]) -> Callable[[Bench], None]:
        MUTANTS.append(Mutant(make.__name__, breaks, make, faults or {}, layers))
        return make

    return register


# -- what is believed ----------------------------------------------------------------------------


@mutant("confirm reads the two ids independently")
def no_binding_of_the_pair(bench: Bench) -> None:
    def make(_real: Any) -> Any:
        async def find_ours(shop: Any, session_id: str, command_id: str) -> Any:
            read = settlement_rows.find_command
            returned = await shop.db.read(_module(f"{DB}.pairs").read_return, session_id, command_id)
            other = await shop.db.read(read, command_id)
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
        faults={"delayed": 0.5})  # fmt: skip
def trust_the_event(bench: Bench) -> None:
    nobody_asks(bench)

    def make(_real: Any) -> Any:
        async def carries_report(_shop: Any, event: Any, _report: Any) -> bool:
            return bool(event.session_id)

        return carries_report

    bench.function(f"{FLOWS}.inbox", "_carries_report", make)


@mutant("a fresh event is believed although a refund is known", faults={"reordered": 0.6})
def forget_the_refund(bench: Bench) -> None:
    bench.function(f"{DB}.inbox", "has_refund_or_dispute", lambda _: lambda *_a: False)
    bench.function(f"{DB}.inbox", "wake_money_events", lambda _: lambda *_a: None)


@mutant("a session whose metadata names a command is ours, without our seal", layers=2)
def adopt_without_seal(bench: Bench) -> None:
    bench.method(Seal, "made", lambda _: lambda _self, _metadata: True)
    bench.function(f"{DB}.pairs", "lock_pair", _by_metadata)
    bench.function(f"{DB}.pairs", "find_pair", _by_metadata)


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
        faults={"hang_after": 0.3, "cut_body": 0.3})  # fmt: skip
def double_refund(bench: Bench) -> None:
    turns = count(1)

    def make(real: Any) -> Any:
        def call(operation: str, *given: Any, **more: Any) -> Any:
            if operation == "create_refund":
                more["key"] = f"{more['key']}-{next(turns)}"
            return real(operation, *given, **more)

        return call

    real = _module(f"{GATEWAY}.troubles").Call
    bench.constant(f"{GATEWAY}.gateway", "Call", make(real))


@mutant("money for a buried command is dropped, and burying does not look at Stripe", layers=2)
def late_money_dropped(bench: Bench) -> None:
    bury_without_expiring(bench)

    def make(real: Any) -> Any:
        def decide(command: Any, *more: Any) -> Decision:
            if command.status is Status.EXPIRED:
                return Decision(Action.NOTHING)
            return real(command, *more)

        return decide

    bench.function(f"{CORE}.command", "decide", make)


# -- opening -------------------------------------------------------------------------------------


@mutant("each request to make a session has a new key", faults={"hang_after": 0.2})
def random_idempotency_key(bench: Bench) -> None:
    bench.method(Gateway, "create_session", lambda real: _with_new_key(real, 2))


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
        def resolve(parameters: dict[str, Any], known: Any) -> dict[str, Any]:
            return real(parameters, known) | {"expires_at": parameters["expires_at"] - next(turns)}

        return resolve

    turns = count(1)
    bench.function(f"{CORE}.session", "resolve_tax_rates", make)


@mutant("the address leaves before its session is recorded")
def address_before_the_record(bench: Bench) -> None:
    def make(_real: Any) -> Any:
        async def ask_stripe(shop: Any, found: Any) -> Any:
            make_session = _module(f"{FLOWS}.checkout")._make_session
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
            await shop.db.transaction(_close_locally, plan.attempt.id)

        return retire

    bench.function(f"{FLOWS}.checkout", "_retire", make)


@mutant("a late opener opens an attempt that clean-up closed", faults={"stall": 0.03}, layers=2)
def reopened_after_the_fence(bench: Bench) -> None:
    bury_with_live_attempts(bench)
    bench.function(f"{DB}.attempts", "find_attempt", lambda real: _always_creating(real))


# -- settling and clean-up -----------------------------------------------------------------------


@mutant("the confirmation is sent before the commit")
def mail_before_commit(bench: Bench) -> None:
    def make(real: Any) -> Any:
        async def write_report(shop: Any, report: Any, *more: Any) -> Any:
            if report.paid:
                pair = await shop.db.read(_module(f"{DB}.pairs").find_pair, report.session_id)
                if pair is not None and pair.command.customer and not pair.command.paid:
                    links = Links("https://shop.example", "https://shop.example")
                    key = f"paid:{pair.command.id}"
                    paid = replace(pair.command, snapshot=take_snapshot(pair.attempt.quote))
                    await shop.mail.send(
                        _module("commande.letters.letter").render_letter("paid", paid, shop.settings, links, key)
                    )
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


@mutant("the event is marked done before its effect",
        faults={"crash": 0.01, "429": 0.3, "hang_before": 0.2})  # fmt: skip
def done_before_the_effect(bench: Bench) -> None:
    def make(real: Any) -> Any:
        async def handle_event(shop: Any, event: Any, *more: Any) -> None:
            await shop.db.transaction(_mark_done, event.id)
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


@mutant("an event that fails once is given up",
        faults={"500_before": 0.7, "hang_before": 0.5})  # fmt: skip
def given_up_at_once(bench: Bench) -> None:
    bench.constant(f"{DB}.inbox", "MAX_TRIES", 1)


@mutant("of several events of one session only the first is handled, and nobody asks", layers=2)
def first_event_only(bench: Bench) -> None:
    nobody_asks(bench)

    def make(real: Any) -> Any:
        def claim_events(conn: Any, *given: Any, **more: Any) -> list[Any]:
            claimed = real(conn, *given, **more)
            done = (events.c.state == "done") & events.c.stripe_session_id.is_not(None)
            known = {row.stripe_session_id for row in conn.execute(events.select().where(done))}
            for event in claimed:
                if event.session_id in known:
                    _mark_done(conn, event.id)
            return [event for event in claimed if event.session_id not in known]

        return claim_events

    bench.function(f"{DB}.inbox", "claim_events", make)


def nobody_asks(bench: Bench) -> None:
    """No worker asks Stripe about attempts: a layer that covers much."""
    bench.function(f"{FLOWS}.reconcile", "_ask_about", lambda _: _do_nothing)


@mutant("events are listed from the cursor on, without overlap",
        faults={"lost": 0.9, "late_listing": 0.9})  # fmt: skip
def no_overlap(bench: Bench) -> None:
    bench.constant(f"{FLOWS}.reconcile", "OVERLAP", _module(f"{FLOWS}.reconcile").OVERLAP * 0)


@mutant("a failed debit frees the command, whichever attempt it was of",
        faults={"doubled": 0.5, "delayed": 0.5, "twin": 0.5})  # fmt: skip
def failure_un_pays(bench: Bench) -> None:
    def make(real: Any) -> Any:
        def decide(command: Any, attempt: Any, report: Any, *more: Any) -> Decision:
            if report.state is PaymentState.FAILED:
                return Decision(Action.FAILED, Status.UNPAID, AttemptState.CLOSED)
            return real(command, attempt, report, *more)

        return decide

    bench.function(f"{CORE}.command", "decide", make)


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


@mutant("clean-up buries without expiring at Stripe")
def bury_without_expiring(bench: Bench) -> None:
    def make(_real: Any) -> Any:
        async def end_attempt(shop: Any, attempt: Any, _source: str) -> None:
            await shop.db.transaction(_close_locally, attempt.id)

        return end_attempt

    bench.function(f"{FLOWS}.upkeep", "_end_attempt", make)


@mutant("clean-up expires at Stripe and does not read what became of the session")
def bury_without_reading(bench: Bench) -> None:
    def make(_real: Any) -> Any:
        async def end_attempt(shop: Any, attempt: Any, _source: str) -> None:
            if attempt.stripe_session_id is not None:
                await shop.stripe.expire_session(attempt.stripe_session_id)
            await shop.db.transaction(_close_locally, attempt.id)

        return end_attempt

    bench.function(f"{FLOWS}.upkeep", "_end_attempt", make)


@mutant("clean-up buries a command whose session could not be expired",
        faults={"429": 0.5, "hang_before": 0.3, "500_before": 0.3})  # fmt: skip
def bury_with_live_attempts(bench: Bench) -> None:
    bench.function(f"{DB}.upkeep", "bury_command", _blindly)


@mutant("clean-up takes commands whose money is on its way", layers=3)
def processing_not_fenced(bench: Bench) -> None:
    bench.drop("TRIGGER", "commands_status_moves")
    bench.function(f"{CORE}.command", "may_move", lambda _: lambda _old, _new: True)

    def make(real: Any) -> Any:
        def fence_overdue(conn: Any, cutoff: Any, now: Any, limit: int) -> list[str]:
            match = (commands.c.status == Status.PROCESSING) & (commands.c.created_at <= cutoff)
            conn.execute(commands.update().where(match).values(status=Status.EXPIRING))
            return list(real(conn, cutoff, now, limit))

        return fence_overdue

    bench.function(f"{DB}.upkeep", "fence_overdue", make)


@mutant("clean-up puts up no fence, and burying asks for none", layers=2)
def no_fence(bench: Bench) -> None:
    bench.drop("TRIGGER", "commands_status_moves")
    bench.function(f"{DB}.upkeep", "_fence", lambda _: lambda *_a: None)

    def make(real: Any) -> Any:
        def bury(conn: Any, command_id: str, *more: Any) -> Any:
            match = (commands.c.id == command_id) & (commands.c.status == Status.UNPAID)
            conn.execute(commands.update().where(match).values(status=Status.EXPIRING))
            return _blindly(real)(conn, command_id, *more)

        return bury

    bench.function(f"{DB}.upkeep", "bury_command", make)


@mutant("nobody asks Stripe, and clean-up never comes", layers=2, faults={"lost": 0.9})
def nobody_asks_nor_cleans(bench: Bench) -> None:
    nobody_asks(bench)
    bench.function(f"{FLOWS}.upkeep", "expire_overdue", lambda _: _do_nothing)
    bench.function(f"{FLOWS}.reconcile", "read_events", lambda _: _do_nothing)


# -- pieces --------------------------------------------------------------------------------------


def _module(name: str) -> Any:
    return sys.modules[name]


async def _do_nothing(*_given: Any, **_more: Any) -> None:
    """The duty is off."""


def _with_new_key(real: Any, place: int) -> Any:
    turns = count(1)

    async def call(*given: Any) -> Any:
        fresh = list(given)
        fresh[place] = f"{given[place]}-{next(turns)}"
        return await real(*fresh)

    return call


def _by_metadata(real: Any) -> Any:
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


def _close_locally(conn: Any, attempt_id: str) -> None:
    match = (attempts.c.id == attempt_id) & attempts.c.state.in_(sorted(LIVE))
    conn.execute(attempts.update().where(match).values(state=AttemptState.EXPIRED, url=None))


def _mark_done(conn: Any, event_id: str) -> None:
    match = events.c.stripe_event_id == event_id
    conn.execute(events.update().where(match).values(state="done", next_at=None))


def _blindly(real: Any) -> Any:
    """Burying forgets that an attempt may still be paid."""

    def bury_command(conn: Any, command_id: str, *more: Any) -> Any:
        match = (attempts.c.command_id == command_id) & attempts.c.state.in_(sorted(LIVE))
        conn.execute(attempts.update().where(match).values(state=AttemptState.EXPIRED, url=None))
        return real(conn, command_id, *more)

    return bury_command


def _always_creating(real: Any) -> Any:
    def find_attempt(conn: Any, attempt_id: str) -> Any:
        found = real(conn, attempt_id)
        if found is not None and found.state in (AttemptState.CLOSED, AttemptState.EXPIRED):
            match = attempts.c.id == attempt_id
            conn.execute(attempts.update().where(match).values(state=AttemptState.CREATING))
            return replace(found, state=AttemptState.CREATING)
        return found

    return find_attempt
