"""What runs by itself: Stripe's courier, the workers' duties, outages, secrets that are rolled."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from commande.errors import CommandeError, DatabaseBusy, OutcomeUnknown
from commande.flows.inbox import receive_event
from commande.sandbox.webhooks import Parcel
from commande.shop import Shop
from commande.simulation.ground import SECRETS, START
from commande.simulation.scheduler import Process, Task, pause, wait_for
from commande.worker import DUTIES, Duty

if TYPE_CHECKING:
    from commande.simulation.world import World

_MIN: Final = "(SELECT (julianday(min({0})) - 2440587.5) * 86400.0 FROM {1} WHERE {2})"
# When a duty has something to do, in Unix seconds; NULL: only once rows change.
_DUE: Final = {
    "inbox": _MIN.format("next_at", "events", "next_at IS NOT NULL"),
    "outbox": _MIN.format("next_at", "messages", "state = 'pending'"),
    "refunds": _MIN.format("next_at", "refunds", "state = 'creating'"),
    "openings": _MIN.format("opening_until", "attempts", "state = 'creating'"),
    "checks": _MIN.format("check_at", "attempts", "check_at IS NOT NULL"),
    "clean-up": "coalesce((SELECT 0 FROM commands WHERE status = 'expiring' LIMIT 1), 86400 + {})".format(  # noqa: S608, E501 – constants
        _MIN.format("created_at", "commands", "status = 'unpaid'")
    ),
}
_ASK: Final = f"SELECT {', '.join(_DUE.values())}"
# Duties without a due row run by their timetable, stretched: thousands of idle turns would show
# nothing, and a worker may be slow. Shares of the time in which customers arrive, then seconds.
_STRETCHED: Final = {"events": (0.3, 5 * 3600.0), "prune": (3.0, 30 * 3600.0)}
_LONGEST_REST: Final = 900.0
_UNDER_WAY: Final = float("-inf")


class Courier:
    """Carries Stripe's webhooks to the shop's entrance and reports how they were received."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._rng = world.profile.rng("courier")
        self._planned: set[float] = set()
        world.engine.world.wake = self.wake
        self.wake()

    def wake(self) -> None:
        """Something will be due: be there."""
        due = self._world.engine.next_due()
        if due is None or due in self._planned:
            return
        self._planned.add(due)
        after = max(0.0, due - self._world.scheduler.now)
        self._world.scheduler.spawn("courier", lambda: self._round(due), rng=self._rng, after=after)

    async def _round(self, due: float) -> None:
        self._planned.discard(due)
        while (parcel := self._world.engine.next_parcel()) is not None:
            self._send(parcel)
        self.wake()

    def _send(self, parcel: Parcel) -> None:
        self._world.scheduler.spawn("parcel", lambda: self._carry(parcel), rng=self._rng)

    async def _carry(self, parcel: Parcel) -> None:
        world = self._world
        signature = parcel.headers["Stripe-Signature"]
        reply = world.call(
            "webhook", lambda shop: receive(world, shop, parcel.body, signature), self._rng
        )
        await wait_for(reply)
        status = None if reply.lost or world.strikes("ack_lost") else reply.value
        world.engine.report_parcel(parcel.delivery, status if isinstance(status, int) else None)
        self.wake()


async def receive(world: "World", shop: Shop, body: bytes, signature: str | None) -> int:
    """The webhook's entrance: the status that Stripe gets. Raises what is no fact of ours."""
    try:
        event = shop.stripe.read_event(body, signature, shop.clock.now())
        await receive_event(shop, event)
    except (DatabaseBusy, OutcomeUnknown):
        world.reach("C19")
        return 503
    except CommandeError as error:
        if error.code == "event_foreign":
            world.reach("C27")
        return 400
    query = "SELECT command_id FROM events WHERE stripe_event_id = ?"
    row = world.driver.execute(query, (event.id,)).fetchone()
    if row is None:
        world.watch.cry("I11", f"a webhook was acknowledged and is not stored ({event.type})")
        return 200
    world.watch.heard(event)
    if row[0] is not None:
        query = "SELECT status FROM commands WHERE id = ?"
        held = world.driver.execute(query, row).fetchone()
        world.points.event_about(event.type, held[0] if held else "")
    return 200


