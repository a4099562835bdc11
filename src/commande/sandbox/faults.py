"""Faults on demand: each for the next N matching requests or events, or with a probability."""

import random
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

REQUEST_FAULTS = (
    "latency",  # answer `seconds` later
    "500_before",  # nothing done, nothing kept: a repeat does it
    "500_after",  # done; the 500 is kept under the idempotency key, as Stripe keeps it
    "hang_before",  # no answer for `seconds`, nothing done
    "hang_after",  # done, then no answer for `seconds`
    "cut_body",  # done; the connection breaks in the middle of the answer
    "429",  # turned away before anything else, as Stripe's limiter does
    "502_html",  # a proxy's page instead of an answer; nothing done
    "502_html_after",  # the same, but it was done
)
EVENT_FAULTS = (
    "lost",  # never delivered; listed in /v1/events
    "doubled",  # delivered twice
    "twin",  # two event ids for one change
    "reordered",  # delivered `seconds` after those that come later
    "delayed",  # delivered `seconds` late
    "bad_signature",  # first delivery signed with another secret
    "late_listing",  # shown in /v1/events `seconds` later than its `created`
)
_SECONDS = {"latency": 1.0, "hang_before": 80.0, "hang_after": 80.0, "reordered": 1.0,
            "delayed": 5.0, "late_listing": 10.0}  # fmt: skip


@dataclass
class Fault:
    """One order for trouble.

    `count`: how many more times (None: for ever). `probability`: how often it strikes when it
    matches. `method` and `path` narrow requests, `type` narrows events; shell patterns.
    """

    kind: str
    count: int | None = 1
    probability: float = 1.0
    method: str = "*"
    path: str = "*"
    type: str = "*"
    seconds: float = 0.0
    id: str = ""
    struck: int = 0

    def listed(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Faults:
    """The orders for trouble that stand, and the dice."""

    dice: random.Random = field(default_factory=random.Random)
    orders: list[Fault] = field(default_factory=list)
    _made: int = 0

    def add(self, kind: str, **how: Any) -> Fault:
        """Order a fault. A probability without a count stands until it is removed.

        Raises ValueError for an unknown kind or field, or a figure out of range;
        TypeError for a pattern that is none.
        """
        if kind not in REQUEST_FAULTS + EVENT_FAULTS:
            raise ValueError(f"unknown fault: {kind!r}; known: {', '.join(ALL_FAULTS)}")
        strange = how.keys() - {"count", "probability", "method", "path", "type", "seconds"}
        if strange:
            raise ValueError(f"unknown field: {', '.join(sorted(strange))}")
        how.setdefault("count", None if "probability" in how else 1)
        how.setdefault("seconds", _SECONDS.get(kind, 0.0))
        _check_figures(how)
        self._made += 1
        fault = Fault(kind, id=f"fault_{self._made}", **how)
        self.orders.append(fault)
        return fault

    def remove(self, id_: str | None = None) -> int:
        """Take one order back, or all; how many were."""
        before = len(self.orders)
        self.orders = [order for order in self.orders if id_ is not None and order.id != id_]
        return before - len(self.orders)

    def strike(self, kinds: tuple[str, ...], **what: str) -> dict[str, Fault]:
        """The faults that strike this request (`method`, `path`) or event (`type`), by kind."""
        if not self.orders:
            return {}
        struck: dict[str, Fault] = {}
        for order in self.orders:
            if (
                order.kind in kinds
                and order.kind not in struck
                and all(fnmatchcase(value, getattr(order, name)) for name, value in what.items())
                and (order.probability >= 1 or self.dice.random() < order.probability)
            ):
                struck[order.kind] = order
                order.struck += 1
                if order.count is not None:
                    order.count -= 1
        self.orders = [order for order in self.orders if order.count != 0]
        return struck


ALL_FAULTS = REQUEST_FAULTS + EVENT_FAULTS


def _check_figures(how: dict[str, Any]) -> None:
    count, chance, seconds = how["count"], how.get("probability", 1.0), how["seconds"]
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise ValueError("count must be a whole number of at least 1, or null")
    if not isinstance(chance, int | float) or not 0 <= chance <= 1:
        raise ValueError("probability must lie between 0 and 1")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= 86_400:
        raise ValueError("seconds must lie between 0 and 86400")
    for name in ("method", "path", "type"):
        if not isinstance(how.get(name, "*"), str):
            raise TypeError(f"{name} must be a pattern")
