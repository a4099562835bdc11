"""Reports in any order, doubled and stale, leave the same command behind."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import permutations

import pytest
from hypothesis import strategies as st

from commande.core.command import (
    SETTLED,
    Action,
    AttemptFacts,
    AttemptState,
    CommandFacts,
    Decision,
    Status,
    decide,
    may_move,
)
from commande.core.payment import PaymentReport, PaymentState
from tests.support.properties import catches, forall

Judge = Callable[[CommandFacts, AttemptFacts, PaymentReport], Decision]
# What a session can live through at Stripe, from its first reading to its last.
STORIES = [
    [PaymentState.OPEN, PaymentState.PAID],
    [PaymentState.OPEN, PaymentState.PROCESSING, PaymentState.PAID],
    [PaymentState.OPEN, PaymentState.PROCESSING, PaymentState.FAILED],
    [PaymentState.OPEN, PaymentState.EXPIRED],
]


@dataclass
class Ledger:
    """The smallest shop: one command, its attempts, and what its money became."""

    status: Status = Status.UNPAID
    paid_session: str | None = None
    attempts: dict[str, AttemptState] = field(default_factory=dict)
    payments: dict[str, str] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def receive(self, report: PaymentReport, judge: Judge) -> None:
        session = report.session_id
        state = self.attempts.setdefault(session, AttemptState.OPEN)
        attempt = AttemptFacts(session, 5998, "eur", False, state, session in self.failed)
        decision = judge(CommandFacts(self.status, self.paid_session), attempt, report)
        self.move(decision.status)
        self.attempts[session] = decision.attempt or state
        if decision.action is Action.APPLY:
            self.paid_session = session
            self.record(session, "applied")
        elif decision.action is Action.DUPLICATE:
            self.record(session, "duplicate")
        elif decision.action is Action.FAILED:
            self.failed.add(session)

    def record(self, session: str, outcome: str) -> None:
        assert self.payments.setdefault(session, outcome) == outcome

    def move(self, status: Status | None) -> None:
        if status not in (None, self.status):
            assert status is not None
            assert may_move(self.status, status), (self.status, status)
            self.status = status

    def clean_up(self, step: str) -> None:
        """Clean-up's fence and tombstone, wherever the table allows them."""
        target = {"fence": Status.EXPIRING, "bury": Status.EXPIRED}[step]
        if may_move(self.status, target):
            self.status = target


def a_report(session: int, state: PaymentState, refunded: int) -> PaymentReport:
    return PaymentReport(
        f"cs_test_{session}", state, 5998, "eur", "payment", livemode=False, refunded_minor=refunded
    )


@dataclass(frozen=True)
class Life:
    """What is told of some sessions."""

    deliveries: list[PaymentReport | str]
    """In any order, doubled, with clean-up between."""
    last: list[PaymentReport]
    """Each session's last reading."""
    late: list[PaymentReport]
    """Answers that were on their way while the last readings came."""


@st.composite
def lives(draw: st.DrawFn) -> Life:
    stories = draw(st.lists(st.sampled_from(STORIES), min_size=1, max_size=4))
    refunds = [draw(st.sampled_from([0, 100, 5998])) for _ in stories]
    readings = [
        a_report(session, state, refunds[session] if state is PaymentState.PAID else 0)
        for session, story in enumerate(stories)
        for state in story
    ]
    anything = st.one_of(st.sampled_from(readings), st.sampled_from(["fence", "bury"]))
    last = [a_report(i, story[-1], refunds[i] * (story[-1] is PaymentState.PAID))
            for i, story in enumerate(stories)]  # fmt: skip
    late = st.lists(st.sampled_from(readings), max_size=4)
    return Life(draw(st.lists(anything, max_size=20)), draw(st.permutations(last)), draw(late))


def every_order_converges(judge: Judge) -> None:
    @forall(lives(), examples=500)
    def _(life: Life) -> None:
        ledger = Ledger()
        paid_by = None
        for delivery in [*life.deliveries, *life.last]:
            if isinstance(delivery, str):
                ledger.clean_up(delivery)
            else:
                ledger.receive(delivery, judge)
            assert paid_by is None or ledger.paid_session == paid_by  # once paid, always paid
            paid_by = ledger.paid_session
            assert (paid_by is not None) == (ledger.status in SETTLED)
        check_end(ledger, life.last)
        before = deepcopy(ledger)
        # Reconciliation reads everything again, slow answers of before come in: nothing changes.
        for report in [*life.last, *life.late]:
            ledger.receive(report, judge)
        assert ledger == before


def check_end(ledger: Ledger, last: list[PaymentReport]) -> None:
    paid = {report.session_id for report in last if report.paid}
    assert set(ledger.payments) == paid  # no paid session is lost, none is invented
    applied = [session for session, outcome in ledger.payments.items() if outcome == "applied"]
    assert applied == ([ledger.paid_session] if paid else [])
    if not paid:
        assert ledger.status in (Status.UNPAID, Status.EXPIRING, Status.EXPIRED)
    ends = {
        PaymentState.PAID: AttemptState.COMPLETE,
        PaymentState.FAILED: AttemptState.CLOSED,
        PaymentState.EXPIRED: AttemptState.EXPIRED,
    }
    assert ledger.attempts == {report.session_id: ends[report.state] for report in last}


def test_reports_in_any_order_leave_one_paid_session_and_the_others_as_duplicates() -> None:
    every_order_converges(decide)


def the_last_one_wins(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    decision = decide(c, a, r)
    if decision.action is Action.DUPLICATE:
        return Decision(Action.APPLY, Status.PAID, AttemptState.COMPLETE)
    return decision


def drops_the_second_payment(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    decision = decide(c, a, r)
    return Decision(Action.NOTHING) if decision.action is Action.DUPLICATE else decision


def unpays(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    if r.state is PaymentState.FAILED:
        return Decision(Action.FAILED, Status.UNPAID, AttemptState.CLOSED)
    return decide(c, a, r)


def buries_late_money(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    return Decision(Action.CLOSE) if c.status is Status.EXPIRED else decide(c, a, r)


def leaves_other_sessions_open(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    decision = decide(c, a, r)
    if c.paid_session_id is not None and decision.action is Action.CLOSE:
        return Decision(Action.CLOSE)
    return decision


def waits_for_what_failed(c: CommandFacts, a: AttemptFacts, r: PaymentReport) -> Decision:
    return decide(c, replace(a, failed=False), r)


@pytest.mark.parametrize(
    "bug",
    [
        the_last_one_wins,
        drops_the_second_payment,
        unpays,
        buries_late_money,
        leaves_other_sessions_open,
        waits_for_what_failed,
    ],
    ids=lambda bug: bug.__name__,
)
def test_control_a_judgement_that_depends_on_order_would_be_caught(bug: Judge) -> None:
    catches(every_order_converges, bug)


def test_three_paid_sessions_in_all_orders_leave_one_payment_and_two_duplicates() -> None:
    for order in permutations(range(3)):
        ledger = Ledger()
        for session in order * 2:
            ledger.receive(a_report(session, PaymentState.PAID, 0), decide)
        assert ledger.paid_session == f"cs_test_{order[0]}"
        assert sorted(ledger.payments.values()) == ["applied", "duplicate", "duplicate"]
