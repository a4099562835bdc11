"""One world: a shop, its surroundings, and everything that breaks between them. One seed each."""

from collections.abc import Awaitable, Callable, Iterable
from random import Random

from commande.errors import CommandeError, DatabaseBusy
from commande.ids import Ids, Seal
from commande.shop import Shop
from commande.simulation.effects import SimulatedClock, SimulatedDatabase, SimulatedMail
from commande.simulation.gateway import SimulatedGateway, StripeLine
from commande.simulation.ground import Ground
from commande.simulation.profile import Profile
from commande.simulation.scheduler import Process, Reply, Task
from commande.simulation.stage import Stage
from commande.simulation.watch import Watch


class World(Stage):
    """Everything there is in one run."""

    def __init__(self, profile: Profile, ground: Ground, sql: Iterable[str] = ()) -> None:
        super().__init__(profile, ground, sql)
        self.watch = Watch(self)
        self.line = StripeLine(self, self.watch)
        self.servers = [self._process(f"server-{n}") for n in range(profile.servers)]
        self.workers = [self._process(f"worker-{n}") for n in range(profile.workers)]
        self.on_start: Callable[[Process], None] = _nobody
        """Told of each process that comes up: workers begin their duties."""
        self.scheduler.on_step = self._may_go_on
        self._crash = profile.faults.get("crash", 0.0)
        self._stall = profile.faults.get("stall", 0.0)

    def _process(self, name: str) -> Process:
        process = Process(name, self.profile.rng(name))
        if "skew" in self.profile.faults and process.rng.random() < 0.5:
            process.skew = process.rng.choice((-2.0, 2.0, -240.0, 240.0, 360.0, -3600.0, 7200.0))
        return process

    # -- processes -----------------------------------------------------------------------------

    def start(self, process: Process) -> None:
        """A process comes up, with nothing but the rows."""
        process.life += 1
        process.alive = True
        settings = self.ground.settings[self.profile.foreign_events, self.profile.late_payments]
        process.shop = Shop(
            settings=settings,
            db=SimulatedDatabase(self, self.watch, self.ground.rows),
            stripe=SimulatedGateway(self.line, settings),
            mail=SimulatedMail(self, self.watch),
            clock=SimulatedClock(self, process),
            ids=Ids(process.rng.randbytes),
            seal=Seal(settings.seal_secret),
        )
        if abs(process.skew) > 60:
            self.reach("C48")
        self.on_start(process)

    def kill(self, process: Process) -> None:
        """A process dies where it stands; whoever hung on the line is cut off."""
        if not process.alive:
            return
        process.alive = False
        self.scheduler.note(f"{process.name} dies")
        for reply in process.replies:
            self.scheduler.settle(reply, lost=True)
        process.replies.clear()
        down = process.rng.choice((0.2, 1.0, 5.0, 30.0, 600.0))
        self.scheduler.spawn(f"start:{process.name}", lambda: self._restart(process),
                             rng=process.rng, after=0.1 if self.calm else down)  # fmt: skip

    async def _restart(self, process: Process) -> None:
        self.start(process)

    def _may_go_on(self, task: Task) -> bool:
        """Whether the process survives this step."""
        if self.calm or not (self._crash or self._stall):
            return True
        process = task.process
        assert process is not None  # noqa: S101 – asked for tasks of processes alone
        if process.rng.random() < self._crash:
            self.struck["crash"] += 1
            self.points.died(task.name, task.label)
            self.kill(process)
            return False
        if process.rng.random() < self._stall:
            self.struck["stall"] += 1
            process.stands_until = self.scheduler.now + process.rng.choice((1.0, 14.0, 61.0))
        return True

    def call(
        self, name: str, entrance: Callable[[Shop], Awaitable[object]], rng: Random,
        patience: float | None = None,
    ) -> Reply:  # fmt: skip
        """A request from outside to one of the servers; the reply settles when it answers."""
        reply = Reply()
        process = rng.choice(self.servers)
        if not process.alive:
            self.scheduler.settle(reply, lost=True)
            return reply
        process.replies[reply] = None

        async def serve() -> None:
            value, error = await self._answer(name, entrance(process.shop))
            process.replies.pop(reply, None)
            lost = name != "webhook" and self.strikes("answer_lost")
            if lost and name == "create":
                self.reach("C8")
            self.scheduler.settle(reply, value, error, lost=lost)

        async def run_out() -> None:
            self.scheduler.settle(reply, lost=True)

        after = self.latency("line", rng)
        self.scheduler.spawn(name, serve, process=process, rng=rng, after=after)
        if patience is not None:
            self.scheduler.spawn("patience", run_out, rng=rng, after=patience)
        return reply

    async def _answer(self, name: str, flow: Awaitable[object]) -> tuple[object, Exception | None]:
        """What an entrance makes of a flow: an answer, or a fact. Anything else is a defect."""
        try:
            value = await flow
        except CommandeError as error:
            if isinstance(error, DatabaseBusy) and name in ("webhook", "confirm"):
                self.reach("C19")
            return None, error
        except Exception as error:  # noqa: BLE001 – a 500, whatever it is
            self.watch.cry("I0", f"{name} ended in {error!r:.200}")
            return None, error
        return value, None


def _nobody(_process: Process) -> None:
    """Nobody listens."""
