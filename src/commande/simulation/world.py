"""One world: a shop, its surroundings, and everything that breaks between them. One seed each."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import Any, Final

import orjson

from commande.errors import CommandeError, DatabaseBusy
from commande.ids import Ids, Seal
from commande.sandbox.engine import AnswerLost, Engine
from commande.shop import Shop
from commande.simulation.effects import SimulatedClock, SimulatedDatabase, SimulatedMail
from commande.simulation.gateway import SimulatedGateway
from commande.simulation.ground import KEY, SECRETS, START, Ground
from commande.simulation.points import Points
from commande.simulation.profile import EVENTS, REQUESTS, Profile
from commande.simulation.scheduler import Process, Reply, Scheduler, Task, pause
from commande.simulation.watch import Watch
from commande.stripe_gateway import HANDLED_EVENTS
from commande.stripe_gateway.troubles import Call

# kind: usual seconds, and how often it takes far longer, and how long then at most.
_LATENCIES: Final = {
    "db": (0.002, 0.02, 2.0),
    "stripe": (0.2, 0.04, 9.0),
    "mail": (0.3, 0.02, 20.0),
    "line": (0.03, 0.03, 5.0),
}
_CREATE: Final = "/v1/checkout/sessions"


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


class World:
    """Everything there is in one run."""

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
        self.watch = Watch(self)
        self.engine = self._open_stripe()
        self.servers = [self._process(f"server-{n}") for n in range(profile.servers)]
        self.workers = [self._process(f"worker-{n}") for n in range(profile.workers)]
        self.on_start: Callable[[Process], None] = _nobody
        """Told of each process that comes up: workers begin their duties."""
        self.stir: Callable[[], None] = _nothing
        """Told that rows changed: workers look whether something is due."""
        self.scheduler.on_step = self._may_go_on
        self._crash = profile.faults.get("crash", 0.0)
        self._stall = profile.faults.get("stall", 0.0)

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
        for kind in (*REQUESTS, *EVENTS):
            strength = self.profile.faults.get(kind)
            if strength is not None:
                seconds = self.profile.seconds.get(kind, 60.0)
                engine.fail(kind, probability=min(strength, 1.0), seconds=seconds)
        return engine

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
            db=SimulatedDatabase(self, process, self.ground.rows),
            stripe=SimulatedGateway(self, process, settings),
            mail=SimulatedMail(self),
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

    # -- Stripe --------------------------------------------------------------------------------

    def ask(
        self, call: Call, request: tuple[str, str, dict[str, Any], dict[str, str]]
    ) -> tuple[int, dict[str, str], bytes]:
        """A request of ours arrives at Stripe. Raises AnswerLost."""
        sessions = self.engine.state.rows["session"]
        before = len(sessions)
        try:
            answer = self.engine.handle(*request)
        finally:
            if len(sessions) > before:
                self.watch.session_made(sessions[next(reversed(sessions))])
        if answer[0] != 200:
            self._note_trouble(call, answer, made=len(sessions) > before)
        return answer

    def _note_trouble(
        self, call: Call, answer: tuple[int, dict[str, str], bytes], *, made: bool
    ) -> None:
        if made:
            self.reach("C5")
        elif call.operation == "expire_session" and answer[0] == 400:
            self.reach("C36")
        elif answer[0] == 429:
            self.reach("C3")
        if b"idempotency_error" in answer[2] and answer[0] == 400:
            self.watch.cry("I0", f"{call.operation}: a key came again with other parameters")

    def reach_lost(self, call: Call, lost: AnswerLost) -> None:
        """An answer was lost: after the deed, or before it."""
        self.reach("C4" if lost.done and call.operation == "create_session" else "C3")

    def straggle(
        self, call: Call, request: tuple[str, str, dict[str, Any], dict[str, str]], after: float
    ) -> None:
        """The request arrives at Stripe after its caller gave up."""

        async def arrive() -> None:
            try:
                self.ask(call, request)
            except AnswerLost:
                return

        self.scheduler.spawn(f"late:{call.operation}", arrive, after=after)

    def is_processing(self, session: dict[str, Any]) -> bool:
        """Whether money of a completed session is on its way."""
        if session.get("status") != "complete" or session["payment_status"] != "unpaid":
            return False
        intent = self.engine.state.get("payment_intent", session["payment_intent"] or "")
        return intent is not None and intent["status"] == "processing"


def _nobody(_process: Process) -> None:
    """Nobody listens."""


def _nothing() -> None:
    """Nobody listens."""
