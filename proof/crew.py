"""The processes of one shop: forked from the cradle, each with a handle to end it by."""

import asyncio
import os
import select
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from proof.board import Board, new_board
from proof.crowd import KEY
from proof.premises import Premises

SECRET: Final = "whsec_of_the_proof"
PATIENCE: Final = 180.0
"""Seconds, on a machine that others keep busy."""
WEBHOOK: Final = "/api/checkout/webhook"


@dataclass
class Hand:
    """One process."""

    role: str
    worker: bool
    board: Board
    slot: int
    door: str = "shop"
    """Which listening socket it serves."""
    pid: int = 0
    handle: int = -1
    """A pidfd: unlike the number it can never mean another process."""

    def is_dead(self) -> bool:
        """Whether it has ended."""
        return self.handle < 0 or bool(select.select([self.handle], [], [], 0)[0])

    def kill(self) -> None:
        """kill -9."""
        if not self.is_dead():
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def forget(self) -> None:
        """It is dead: let go of the handle."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


@dataclass
class Crew:
    """Everybody who works in one shop, Stripe included; ``more`` is told to all of the shop."""

    place: Premises
    folder: Path
    database_url: str
    more: dict[str, Any] = field(default_factory=dict)
    stripe_url: str = ""
    _hands: list[Hand] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._boards = new_board(self.folder / "board", 8)

    def hire(self, role: str, *, worker: bool = False, door: str = "shop") -> Hand:
        """A process that is not started yet."""
        slot = len(self._hands)
        hand = Hand(role, worker, self._boards[slot], slot, door)
        self._hands.append(hand)
        return hand

    def open_door(self, name: str) -> str:
        """A listening socket that outlives whoever serves it; its address."""
        return f"http://127.0.0.1:{self.place.cradle.ask(do='listen', name=name)['port']}"

    def open_stripe(self, seed: str, webhook: str | None, **more: Any) -> Hand:
        """Start the stand-in, which brings its webhooks to that server, or to nobody."""
        stripe = self.hire("stripe")
        self.stripe_url = self.open_door("stripe")
        address = None if webhook is None else webhook + WEBHOOK
        self._fork(stripe, url=self.stripe_url, seed=seed, secret=SECRET, webhook=address, **more)
        return stripe

    def start(self, hand: Hand, **more: Any) -> None:
        """Start one process of the shop."""
        hand.board.clear()
        settings = {
            "stripe_secret_key": KEY,
            "stripe_webhook_secrets": SECRET,
            "stripe_api_base": self.stripe_url,
            "database_url": self.database_url,
            "site_url": "https://shop.example",
            "secret_key": "the secret of a proof, long enough",
        }
        self._fork(hand, settings=settings, worker=hand.worker, door=hand.door,
                   **self.more, **more)  # fmt: skip

    def _fork(self, hand: Hand, **more: Any) -> None:
        log, board = str(self.folder / "log"), str(self.folder / "board")
        answer = self.place.cradle.ask(
            do="fork", role=hand.role, log=log, board=board, slot=hand.slot, **more
        )
        hand.pid = answer["pid"]
        hand.handle = os.pidfd_open(hand.pid)

    async def all_ready(self, hands: list[Hand]) -> None:
        """Wait until they work. Raises RuntimeError when one does not come to it."""

        def settled() -> bool:
            ready = all(hand.board.ready_at for hand in hands)
            return ready or any(hand.is_dead() for hand in hands)

        await until(settled, PATIENCE)
        if not all(hand.board.ready_at for hand in hands):
            raise RuntimeError(f"It did not come back: see {self.folder / 'log'}")

    async def kill(self, hands: list[Hand]) -> None:
        """End them at once, and wait until they are gone."""
        for hand in hands:
            hand.kill()
        if not await until(lambda: all(hand.is_dead() for hand in hands), PATIENCE):
            raise RuntimeError("It does not die")
        for hand in hands:
            hand.forget()

    def dismiss(self) -> None:
        """End whoever is left."""
        for hand in self._hands:
            hand.kill()
            hand.forget()

    def read_log(self) -> list[str]:
        """What the shop itself calls an error: dying is none, and coming back is none.

        Nor is a database that another process kept for five seconds, because the disk or the
        machine stood still: that is answered with 503, nothing was written, and whoever asked asks
        again.
        """
        lines = (self.folder / "log").read_text().splitlines()
        told = [orjson.loads(line) if line.startswith("{") else {"event": line} for line in lines]
        return [
            f"log: {line['event']} {line.get('exception', '')[-300:]}"
            for line in told
            if line.get("level") not in ("warning", "info", "debug")
            and (line["event"], line.get("reason")) != ("database_failed", "SQLITE_BUSY")
        ]


async def until(happened: Callable[[], bool], seconds: float) -> bool:
    """Look every millisecond, at most so long; whether it happened."""

    async def look() -> bool:
        return happened()

    return await until_so(look, seconds, every=0.001)


async def until_so(
    holds: Callable[[], Awaitable[bool]], seconds: float = PATIENCE, every: float = 0.05
) -> bool:
    """Ask somebody, at most so long; whether it came to hold."""
    give_up = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(every)
    return True
