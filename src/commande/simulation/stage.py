"""The stage of one world: time, chance, the rows, and Stripe. Everybody who acts is handed it."""

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

import orjson

from commande.sandbox.engine import Engine
from commande.simulation.ground import KEY, SECRETS, START, Ground
from commande.simulation.points import Points
from commande.simulation.profile import EVENTS, REQUESTS, Profile
from commande.simulation.scheduler import Scheduler, pause
from commande.stripe_gateway import HANDLED_EVENTS

# kind: usual seconds, and how often it takes far longer, and how long then at most.
_LATENCIES: Final = {
    "db": (0.002, 0.02, 2.0),
    "stripe": (0.2, 0.04, 9.0),
    "mail": (0.3, 0.02, 20.0),
    "line": (0.03, 0.03, 5.0),
}


class StripeClock:
    """Stripe's own clock: the world's time, and always right."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def now(self) -> float:
        """Seconds since 1970."""
        return self._scheduler.now

    def advance(self, seconds: float) -> None:
        """Only the scheduler moves it."""
        raise AssertionError(f"nobody moves Stripe's clock by {seconds} s")


class Stage:
    """What there is before anybody acts."""

    def __init__(self, profile: Profile, ground: Ground, sql: Iterable[str] = ()) -> None:
        ground.begin(sql)
        self.profile, self.ground = profile, ground
        self.driver = ground.driver
        self.scheduler = Scheduler(START)
        self.calm = False
        """The faults have stopped."""
        self.outage = False
        self.struck: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.points = Points()
        self.stir: Callable[[], None] = _nothing
        """Told that rows changed: workers look whether something is due."""
        self.engine = self._open_stripe()

    def _open_stripe(self) -> Engine:
        engine = Engine(
            url="https://stripe.example", api_key=KEY, seed=self.profile.seed,
            clock=StripeClock(self.scheduler), tax_rounding=self.profile.tax_rounding,  # type: ignore[arg-type]
        )  # fmt: skip
        given = {"url": "https://shop.example/webhook", "enabled_events": list(HANDLED_EVENTS)}
        headers = {"authorization": f"Bearer {KEY}"}
        _, _, body = engine.handle("POST", "/v1/webhook_endpoints", given, headers)
        self.endpoint: str = orjson.loads(body)["id"]
        engine.state.put("webhook_secret", self.endpoint, {"secret": SECRETS[0]})
        engine.dashboard.set(sepa_delay=self.profile.sepa)
        for name, strength in self.profile.faults.items():
            # "delayed:checkout.session.completed" strikes events of that type alone.
            kind, _, of_type = name.partition(":")
            if kind in REQUESTS or kind in EVENTS:
                seconds = self.profile.seconds.get(kind, 60.0)
                engine.fail(kind, probability=strength, seconds=seconds, type=of_type or "*")
        return engine

    # -- chance --------------------------------------------------------------------------------

    def dice(self) -> Random:
        """The dice of whoever goes on right now."""
        task = self.scheduler.task
        assert task is not None  # noqa: S101 – effects happen within a step
        return task.rng

    def coin(self) -> bool:
        """One or the other."""
        return self.dice().random() < 0.5

    def strikes(self, kind: str) -> bool:
        """Whether that fault strikes now."""
        strength = self.profile.faults.get(kind)
        if strength is None or self.calm or self.dice().random() >= strength:
            return False
        self.struck[kind] += 1
        self.scheduler.note(f"fault {kind}")
        if kind == "db_unknown":
            self.reach("C42")
        return True

    def latency(self, kind: str, rng: Random | None = None) -> float:
        """How long something takes: mostly the usual, now and then far longer."""
        usual, rare, most = _LATENCIES[kind]
        dice = (rng or self.dice()).random()
        if dice < rare:
            return most * dice / rare
        return usual * (0.5 + dice)

    async def step(self, label: str, seconds: float) -> None:
        """Where another task runs, or the process dies."""
        task = self.scheduler.task
        assert task is not None  # noqa: S101 – effects happen within a step
        task.label = label
        await pause(seconds)

    def reach(self, point: str) -> None:
        """A crash or interleaving point was gone through."""
        self.points.reached[point] += 1


def _nothing() -> None:
    """Nobody listens."""
