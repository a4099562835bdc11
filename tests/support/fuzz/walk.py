"""A walk through the shop: people do whatever they like in any order, and nothing is lost by it.

Hypothesis chooses the steps, real HTTP carries them, and after each the invariants are looked for
in the database and at Stripe. A walk that breaks one is cut down to its shortest form.
"""

import asyncio
import itertools
from collections import Counter
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from commande.flows.catalogue import change_price
from commande.flows.reconcile import check_due, reconcile
from commande.flows.upkeep import expire_overdue, finish_openings
from tests.support.frontend import Answer, session_of
from tests.support.fuzz.ground import Ground, Seeded, honest
from tests.support.stage import BOUQUET, BREAD

# What holds at every instant; I1 and I12 speak of a shop that has heard everything.
ALWAYS = ("I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9")
MEANS = (
    "4242424242424242", "4242424242424242", "4000000000000002", "4000002500003155",
    "4000008400001629", "DE08370400440532013003", "DE78370400440532013004",
)  # fmt: skip
TROUBLES = ("500_before", "500_after", "cut_body", "429", "502_html", "502_html_after")
EVENT_TROUBLES = ("lost", "doubled", "twin", "late_listing")
STEPS = 30
# More, and a walk is about nothing else.
MOST_TROUBLES = 4
quantities = st.integers(1, 3)