class Crew:
    """The duties of the worker processes, run when there is something to do."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._due_at: dict[tuple[str, str], float] = {}
        self._tired: dict[tuple[str, str], int] = {}
        self._stirred = False
        self._due: dict[str, float | None] = {}
        self._asked_at = -1
        """How many rows had changed when the rows were asked."""
        world.on_start = self.begin
        world.stir = self.stir

    def begin(self, process: Process) -> None:
        """A process came up; workers take up their duties."""
        if process not in self._world.workers:
            return
        for duty in DUTIES:
            self._due_at.pop((process.name, duty.name), None)
            self._plan(process, duty)

    def stir(self) -> None:
        """Rows changed: look soon whether something became due (a worker polls that often)."""
        if not self._stirred:
            self._stirred = True
            rng = self._world.workers[0].rng
            self._world.scheduler.spawn("look", self._look, rng=rng, after=0.1 + rng.random() / 2)

    async def _look(self) -> None:
        self._stirred = False
        due = self._ask()
        for duty in DUTIES:
            if due.get(duty.name) is not None:
                for process in self._world.workers:
                    self._plan(process, duty, due)

    def _ask(self) -> dict[str, float | None]:
        """When each duty that has rows is due."""
        driver = self._world.driver
        if self._asked_at != driver.total_changes:
            self._due = dict(zip(_DUE, driver.execute(_ASK).fetchone(), strict=True))
            self._asked_at = driver.total_changes
        return self._due

    def _plan(
        self, process: Process, duty: Duty, due: dict[str, float | None] | None = None
    ) -> None:
        """Schedule a duty's next turn, unless an earlier one stands."""
        scheduler, name = self._world.scheduler, (process.name, duty.name)
        if not process.alive or self._due_at.get(name) == _UNDER_WAY:
            return
        at = self._next_turn(process, duty, due or self._ask())
        if at is None or at >= self._due_at.get(name, float("inf")):
            return
        self._due_at[name] = at
        scheduler.spawn(
            duty.name, lambda: self._turn(process, duty, at), process=process, rng=process.rng,
            after=at - scheduler.now,
        )  # fmt: skip

    def _next_turn(
        self, process: Process, duty: Duty, dues: dict[str, float | None]
    ) -> float | None:
        now = self._world.scheduler.now
        if duty.name not in _DUE:
            share, later = _STRETCHED.get(duty.name, _STRETCHED["events"])
            arrivals = self._world.profile.arrivals
            usual = share * arrivals if now < START + arrivals else later * (1 + self._world.calm)
            return now + max(usual, duty.every) * (0.2 + process.rng.random() * 1.6)
        due = dues[duty.name]
        if due is None:
            return None
        at = due - process.skew + 0.001
        # What stays due turn after turn is asked about more and more rarely: a duty that a long
        # outage stops would fill the trace.
        tired = min(self._tired.get((process.name, duty.name), 0), 12) if at < now else 0
        soon = now + min(duty.every * 2.0**tired, _LONGEST_REST) * process.rng.random()
        return max(soon, at)

    def _still_due(self, process: Process, duty: Duty) -> bool:
        if duty.name not in _DUE:
            return False
        due = self._ask()[duty.name]
        return due is not None and due < self._world.scheduler.now + process.skew

    async def _turn(self, process: Process, duty: Duty, at: float) -> None:
        name = (process.name, duty.name)
        if self._due_at.get(name) != at:
            return  # an earlier turn took its place
        self._due_at[name] = _UNDER_WAY  # no second turn beside it
        try:
            await duty.run(process.shop)
        except (DatabaseBusy, OutcomeUnknown):
            self._world.outcomes["duty delayed"] += 1
        except Exception as error:  # noqa: BLE001 – the worker would log a traceback
            self._world.watch.cry("I0", f"duty {duty.name} ended in {error!r:.200}")
        task = self._world.scheduler.task
        assert task is not None  # noqa: S101 – this is one
        task.label = "rest"
        await pause(min(duty.every, 20.0) * (0.2 + process.rng.random()))
        self._due_at.pop(name, None)
        self._tired[name] = self._tired.get(name, 0) + 1 if self._still_due(process, duty) else 0
        self._plan(process, duty)


class Weather:
    """Outages of Stripe and the roll of the webhook secret."""

    def __init__(self, world: "World") -> None:
        rng = world.profile.rng("weather")
        if "outage" in world.profile.faults:
            starts, lasts = (
                rng.random() * world.profile.arrivals,
                rng.choice((60, 900, 3 * 3600, 24 * 3600)),
            )
            self._at(world, starts, lambda: self._outage(world, stands=True))
            self._at(world, starts + lasts, lambda: self._outage(world, stands=False))
        if rng.random() < 0.2:
            self._at(world, rng.random() * world.profile.arrivals, lambda: self._roll(world))

    def _at(self, world: "World", after: float, do: Callable[[], None]) -> Task:
        async def happen() -> None:
            do()

        return world.scheduler.spawn("weather", happen, after=after)

    def _outage(self, world: "World", *, stands: bool) -> None:
        world.outage = stands and not world.calm
        world.struck["outage"] += world.outage

    def _roll(self, world: "World") -> None:
        world.engine.state.put("webhook_secret", world.endpoint, {"secret": SECRETS[1]})
        world.reach("C49")
