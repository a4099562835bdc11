"""What a report makes of a command: the full product of everything that can meet."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import pytest

from commande.core.command import (
    LIVE,
    SETTLED,
    TRANSITIONS,
    Action,
    AttemptFacts,
    AttemptState,
    CommandFacts,
    Decision,
    Status,
    compare,
    decide,
    may_move,
    status_after_refunds,
)
from commande.core.payment import PaymentReport, PaymentState
from tests.support.properties import catches

Judge = Callable[[CommandFacts, AttemptFacts, PaymentReport], Decision]
AMOUNT = 5998
OURS = PaymentReport("cs_test_ours", PaymentState.PAID, AMOUNT, "eur", "payment", livemode=False)
# How a report can differ from what was frozen, by the name that `compare` gives it (S-04).
DIFFERENCES: dict[str, list[PaymentReport]] = {
    "session": [replace(OURS, session_id="cs_test_theirs")],
    "amount": [
        replace(OURS, amount_minor=amount) for amount in (AMOUNT - 1, AMOUNT + 1, 599_800, 0, None)
    ],
    "currency": [replace(OURS, currency=currency) for currency in ("usd", "EUR", "jpy", None)],
    "mode": [replace(OURS, mode=mode) for mode in ("setup", "subscription", "")],
    "livemode": [replace(OURS, livemode=True)],
    "payment_required": [replace(OURS, no_payment_required=True)],
}
REPORTS = [((), OURS), *(((name,), r) for name, rs in DIFFERENCES.items() for r in rs)]
REFUNDS = [0, 1, AMOUNT - 1, AMOUNT, AMOUNT + 1]


@dataclass(frozen=True)
class Meeting:
    """One command, one of its attempts and one report about a session."""

    command: CommandFacts
    attempt: AttemptFacts
    report: PaymentReport
    differences: tuple[str, ...]

    @property
    def possible(self) -> bool:
        """Whether the database could hold such a command (paid session and status together)."""
        return (self.command.paid_session_id is not None) == (self.command.status in SETTLED)


def meetings() -> Iterator[Meeting]:
    """Status × who paid × attempt × failed before × session state × each difference × refunds."""
    parts = product(
        Status,
        ("nobody", "this", "another"),
        product(AttemptState, (False, True)),
        PaymentState,
        REPORTS,
        REFUNDS,
    )
    for status, payer, (attempt_state, failed), state, (differences, report), refunded in parts:
        paid_by = {"nobody": None, "this": report.session_id, "another": "cs_test_another"}[payer]
        yield Meeting(
            CommandFacts(status, paid_by),
            AttemptFacts("cs_test_ours", AMOUNT, "eur", False, attempt_state, failed),
            replace(report, state=state, refunded_minor=refunded),
            differences,
        )


MEETINGS = list(meetings())


def answers_every_meeting(judge: Judge) -> None:
    for meeting in MEETINGS:
        decision = judge(meeting.command, meeting.attempt, meeting.report)
        assert isinstance(decision, Decision)
        if meeting.possible:
            check_moves(meeting, decision)
            check_action(meeting, decision)
            check_attention(meeting, decision)


def check_moves(meeting: Meeting, decision: Decision) -> None:
    """Statuses move by the table; only paid money settles; settled stays settled."""
    old, new = meeting.command.status, decision.status
    assert new is None or new is old or may_move(old, new), meeting
    if old in SETTLED:
        assert new is None or new in SETTLED, meeting
    elif decision.action is not Action.APPLY:
        assert new not in SETTLED, meeting
    assert decision.attempt not in LIVE, meeting
    if not meeting.report.paid and meeting.command.paid_session_id == meeting.report.session_id:
        # Whatever an older reading says of the session that paid: nothing moves.
        assert (decision.status, decision.attempt) == (None, None), meeting


def check_action(meeting: Meeting, decision: Decision) -> None:
    """The action follows from the money, the terms and who paid, and from nothing else."""
    assert decision.action is expected_action(meeting), meeting
    if decision.action in (Action.APPLY, Action.AGAIN):
        refunded = meeting.report.refunded_minor
        assert decision.status is status_after_refunds(AMOUNT, refunded), meeting
        assert not meeting.differences or decision.action is Action.AGAIN
    if decision.action in (Action.APPLY, Action.DUPLICATE):
        assert decision.attempt is AttemptState.COMPLETE, meeting
    if decision.action is Action.MISMATCH:
        assert decision.status is None, meeting
        assert decision.differences == meeting.differences, meeting


def expected_action(meeting: Meeting) -> Action:
    payer, session = meeting.command.paid_session_id, meeting.report.session_id
    if meeting.report.paid:
        if payer == session:
            return Action.AGAIN
        if meeting.differences:
            return Action.MISMATCH
        return Action.APPLY if payer is None else Action.DUPLICATE
    if meeting.differences:
        return Action.MISMATCH
    if payer == session:
        return Action.NOTHING
    if meeting.attempt.failed and meeting.report.state is PaymentState.PROCESSING:
        return Action.NOTHING
    return {
        PaymentState.OPEN: Action.NOTHING,
        PaymentState.PROCESSING: Action.PROCESSING,
        PaymentState.FAILED: Action.FAILED,
        PaymentState.EXPIRED: Action.CLOSE,
    }[meeting.report.state]


def check_attention(meeting: Meeting, decision: Decision) -> None:
    """A person is called where money is in doubt, and only there."""
    late = meeting.command.status is Status.EXPIRED
    settled = meeting.command.status in SETTLED
    called = {
        Action.MISMATCH: True,
        Action.DUPLICATE: True,
        Action.APPLY: late,
        Action.PROCESSING: late or settled,
    }.get(decision.action, False)
    assert (decision.attention is not None) == called, meeting


def test_s04_every_meeting_is_judged_by_the_rules() -> None:
    assert len(MEETINGS) == 7 * 3 * 5 * 2 * 5 * 16 * 5
    answers_every_meeting(decide)


def trusts_complete(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    processing = r.state is PaymentState.PROCESSING
    return decide(c, a, replace(r, state=PaymentState.PAID) if processing else r)


def believes_any_amount(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    return decide(c, a, replace(r, amount_minor=a.amount_minor))


def believes_any_currency(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    return decide(c, a, replace(r, currency=a.currency))


def believes_test_money(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    return decide(c, a, replace(r, livemode=a.livemode))


def believes_any_session(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    return decide(c, replace(a, session_id=r.session_id), r)


def pays_twice(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    decision = decide(c, a, r)
    return (
        replace(decision, action=Action.APPLY) if decision.action is Action.DUPLICATE else decision
    )


def forgets_that_it_was_paid(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    if r.state is PaymentState.FAILED and c.status in SETTLED:
        return Decision(Action.FAILED, Status.UNPAID)
    return decide(c, a, r)


def waits_for_what_failed(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    return decide(c, replace(a, failed=False), r)


def drops_late_money(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    return Decision(Action.CLOSE) if c.status is Status.EXPIRED else decide(c, a, r)


@pytest.mark.parametrize(
    "bug",
    [
        trusts_complete,
        believes_any_amount,
        believes_any_currency,
        believes_test_money,
        believes_any_session,
        pays_twice,
        forgets_that_it_was_paid,
        waits_for_what_failed,
        drops_late_money,
    ],
    ids=lambda bug: bug.__name__,
)
def test_control_a_wrong_judgement_would_be_caught(bug: Judge) -> None:
    catches(answers_every_meeting, bug)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_s04_each_difference_is_named(name: str) -> None:
    ours = AttemptFacts("cs_test_ours", AMOUNT, "eur", livemode=False, state=AttemptState.OPEN)
    assert compare(ours, OURS) == ()
    for report in DIFFERENCES[name]:
        assert compare(ours, report) == (name,)


def test_what_was_applied_is_applied_once() -> None:
    applied = 0
    for meeting in MEETINGS:
        decision = decide(meeting.command, meeting.attempt, meeting.report)
        if meeting.possible and decision.action is Action.APPLY:
            assert decision.status is not None
            after = CommandFacts(decision.status, meeting.report.session_id)
            again = decide(
                after, replace(meeting.attempt, state=AttemptState.COMPLETE), meeting.report
            )
            assert (again.action, again.status) == (Action.AGAIN, decision.status)
            assert again.attention is None
            applied += 1
    assert applied


def test_an_old_failure_told_again_does_not_free_a_command_whose_newer_payment_is_under_way() -> (
    None
):
    failed = replace(OURS, state=PaymentState.FAILED)
    attempt = AttemptFacts(
        "cs_test_ours", AMOUNT, "eur", livemode=False, state=AttemptState.COMPLETE
    )
    processing = CommandFacts(Status.PROCESSING, None)
    first = decide(processing, attempt, failed)
    assert (first.status, first.attempt) == (Status.UNPAID, AttemptState.CLOSED)
    # The customer tried again by transfer, and the failure of the first session is delivered anew.
    again = decide(processing, replace(attempt, state=AttemptState.CLOSED), failed)
    assert (again.action, again.status) == (Action.FAILED, None)


def test_an_older_reading_of_the_session_that_paid_calls_nobody() -> None:
    paid = CommandFacts(Status.PAID, OURS.session_id)
    attempt = AttemptFacts(
        "cs_test_ours", AMOUNT, "eur", livemode=False, state=AttemptState.COMPLETE
    )
    for state in set(PaymentState) - {PaymentState.PAID}:
        assert decide(paid, attempt, replace(OURS, state=state)) == Decision(Action.NOTHING)


def test_an_open_session_beside_the_one_that_paid_is_closed_when_it_expires() -> None:
    paid = CommandFacts(Status.PAID, "cs_test_another")
    attempt = AttemptFacts("cs_test_ours", AMOUNT, "eur", livemode=False, state=AttemptState.OPEN)
    decision = decide(paid, attempt, replace(OURS, state=PaymentState.EXPIRED))
    assert (decision.action, decision.attempt) == (Action.CLOSE, AttemptState.EXPIRED)


def test_the_table_names_every_status_and_nothing_leads_out_of_settled() -> None:
    assert set(TRANSITIONS) == set(Status)
    for old, targets in TRANSITIONS.items():
        assert old not in targets
        assert targets <= set(Status)
        assert targets <= SETTLED or old not in SETTLED
        # Money may arrive in any status, refunded or not.
        assert targets | {old} >= SETTLED


def test_refunds_move_a_paid_command_there_and_back() -> None:
    statuses = [status_after_refunds(AMOUNT, refunded) for refunded in (-1, *REFUNDS)]
    partly = Status.PARTIALLY_REFUNDED
    assert statuses == [Status.PAID, Status.PAID, partly, partly, Status.REFUNDED, Status.REFUNDED]
