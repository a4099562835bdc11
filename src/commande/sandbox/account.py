"""One Stripe account as the stand-in keeps it: its state, its keys, its log, its clock's hand."""

import threading
from collections import Counter, deque
from pathlib import Path

from commande.sandbox import payments, refunds, sessions
from commande.sandbox.clock import Clock, RunningClock
from commande.sandbox.faults import Faults
from commande.sandbox.idempotency import Keys
from commande.sandbox.ids import Ids
from commande.sandbox.keys import refuse_live
from commande.sandbox.routes import Route
from commande.sandbox.store import FileState, Row, State
from commande.sandbox.tax import Rounding
from commande.sandbox.world import Cause, Settings, World

_LOGGED = 10_000


class Account:
    """What calls and the dashboard work on. Whoever comes from another thread takes `lock`."""

    def __init__(
        self,
        *,
        url: str,
        api_key: str | None,
        state: Path | None,
        seed: int | str | None,
        clock: Clock | None,
        tax_rounding: Rounding,
        shop_name: str,
    ) -> None:
        refuse_live(api_key)
        self.lock = threading.RLock()  # a test looks in from its own thread
        self.api_key = api_key
        kept = FileState(state) if state is not None else State()
        started: Row = {"starts": 0, "offset": 0.0, "setback": 60.0}
        started |= kept.get("settings", "settings") or {}
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
        self.requests: deque[Row] = deque(maxlen=_LOGGED)
        self.calls: Counter[str] = Counter()
        self._seconds: Counter[tuple[str, int]] = Counter()
        self._starts = started["starts"] + 1
        self.remember_clock()

    def remember_clock(self) -> None:
        offset = getattr(self.world.clock, "offset", 0.0)
        row = {"starts": self._starts, "offset": offset, "setback": self.world.setback}
        self.state.put("settings", "settings", row)

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
