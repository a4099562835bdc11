"""What every part of the stand-in is handed: state, clock, ids, settings, timers."""

import heapq
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from commande.sandbox.clock import Clock
from commande.sandbox.faults import Faults
from commande.sandbox.ids import Ids
from commande.sandbox.store import Row, State
from commande.sandbox.tax import Rounding

API_VERSION = "2026-10-28.endive"


@dataclass
class Settings:
    """What may be changed while it runs. Delays are seconds of the stand-in's clock."""

    tax_rounding: Rounding = "line"
    sepa_delay: float = 5.0
    refund_delay: float = 60.0
    dispute_delay: float = 5.0
    # Stripe in test mode: "three times over the course of a few hours".
    retry_delays: tuple[float, ...] = (600.0, 3600.0, 10800.0)
    # Nobody here has seen whether a session names its intent after a first decline: play both.
    intent_after_decline: bool = True
    # Requests a second for any one address, as an account has them (25); none by default.
    rate_limit: int | None = None

    @classmethod
    def names(cls) -> set[str]:
        return {field.name for field in fields(cls)}

    def listed(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Cause:
    """The request that made an event happen; none for what the clock does."""

    request: str | None = None
    idempotency_key: str | None = None


class World:
    """State, clock, ids, settings, faults and what is due later."""

    def __init__(
        self, state: State, clock: Clock, ids: Ids, settings: Settings, faults: Faults, url: str,
        shop_name: str,
    ) -> None:  # fmt: skip
        self.state, self.clock, self.ids = state, clock, ids
        self.settings, self.faults = settings, faults
        self.url, self.shop_name = url, shop_name
        account = state.get("account", "account")
        if account is None:
            account = {"id": ids.new("acct_1", 15), "configuration": ids.new("pmc_1")}
            state.put("account", "account", account)
        self.account = account
        self.cause = Cause()
        self.setback = 60.0  # seconds that the clock may have been put back, ever
        self.wake: Callable[[], None] = lambda: None  # told when a delivery or timer was added
        self.flying: set[str] = set()  # deliveries sent and not yet reported; a restart resends
        self._turn = 0
        self._timers: list[tuple[float, int, str]] = []
        self._deliveries: list[tuple[float, int, str]] = []
        for id_, row in state.rows["timer"].items():
            self._push(self._timers, row["due"], id_)
        for id_, row in state.rows["delivery"].items():
            self._push(self._deliveries, row["due"], id_)

    @property
    def now(self) -> int:
        return int(self.clock.now())

    def _push(self, heap: list[tuple[float, int, str]], due: float, id_: str) -> None:
        self._turn += 1
        heapq.heappush(heap, (due, self._turn, id_))

    def name(self, kind: str) -> str:
        """A name for something of ours that nobody outside sees; new over restarts too."""
        self._turn += 1
        return f"{kind}_{self.ids.starts}_{self._turn}"

    def schedule(self, due: float, action: str, target: str) -> None:
        """Have `action` done to `target` when the clock reaches `due`."""
        id_ = self.name("timer")
        self.state.put("timer", id_, {"due": due, "action": action, "target": target})
        self._push(self._timers, due, id_)
        self.wake()

    def take_timer(self) -> Row | None:
        """The next timer that is due, taken off; None when none is."""
        while self._timers and self._timers[0][0] <= self.clock.now():
            _, _, id_ = heapq.heappop(self._timers)
            row = self.state.get("timer", id_)
            if row is not None:
                self.state.drop("timer", id_)
                return row
        return None

    def queue_delivery(self, id_: str, row: Row) -> None:
        self.state.put("delivery", id_, row)
        self._push(self._deliveries, row["due"], id_)
        self.wake()

    def take_delivery(self) -> tuple[str, Row] | None:
        """The next delivery that is due. It stays on file until its outcome is reported."""
        while self._deliveries and self._deliveries[0][0] <= self.clock.now():
            due, _, id_ = heapq.heappop(self._deliveries)
            row = self.state.get("delivery", id_)
            # Else it was moved, settled or is already under way.
            if row is not None and row["due"] == due and id_ not in self.flying:
                self.flying.add(id_)
                return id_, row
        return None

    def next_due(self) -> float | None:
        """When the clock has something to do next, in its own seconds."""
        heads = [heap[0][0] for heap in (self._timers, self._deliveries) if heap]
        return min(heads) if heads else None
