"""The profile of one world: which faults strike, how often, and who is there. Drawn from the seed.

Most worlds have a few kinds of trouble and strong ones: with everything broken at once nothing
would ever get far enough to break in an interesting place.
"""

from dataclasses import dataclass, field
from math import exp, log
from random import Random
from typing import Final

# kind: least and greatest probability per occasion when the kind is in the profile.
FAULTS: Final[dict[str, tuple[float, float]]] = {
    # our processes
    "crash": (0.001, 0.03),
    "stall": (0.0005, 0.01),
    # our database
    "db_busy": (0.002, 0.1),
    "db_unknown": (0.001, 0.05),
    "db_rerun": (0.005, 0.2),
    # requests to Stripe
    "500_before": (0.01, 0.4),
    "500_after": (0.01, 0.4),
    "hang_before": (0.005, 0.2),
    "hang_after": (0.01, 0.4),
    "cut_body": (0.01, 0.4),
    "429": (0.02, 0.5),
    "502_html": (0.01, 0.2),
    "502_html_after": (0.01, 0.3),
    "straggler": (0.005, 0.1),
    "outage": (1.0, 1.0),
    # events
    "lost": (0.05, 1.0),
    "doubled": (0.05, 0.6),
    "twin": (0.05, 0.6),
    "reordered": (0.05, 0.8),
    "delayed": (0.05, 0.8),
    "bad_signature": (0.02, 0.4),
    "late_listing": (0.05, 0.8),
    "ack_lost": (0.02, 0.4),
    # customers' lines and mail
    "answer_lost": (0.02, 0.3),
    "mail_down": (0.05, 0.6),
    "mail_unsure": (0.05, 0.4),
    "skew": (1.0, 1.0),
}
REQUESTS: Final = (
    "500_before", "500_after", "hang_before", "hang_after", "cut_body", "429",
    "502_html", "502_html_after",
)  # fmt: skip
EVENTS: Final = (
    "lost", "doubled", "twin", "reordered", "delayed", "bad_signature", "late_listing",
)  # fmt: skip
_SECONDS: Final = {"reordered": (1, 30), "delayed": (5, 7200), "late_listing": (10, 6000)}
_HOUR: Final = 3600.0


@dataclass(slots=True)
class Profile:
    """What one world is like."""

    seed: int
    checkouts: int
    faults: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """How long a fault of that kind lasts, where it lasts."""
    servers: int = 1
    workers: int = 1
    arrivals: float = _HOUR
    """Seconds over which customers arrive."""
    busy: float = 26 * _HOUR
    """Seconds after which the faults stop."""
    sepa: float = 5.0
    """Seconds until a bank answers a debit."""
    foreign_events: str = "reject"
    late_payments: str = "keep"
    tax_rounding: str = "line"
    without: frozenset[str] = frozenset()
    """Actors that shrinking took away, by name."""
    tolerates: frozenset[str] = frozenset()
    """Invariants that a seeded bug breaks on its way to the one that is to give it away."""

    def rng(self, name: str) -> Random:
        """Each actor has dice of its own, so that taking one away leaves the others' alone."""
        return Random(f"{self.seed}/{name}")  # noqa: S311 – dice, not keys


def draw_profile(
    seed: int, *, without: frozenset[str] = frozenset(), checkouts: int | None = None
) -> Profile:
    """The world of a seed; ``without`` takes actors and kinds of faults away from it."""
    dice = Random(f"{seed}/profile")  # noqa: S311 – dice, not keys
    drawn = dice.randint(20, 60)
    profile = Profile(seed, checkouts or drawn)
    eagerness = dice.choice((0.0, 0.1, 0.25, 0.25, 0.5))
    for kind, (low, high) in FAULTS.items():
        strength = exp(dice.uniform(log(low), log(high)))
        if dice.random() < eagerness and kind not in without:
            profile.faults[kind] = strength
    for kind, (low, high) in _SECONDS.items():
        profile.seconds[kind] = exp(dice.uniform(log(low), log(high)))
    profile.servers = dice.choice((1, 2, 2, 3))
    profile.workers = dice.choice((1, 1, 2))
    profile.arrivals = dice.choice((60.0, 600.0, _HOUR, 6 * _HOUR, 20 * _HOUR))
    profile.sepa = dice.choice((5.0, 180.0, 2 * _HOUR, 30 * _HOUR, 3 * 24 * _HOUR))
    profile.foreign_events = dice.choice(("reject", "reject", "ignore"))
    profile.late_payments = dice.choice(("keep", "refund"))
    profile.tax_rounding = dice.choice(("line", "line", "rate"))
    profile.without = without
    return profile
