"""A company of real processes that race on one database and one Stripe."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Callable, Iterator
from multiprocessing.context import BaseContext
from typing import Any

import pytest
import pytest_asyncio

from commande.flows.checkout import Opened
from tests.races.actors import perform
from tests.support.stage import Stage, staged


class Actor:
    """One process and the line to it."""

    def __init__(self, start: BaseContext) -> None:
        self._line, theirs = start.Pipe()
        self.process = start.Process(target=perform, args=(theirs,), daemon=True)  # type: ignore[attr-defined]
        self.process.start()
        theirs.close()

    def tell(self, word: Any) -> None:
        """A job, or the signal to begin."""
        self._line.send(word)

    def answer(self) -> Any:
        """What it says next. Raises EOFError when it died."""
        return self._line.recv()

    def end(self) -> None:
        """Kill it, as a power cut would."""
        self.process.kill()
        self.process.join()
        self._line.close()


class Company:
    """Processes kept from one race to the next, each forked from one that has imported it all."""

    def __init__(self) -> None:
        self._start = multiprocessing.get_context("forkserver")
        self._start.set_forkserver_preload([perform.__module__])
        self.actors: list[Actor] = []

    def hire(self, number: int) -> list[Actor]:
        """So many processes that are free and alive."""
        self.actors = [actor for actor in self.actors if actor.process.is_alive()]
        while len(self.actors) < number:
            self.actors.append(Actor(self._start))
        return self.actors[:number]

    def prepare(self, stage: Stage, roles: list[str], opened: list[Opened], **job: Any) -> None:
        """Give everybody a part; returns when all stand at the line."""
        commands = [{"id": o.command_id, "token": o.token, "url": o.url} for o in opened]
        job |= {
            "database_url": stage.shop.settings.database_url,
            "stripe_url": stage.stripe_url,
            "offset": stage.clock.offset.total_seconds(),
            "commands": commands,
        }
        actors = self.hire(len(roles))
        for seed, (actor, part) in enumerate(zip(actors, roles, strict=True)):
            role, _, order = part.partition(" ")
            actor.tell(job | {"role": role, "order": order, "seed": seed})
        for actor in actors:
            assert actor.answer() == "ready"

    async def race(
        self, stage: Stage, roles: list[str], opened: list[Opened], **job: Any
    ) -> dict[str, int]:
        """Everybody at once; what each role did. Any surprise fails the test."""
        await asyncio.to_thread(self.prepare, stage, roles, opened, **job)
        actors = self.actors[: len(roles)]
        for actor in actors:
            actor.tell("go")
        answers = [await asyncio.to_thread(actor.answer) for actor in actors]
        surprises = [text for answer in answers for text in answer["surprises"]]
        assert surprises == [], surprises[0]
        done: dict[str, int] = {}
        for answer in answers:
            done[answer["role"]] = done.get(answer["role"], 0) + answer["done"]
        return done


@pytest.fixture(scope="session")
def company() -> Iterator[Company]:
    """The processes of this run, ended for sure."""
    found = Company()
    try:
        yield found
    finally:
        for actor in found.actors:
            actor.end()


@pytest_asyncio.fixture
async def stage(database_url: str, serve: Callable[..., str]) -> AsyncIterator[Stage]:
    """A whole shop on each database."""
    async with staged(database_url, serve) as opened:
        yield opened
