"""Running worlds: one, or many."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import structlog

from commande.simulation.audit import Audit
from commande.simulation.customers import Shopper
from commande.simulation.ground import START, Ground
from commande.simulation.habits import live
from commande.simulation.machinery import Courier, Crew, Weather
from commande.simulation.profile import Profile
from commande.simulation.staff import Keeper, Stranger
from commande.simulation.watch import Violation
from commande.simulation.world import World

_DAY = 86_400.0


@dataclass(slots=True)
class Outcome:
    """What one world came to."""

    seed: int
    checkouts: int
    steps: int
    fingerprint: str
    violations: list[Violation] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    timeline: list[str] = field(default_factory=list)


def run_world(
    profile: Profile, ground: Ground, *, timeline: bool = False, sql: Iterable[str] = ()
) -> Outcome:
    """Run one world to its end, or to its first violation."""
    world = World(profile, ground, sql)
    scheduler = world.scheduler
    try:
        _people(world)
        end = START + profile.busy
        for until in _stretches(START, end):
            scheduler.run(until)
            if world.watch.violations:
                break
        else:
            _calm_down(world)
            for until in _stretches(end, end + max(5 * _DAY, profile.sepa + 2 * _DAY)):
                scheduler.run(until)
                if world.watch.violations:
                    break
            else:
                Audit(world).run()
        return _outcome(world, timeline=timeline)
    finally:
        scheduler.bury()


def _stretches(start: float, end: float) -> Iterator[float]:
    """Look for violations every hour: the sooner, the shorter the story."""
    at = start
    while at < end:
        at = min(at + 3600.0, end)
        yield at


def _people(world: World) -> None:
    """Put everybody on the stage."""
    profile, scheduler = world.profile, world.scheduler
    Crew(world)
    for process in (*world.servers, *world.workers):
        world.start(process)
    Courier(world)
    Weather(world)
    for name, script in (("keeper", Keeper(world).work), ("stranger", Stranger(world).prowl)):
        if name not in profile.without:
            scheduler.spawn(name, script, rng=profile.rng(name))
    arrivals = profile.rng("arrivals")
    for number in range(profile.checkouts):
        after = arrivals.random() * profile.arrivals
        if f"customer-{number}" not in profile.without:
            shopper = Shopper(world, number)
            scheduler.spawn(
                f"customer-{number}", partial(live, shopper), rng=shopper.rng, after=after
            )


def _calm_down(world: World) -> None:
    """The faults stop: every process comes up, every clock is right, Stripe is well."""
    world.calm, world.outage = True, False
    for order in world.engine.world.faults.orders:
        world.struck[order.kind] += order.struck
    world.engine.world.faults.remove()
    for process in (*world.servers, *world.workers):
        process.skew, process.stands_until = 0.0, 0.0
        if not process.alive:
            world.start(process)
    world.stir()


def _outcome(world: World, *, timeline: bool) -> Outcome:
    for order in world.engine.world.faults.orders:
        world.struck[order.kind] += order.struck
    scheduler = world.scheduler
    return Outcome(
        seed=world.profile.seed,
        checkouts=world.profile.checkouts,
        steps=len(scheduler.labels),
        fingerprint=scheduler.fingerprint(*world.ground.rows_of_all()),
        violations=world.watch.violations,
        struck=world.struck,
        outcomes=world.outcomes,
        reached=world.points.reached,
        timeline=scheduler.story(START) if timeline else [],
    )


class _Silent(structlog.BoundLoggerBase):
    """A logger that says nothing."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return _say_nothing


def _say_nothing(*_words: object, **_more: object) -> None:
    """Nobody listens."""


def silence() -> None:
    """No log lines: a simulated shop meets more trouble in a second than a real one in a year."""
    structlog.configure(wrapper_class=_Silent, cache_logger_on_first_use=False)
