"""The stand-in without HTTP: one request in, one answer out, no event loop, no sockets.

    engine = Engine(clock=StandingClock(), seed=7)
    status, headers, body = engine.handle("POST", "/v1/tax_rates", {...}, {"authorization": ...})

Thousands of checkouts a second fit through it, so a simulation can call it in its own process.
"""

import threading
from collections import Counter, deque
from pathlib import Path
from typing import Any

from commande.sandbox import payments, refunds, sessions, webhooks
from commande.sandbox.call import Call
from commande.sandbox.clock import Clock, RunningClock
from commande.sandbox.dashboard import Dashboard
from commande.sandbox.errors import Refusal
from commande.sandbox.faults import Fault, Faults
from commande.sandbox.idempotency import Keys
from commande.sandbox.ids import Ids
from commande.sandbox.keys import refuse_live
from commande.sandbox.routes import Route
from commande.sandbox.store import FileState, Row, State
from commande.sandbox.tax import Rounding
from commande.sandbox.world import Cause, Settings, World

_LOGGED = 10_000


class AnswerLost(Exception):
    """The caller never gets (all of) the answer. `done` tells what it cannot know."""

    def __init__(self, kind: str, *, done: bool) -> None:
        super().__init__(kind)
        self.kind, self.done = kind, done


class Engine:
    """The stand-in itself. One request at a time: whoever comes from another thread waits."""

    def __init__(
        self,
        *,
        url: str = "http://127.0.0.1:4242/sandbox",
        api_key: str | None = None,
        endpoints: list[tuple[str, str]] | None = None,
        state: Path | None = None,
        seed: int | str | None = None,
        clock: Clock | None = None,
        tax_rounding: Rounding = "line",
        shop_name: str = "Le Petit Passage",
    ) -> None:
        refuse_live(api_key)
        self.lock = threading.RLock()  # a test looks in from its own thread
        self.api_key = api_key
        kept = FileState(state) if state is not None else State()
        started = kept.get("settings", "settings") or {"starts": 0, "offset": 0.0, "setback": 60.0}
        settings = Settings(tax_rounding=tax_rounding)
        faults = Faults()
        if seed is not None:
            faults.dice.seed(f"{seed}/faults/{started['starts']}")
        self.world = World(
            kept,
            clock or RunningClock(started["offset"]),
            Ids(seed, started["starts"]),
            settings,
            faults,
            url.rstrip("/"),
            shop_name,
        )
        self.world.setback = started["setback"]
        self.state = kept
        self.keys = Keys(self.world)
        self.dashboard = Dashboard(self)
        self.requests: deque[Row] = deque(maxlen=_LOGGED)
        self.calls: Counter[str] = Counter()
        self._seconds: Counter[tuple[str, int]] = Counter()
        self._starts = started["starts"] + 1
        self.remember_clock()
        for address, secret in endpoints or []:
            self._register(address, secret)
        self.tick()

    def remember_clock(self) -> None:
        offset = getattr(self.world.clock, "offset", 0.0)
        row = {"starts": self._starts, "offset": offset, "setback": self.world.setback}
        self.state.put("settings", "settings", row)

    def _register(self, address: str, secret: str) -> None:
        """Register an endpoint given at the start; one that is on file gets its secret again."""
        for id_, row in self.state.rows["webhook_endpoint"].items():
            if row["url"] == address:
                self.state.put("webhook_secret", id_, {"secret": secret})
                return
        webhooks.create_endpoint(self.world, {"url": address, "enabled_events": ["*"]}, secret)

    # -- time -----------------------------------------------------------------------------------

    def tick(self) -> None:
        """Do what the clock says is due (expiries, bank answers), and write it down."""
        with self.lock:
            timer = self.world.take_timer()
            while timer is not None:
                self.world.cause = Cause()
                _do_timer(self.world, timer["action"], timer["target"])
                timer = self.world.take_timer()
            self.state.commit()

    def next_due(self) -> float | None:
        """When something is due next, by the stand-in's clock."""
        return self.world.next_due()

    def next_parcel(self) -> webhooks.Parcel | None:
        """The next webhook to send; report it with `report_parcel`."""
        with self.lock:
            self.tick()
            return webhooks.next_parcel(self.world)

    def report_parcel(self, delivery: str, status: int | None) -> None:
        """Tell how a webhook was received (None: not at all)."""
        with self.lock:
            webhooks.report_parcel(self.world, delivery, status)
            self.state.commit()

    # -- requests -------------------------------------------------------------------------------

    def fail(self, kind: str, **how: Any) -> Fault:
        """Order a fault: see `faults.py` for the kinds; count, probability, method, path, type."""
        return self.world.faults.add(kind, **how)

    def begin(self, method: str, path: str, params: Row | Refusal, headers: dict[str, str]) -> Call:
        """Take a request in: log it, choose its faults, take its idempotency key."""
        with self.lock:
            return Call(self, method, path, params, headers)

    def handle(
        self, method: str, path: str, params: Row | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        """Answer one request at once. `params` nested, headers in lower case.

        Raises AnswerLost where HTTP would hang or break off; latency is not slept.
        """
        call = self.begin(method, path, params or {}, headers or {})
        if call.hang_before:
            call.give_up()
            raise AnswerLost("hang_before", done=False)
        answer = call.run()
        if answer.hang or answer.cut:
            raise AnswerLost("hang_after" if answer.hang else "cut_body", done=True)
        return answer.status, answer.headers, answer.body

    def over_limit(self, route: Route) -> bool:
        """Whether this address has had its requests for this second."""
        limit = self.world.settings.rate_limit
        if limit is None:
            return False
        second = self.world.now
        if not any(at == second for _, at in self._seconds):
            self._seconds.clear()
        self._seconds[f"{route.method} {'/'.join(route.path)}", second] += 1
        return self._seconds[f"{route.method} {'/'.join(route.path)}", second] > limit

    def close(self) -> None:
        self.state.close()


def _do_timer(world: World, action: str, target: str) -> None:
    if action == "expire_session":
        sessions.expire_session(world, target, by_clock=True)
    elif action == "settle_debit":
        payments.finish_debit(world, target, succeeds=True)
    elif action == "fail_debit":
        payments.finish_debit(world, target, succeeds=False)
    elif action == "settle_refund":
        refunds.settle_refund(world, target)
    elif action == "fail_refund":
        refunds.fail_refund(world, target)
    elif action == "open_dispute":
        charge = world.state.get("charge", target)
        if charge and charge["status"] == "succeeded" and not charge["disputed"]:
            refunds.open_dispute(world, target)
