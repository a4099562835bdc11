"""How long we wait for Stripe, how much at once, and when we stop asking for a while."""

from dataclasses import dataclass

from commande.core.payment import STRIPE_DEADLINE
from commande.errors import StripeUnavailable


@dataclass(frozen=True, slots=True)
class Limits:
    """How much patience and room Stripe gets. Times in seconds."""

    deadline: float = STRIPE_DEADLINE.total_seconds()
    """One gateway call with all its tries and pauses."""
    connect: float = 3.0
    one_try: float = 8.0
    """One request. Less than the deadline, so that a lost answer is asked for again."""
    tries: int = 4
    """After connection errors and 5xx; a limit (429) or a twin (409) is waited out instead."""
    first_pause: float = 0.25
    longest_pause: float = 2.0
    connections: int = 100
    """Requests at once: Stripe's allowance a second, and its answers take less than one."""
    calls: int = 1000
    """Calls under way, waiting ones included: what Stripe's allowance clears in a deadline."""
    paced_rate: float = 20.0
    """Requests a second for an endpoint that said 429 (its own ceiling is 25 by default)."""
    paced_for: float = 10.0
    trips_after: int = 5
    """Calls in a row without any answer, after which we stop asking."""
    trips_for: float = 3.0
    """How long we stop: short, because the first customer after an outage must not wait."""


class Pace:
    """Queues the requests of an endpoint that reached Stripe's limit.

    Unpaced until Stripe says 429, because the limit is the account's and only Stripe knows it;
    then evenly spaced for a while, so that those who wait do not all return at once.
    """

    def __init__(self, limits: Limits) -> None:
        self._gap = 1 / limits.paced_rate
        self._for = limits.paced_for
        self._until: dict[str, float] = {}
        self._next: dict[str, float] = {}

    def slow_down(self, operation: str, now: float) -> None:
        """Stripe said 429."""
        self._until[operation] = now + self._for

    def take_turn(self, operation: str, now: float, until: float) -> float | None:
        """Seconds to wait for one's turn, or None when it would come after ``until``."""
        if now >= self._until.get(operation, 0.0):
            return 0.0
        turn = max(now, self._next.get(operation, 0.0))
        if turn >= until:
            return None
        self._next[operation] = turn + self._gap
        return turn - now


class Breaker:
    """Stops asking a Stripe that does not answer, so that nobody waits for nothing.

    After some unanswered calls in a row it refuses at once; then one call is let through to probe,
    and its answer opens the way again. Errors are answers: only silence trips it.
    """

    def __init__(self, limits: Limits) -> None:
        self._trips_after, self._trips_for = limits.trips_after, limits.trips_for
        self._unanswered = 0
        self._closed_until = 0.0
        self._probing = False

    def enter(self, now: float) -> bool:
        """Ask to call; True when this call is the probe. Raises StripeUnavailable."""
        tripped = self._unanswered >= self._trips_after
        if tripped and (self._probing or now < self._closed_until):
            raise StripeUnavailable("Stripe has not answered for a while; it is asked again soon.")
        self._probing = tripped
        return tripped

    def leave(self, now: float, *, probe: bool, answered: bool | None) -> None:
        """Tell how the call went; None when Stripe was not even asked."""
        if probe:
            self._probing = False
        if answered:
            self._unanswered = 0
        elif answered is False:
            self._unanswered += 1
            self._closed_until = now + self._trips_for
