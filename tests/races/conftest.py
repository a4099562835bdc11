"""A company of real processes that race on one database and one Stripe."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
import pytest_asyncio

from commande.flows.checkout import Opened
from tests.support.stage import Stage, staged

ROOT = Path(__file__).parents[2]


class Actor:
    """One process, its stdin for jobs and its stdout for answers."""

    def __init__(self, log: IO[bytes]) -> None:
        self._log = log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.races.actors"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )

    def tell(self, word: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(word).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(self._log.read().decode(errors="replace")[-4000:])
        return json.loads(line)

    def end(self) -> None:
        """Kill it, as a power cut would."""
        self.process.kill()
        self.process.communicate()


class Company:
    """Processes kept from one race to the next: starting one costs two seconds."""

    def __init__(self, log: IO[bytes]) -> None:
        self._log = log
        self.actors: list[Actor] = []

    def hire(self, number: int) -> list[Actor]:
        """So many processes that are free and alive."""
        self.actors = [actor for actor in self.actors if actor.process.poll() is None]
        while len(self.actors) < number:
            self.actors.append(Actor(self._log))
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
    with tempfile.TemporaryFile() as log:
        found = Company(log)
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
