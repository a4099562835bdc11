"""The two effects that a proof doubles: the clock and the mail."""

import asyncio
import os
from datetime import datetime, timedelta
from pathlib import Path

from commande.core.letter import Letter
from commande.shop import RealClock
from proof.board import Moment


class LateClock(RealClock):
    """The clock of an upkeep that comes when every lease of the dead is over, though nobody waited.

    Leases are of 13 and of 60 seconds, and charges are compared after two minutes.
    """

    def __init__(self, minutes: int) -> None:
        self._later = timedelta(minutes=minutes)

    def now(self) -> datetime:
        """See ``Clock``."""
        return super().now() + self._later


class MovedClock(RealClock):
    """A clock that all processes of a shop share, so many seconds before or after the real one."""

    def __init__(self, offset: Moment) -> None:
        self._offset = offset

    def now(self) -> datetime:
        """See ``Clock``."""
        return super().now() + timedelta(seconds=self._offset.seconds)


class Postbox:
    """Mail that is written down the moment it leaves, each letter as often as it is sent."""

    enabled = True

    def __init__(self, path: Path, seconds: float) -> None:
        """A mail server takes so many seconds for a letter."""
        self._path, self._seconds = path, seconds

    async def send(self, letter: Letter) -> None:
        """See ``Mail``; one line in one write, so that processes do not write into each other's."""
        await asyncio.sleep(self._seconds / 2)
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{letter.message_id}\n".encode())
        finally:
            os.close(file)
        await asyncio.sleep(self._seconds / 2)


def sent_letters(path: Path) -> list[str]:
    """The Message-IDs of all letters that left, in their order."""
    return path.read_text().splitlines() if path.exists() else []
