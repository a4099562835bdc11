"""The scheduler: drives coroutines with ``send`` in simulated time, without an event loop.

A coroutine yields seconds (it goes on that much later) or a ``Reply`` (it goes on once that is
settled). Who goes first is only a matter of the seconds, and those are drawn from the seed.
"""

import hashlib
import heapq
from array import array
from collections.abc import Callable, Coroutine, Generator
from random import Random
from types import coroutine
from typing import Any, Final

Script = Callable[[], Coroutine[Any, Any, None]]


@coroutine
def pause(seconds: float) -> Generator[float, None, None]:
    """Let that much simulated time pass."""
    yield seconds


class Reply:
    """What a caller waits for: a value, an error, or nothing because the line went dead."""

    __slots__ = ("error", "lost", "settled", "value", "waiting")

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.lost = False
        self.settled = False
        self.waiting: Task | None = None


@coroutine
def wait_for(reply: Reply) -> Generator[Reply, None, None]:
    """Wait until the reply is settled."""
    if not reply.settled:
        yield reply


class Process:
    """One operating system process of the shop: it can die, start again, or stand still."""

    def __init__(self, name: str, rng: Random) -> None:
        self.name, self.rng = name, rng
        self.life = 0
        """How often it was started; tasks of an earlier life are never resumed."""
        self.alive = False
        self.stands_until = 0.0
        self.skew = 0.0
        """Seconds that its clock is ahead."""
        self.replies: dict[Reply, None] = {}
        """Callers that hang on the line."""
        self.shop: Any = None


class Task:
    """One coroutine under way, in a process or (customers, the network) in none."""

    __slots__ = ("coroutine", "label", "life", "name", "process", "rng", "script")

    def __init__(self, name: str, script: Script, process: Process | None, rng: Random) -> None:
        self.name, self.script, self.process, self.rng = name, script, process, rng
        self.life = process.life if process else 0
        self.label = name
        """What it is waiting for, for the trace and the coverage."""
        self.coroutine: Coroutine[Any, Any, None] | None = None


class Scheduler:
    """Simulated time, and who goes on when."""

    def __init__(self, start: float) -> None:
        self.now = start
        self.task: Task | None = None
        """Who is going on right now."""
        self.dead: list[Any] = []
        """Killed coroutines: kept and never closed, so that no ``finally`` of theirs runs."""
        self.times = array("d")
        self.labels: list[str] = []
        self.whose: list[Task | None] = []
        self.on_step: Callable[[Task], bool] = _always
        """Asked ahead of each step of a process; False: the process does not go on now."""
        self._heap: list[tuple[float, int, Task]] = []
        self._turn = 0

    def note(self, text: str) -> None:
        """Write a line of the trace: every decision leaves one."""
        self.times.append(self.now)
        self.labels.append(text)
        self.whose.append(self.task)

    def spawn(
        self,
        name: str,
        script: Script,
        *,
        process: Process | None = None,
        rng: Random | None = None,
        after: float = 0.0,
    ) -> Task:
        """Start a coroutine that much later."""
        dice = rng or (self.task.rng if self.task else Random(0))  # noqa: S311 – dice, not keys
        task = Task(name, script, process, dice)
        self.push(after, task)
        return task

    def push(self, after: float, task: Task) -> None:
        """Let a task go on that much later."""
        self._turn += 1
        heapq.heappush(self._heap, (self.now + after, self._turn, task))

    def settle(
        self, reply: Reply, value: object = None, error: BaseException | None = None,
        *, lost: bool = False,
    ) -> None:  # fmt: skip
        """Answer whoever waits; a second answer is dropped."""
        if reply.settled:
            return
        reply.value, reply.error, reply.lost, reply.settled = value, error, lost, True
        if reply.waiting is not None:
            self.push(0.0, reply.waiting)

    def next_at(self) -> float | None:
        """When the next task goes on."""
        return self._heap[0][0] if self._heap else None

    def run(self, until: float) -> None:
        """Go on until that time; what is due later stays."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            at, _, task = heapq.heappop(heap)
            if at > self.now:
                self.now = at
            self._step(task)
        self.now = max(self.now, until)

    def _step(self, task: Task) -> None:
        process = task.process
        if process is not None:
            if not process.alive or process.life != task.life:
                self.dead.append(task.coroutine)
                return
            if process.stands_until > self.now:
                self.push(process.stands_until - self.now, task)
                return
            if not self.on_step(task):
                self.dead.append(task.coroutine)
                return
        self.task = task
        self.note(task.label)
        if task.coroutine is None:
            task.coroutine = task.script()
        try:
            wanted = task.coroutine.send(None)
        except StopIteration:
            return
        finally:
            self.task = None
        if isinstance(wanted, Reply):
            wanted.waiting = task
        else:
            self.push(wanted, task)

    def story(self, start: float) -> list[str]:
        """What happened, line by line, without the turns in which nothing does."""
        lines = zip(self.times, self.whose, self.labels, strict=True)
        return [
            f"{_span(at - start):>12}  {_name(task):<20} {label}"
            for at, task, label in lines
            if label not in _QUIET
        ]

    def fingerprint(self, *more: bytes) -> str:
        """The hash of everything that happened, in order and to the moment."""
        digest = hashlib.blake2b(self.times.tobytes(), digest_size=12)
        digest.update("\n".join(self.labels).encode())
        for part in more:
            digest.update(part)
        return digest.hexdigest()

    def bury(self) -> None:
        """The world is over: let go of every coroutine."""
        left = [task.coroutine for _, _, task in self._heap] + self.dead
        self._heap, self.dead = [], []
        for one in left:
            if one is not None:
                try:
                    one.close()
                except RuntimeError:
                    continue  # it awaited something in a ``finally``: nobody listens any more


def _always(_task: Task) -> bool:
    return True


# Steps that every story is full of.
_QUIET: Final = frozenset(
    {
        "look", "rest", "courier", "parcel", "patience", "inbox", "outbox", "openings", "checks",
        "refunds", "events", "clean-up", "prune", "events_due", "messages_due", "refunds_due",
        "list_stuck_openings", "list_due_checks", "list_overdue", "is_held",
    }
)  # fmt: skip


def _name(task: Task | None) -> str:
    if task is None:
        return "·"
    return f"{task.process.name} {task.name}" if task.process else task.name


def _span(seconds: float) -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{int(hours)}h {int(rest // 60):02d}m {rest % 60:06.3f}s"