class Walk(RuleBasedStateMachine):
    """One shop from its first order to the evening, when everything has been heard."""

    ground: Ground
    taken: Counter[str]
    orders: Bundle[dict[str, Any]] = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.shop = self.ground.open()
        self.front, self.stage, self.run = self.shop.front, self.shop.stage, self.ground.run
        self.sessions: dict[str, list[str]] = {}
        self.troubles = 0
        self._numbers = itertools.count(1)
        self.proven: dict[str, Any] = {}
        """The snapshot that confirm has shown, by command."""

    def _step(self, name: str, answer: Answer | None = None, *allowed: int) -> None:
        self.taken[name] += 1
        if answer is not None:
            assert answer.status in allowed, (name, answer.status, answer.body)

    def _number(self) -> int:
        """A number that no step before had."""
        return next(self._numbers)

    def _opened(self, answer: Answer) -> dict[str, Any]:
        opened: dict[str, Any] = answer.json
        if "url" in opened:
            self.sessions.setdefault(opened["commandId"], []).append(session_of(opened))
        return opened

    # customers

    @initialize(target=orders, quantity=quantities)
    def opens_the_day(self, quantity: int) -> Any:
        return self._order(quantity, BOUQUET)

    @rule(target=orders, quantity=quantities, product=st.sampled_from((BOUQUET, BREAD)))
    def orders_something(self, quantity: int, product: str) -> Any:
        return self._order(quantity, product)

    def _order(self, quantity: int, product: str) -> Any:
        items = [{"product_id": product, "quantity": quantity}]
        answer = self.run(self.front.create(items=items, customer__city=f"Paris {self._number()}"))
        self._step("orders", answer, 200, 503)
        return self._opened(answer)

    @rule(target=orders, quantity=quantities, key=st.booleans())
    def clicks_twice(self, quantity: int, key: bool) -> Any:
        changes = {"items__0__quantity": quantity, "customer__city": f"Lyon {self._number()}"}
        name = f"click {self._number()}" if key else None

        async def twice() -> list[Answer]:
            both = (self.front.create(name, **changes) for _ in range(2))
            return list(await asyncio.gather(*both))

        answers = self.run(twice())
        for answer in answers:
            self._step("clicks twice", answer, 200, 503)
        opened = [self._opened(answer) for answer in answers]
        assert opened[0]["commandId"] == opened[1]["commandId"], "a double click is one order"
        return opened[0]

    @rule(order=orders, means=st.sampled_from(MEANS), which=st.integers(-3, -1))
    def pays(self, order: dict[str, Any], means: str, which: int) -> None:
        """At the newest payment page, or at an old one that is still open in a tab."""
        self._pay(order, means, which)

    def _pay(self, order: dict[str, Any], means: str, which: int) -> None:
        if known := self.sessions.get(order["commandId"]):
            session = known[max(which, -len(known))]
            self.run(self.stage.control("pay", {"session": session, "payment_method": means}))
            self._step(f"pays {means[:2]}")

    @rule(order=orders, which=st.integers(-2, -1))
    def comes_back(self, order: dict[str, Any], which: int) -> None:
        self._come_back(order, which)

    @rule(order=orders, times=st.integers(1, 2))
    def pays_and_comes_back(self, order: dict[str, Any], times: int) -> None:
        """As most do; some press reload."""
        self._pay(order, MEANS[0], -1)
        for _ in range(times):
            self._come_back(order, -1)

    def _come_back(self, order: dict[str, Any], which: int) -> None:
        if known := self.sessions.get(order["commandId"]):
            pair = {"sessionId": known[max(which, -len(known))], "commandId": order["commandId"]}
            answer = self.run(self.front.confirm({"url": "/x"} | order, **pair))
            self._step(f"comes back {answer.status}", answer, 200, 202, 400, 503)
            if answer.status == 200:
                command = answer.json["command"]
                assert command["paid"] is True
                proof = command["paidAt"], command["cartSnapshot"]
                assert self.proven.setdefault(order["commandId"], proof) == proof

    @rule(order=orders, other=orders)
    def mixes_up(self, order: dict[str, Any], other: dict[str, Any]) -> None:
        known = self.sessions.get(other["commandId"])
        if known and order["commandId"] != other["commandId"]:
            pair = {"sessionId": known[-1], "commandId": order["commandId"]}
            answer = self.run(self.front.confirm({"url": "/x"} | order, **pair))
            self._step("mixes up", answer, 400, 404)

    @rule(order=orders, accept=st.booleans())
    def pays_again(self, order: dict[str, Any], accept: bool) -> None:
        answer = self.run(self.front.retry(order))
        if accept and answer.status == 409 and answer.code == "price_changed":
            total = answer.json["newTotal"]
            answer = self.run(self.front.retry(order, acceptTotal=total))
        self._step(f"pays again {answer.status}", answer, 200, 409, 503)
        if answer.status == 200:
            self._opened(answer)

    @rule(order=orders)
    def looks(self, order: dict[str, Any]) -> None:
        answer = self.run(self.front.status(order))
        self._step("looks", answer, 200)
        if order["commandId"] in self.proven:
            assert answer.json["command"]["paid"] is True, "paid stays paid"

    # Stripe, and the post

    @rule(which=st.integers(0, 40), times=st.sampled_from((1, 1, 2)))
    def hears(self, which: int, times: int) -> None:
        """Some event comes, early, late, once more or never."""
        events = self.run(self.stage.events())
        if events:
            event = events[which % len(events)]
            for _ in range(times):
                self._step("hears", self.run(self.front.deliver(event)), 200, 400)

    @rule()
    def hears_all(self) -> None:
        for event in self.run(self.stage.events("checkout.")):
            self._step("hears", self.run(self.front.deliver(event)), 200, 400)
        self.run(self.stage.work())

    @precondition(lambda self: self.troubles < MOST_TROUBLES)
    @rule(kind=st.sampled_from(TROUBLES), writes=st.booleans())
    def has_trouble(self, kind: str, writes: bool) -> None:
        """With the next call that writes, or that looks at one session; lists are left to us."""
        how = {"method": "POST", "path": "/v1/*"} if writes else {"path": "/v1/checkout/sessions/*"}
        self.run(self.stage.fail(kind, **how))
        self.troubles += 1
        self._step("trouble")

    @rule(kind=st.sampled_from(EVENT_TROUBLES))
    def loses_post(self, kind: str) -> None:
        self.run(self.stage.fail(kind, type="checkout.session.*", seconds=600))
        self._step("post lost")

    @rule(order=orders, amount=st.sampled_from((50, 2999, 5998)), named=st.booleans())
    def stranger_pays(self, order: dict[str, Any], amount: int, named: bool) -> None:
        """Another program of the account; a buyer may name our command there."""
        body = {"amount": amount, "pay_with": MEANS[0], "payment_link": True}
        body |= {"client_reference_id": order["commandId"]} if named else {}
        self.run(self.stage.control("sessions", body))
        self._step("stranger pays")

    @rule(order=orders, amount=st.sampled_from((None, 100)))
    def is_refunded(self, order: dict[str, Any], amount: int | None) -> None:
        """In Stripe's dashboard."""
        for session in self.run(self.stage.sessions()):
            ours = session["client_reference_id"] == order["commandId"]
            if ours and session["payment_intent"] and not session["payment_link"]:
                body = {"payment_intent": session["payment_intent"]}
                self.run(
                    self.stage.control("refunds", body | ({"amount": amount} if amount else {}))
                )
                self._step("refunded")

    @rule(minutes=st.sampled_from((1, 4, 31, 60 * 23, 60 * 25)))
    def time_passes(self, minutes: int) -> None:
        self.run(self.stage.pass_time(minutes=minutes))
        self._step("time passes")

    # the shop

    @rule()
    def works(self) -> None:
        self.run(self._work())
        self._step("works")

    async def _work(self) -> None:
        await self.stage.work()
        await finish_openings(self.stage.shop)
        await check_due(self.stage.shop)

    @rule(hours=st.sampled_from((0, 24)))
    def cleans_up(self, hours: int) -> None:
        self.run(expire_overdue(self.stage.shop, timedelta(hours=hours)))
        self._step("cleans up")

    @rule()
    def reconciles(self) -> None:
        self.run(reconcile(self.stage.shop))
        self._step("reconciles")

    @rule(price=st.integers(50, 9000))
    def reprices(self, price: int) -> None:
        self.run(change_price(self.stage.shop, BOUQUET, "standard", price))
        self._step("reprices")

    # what must hold

    @invariant()
    def holds(self) -> None:
        breaches = self.run(self.stage.breaches(*ALWAYS))
        assert not breaches, breaches

    def teardown(self) -> None:
        try:
            self.run(self._evening())
        finally:
            self.shop.close()

    async def _evening(self) -> None:
        """Trouble is over, everything is heard and asked: now every invariant holds."""
        await self.stage.recover()
        await self.stage.pass_time(minutes=20)
        for _ in range(2):
            await self._work()
            await reconcile(self.stage.shop)
            await expire_overdue(self.stage.shop, timedelta(hours=24))
            await self.stage.pass_time(hours=2)
        await self.stage.work()
        breaches = await self.stage.breaches()
        assert not breaches, breaches


def walk(
    number: int, walks: int, seeded: Seeded = honest, steps: int = STEPS
) -> tuple[Counter[str], str]:
    """So many walks from a seed: the steps that were taken, and the shortest broken walk or ""."""
    ground, taken = Ground(seeded), Counter[str]()

    class Here(Walk):
        pass

    Here.ground, Here.taken = ground, taken
    phases = [Phase.generate, Phase.shrink] if seeded is honest else [Phase.generate]
    chosen = settings(
        max_examples=walks, stateful_step_count=steps, database=None, deadline=None, phases=phases,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
    )  # fmt: skip
    try:
        run_state_machine_as_test(seed(number)(Here), settings=chosen)
    except (AssertionError, Flaky) as error:  # what breaks only sometimes is broken as well
        return taken, "\n".join([str(error), *getattr(error, "__notes__", ())])
    finally:
        ground.close()
    return taken, ""
