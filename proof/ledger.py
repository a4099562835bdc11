"""The customers' own ledger: everything the shop has said yes to, written by those who heard it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

OPENED: Final = "opened"
PAID: Final = "paid"
CHARGED: Final = "charged"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class Opening:
    """The answer to an order."""

    command: str
    session: str
    ref: str
    token: str


@dataclass(frozen=True, slots=True)
class Paid:
    """The answer to a customer who came back."""

    session: str
    minor: int
    at: str
    """As it was answered: a payment that was lost and settled anew has another time."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the shop had acknowledged at one moment."""

    opened: tuple[Opening, ...]
    paid: tuple[tuple[str, Paid], ...]
    webhooks: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many."""
        return len(self.opened) + len(self.paid) + len(self.webhooks)


@dataclass
class Ledger:
    """Kept by the process of the load, which nobody kills; each line is in the file before the
    customer goes on."""

    path: Path
    opened: dict[str, Opening] = field(default_factory=dict)
    """By Idempotency-Key."""
    paid: dict[str, Paid] = field(default_factory=dict)
    """By command."""
    charged: dict[str, int] = field(default_factory=dict)
    """Minor units that Stripe took, by session."""
    webhooks: set[str] = field(default_factory=set)
    """Events that the shop acknowledged, as Stripe noted it."""
    wrong: list[str] = field(default_factory=list)
    """Answers that should never have been given."""

    lines: int = 0
    """How much was written."""

    def __post_init__(self) -> None:
        self._file = self.path.open("ab", buffering=0)

    def open(self, key: str, opening: Opening) -> None:
        """The shop answered an order; the same order must always get the same answer."""
        self._write(OPENED, key=key, command=opening.command, session=opening.session)
        earlier = self.opened.setdefault(key, opening)
        if earlier != opening:
            self.refuse(f"one order got two commands: {earlier.command}, {opening.command}")

    def pay(self, command: str, paid: Paid) -> None:
        """The shop confirmed a payment; it must always confirm the same."""
        self._write(PAID, command=command, session=paid.session, minor=paid.minor, at=paid.at)
        if self.paid.setdefault(command, paid) != paid:
            self.refuse(f"{command} was confirmed twice, and differently")

    def charge(self, session: str, minor: int) -> None:
        """Stripe took money."""
        self._write(CHARGED, session=session, minor=minor)
        self.charged[session] = minor

    def hear(self, events: set[str]) -> None:
        """Stripe says that the shop acknowledged these events."""
        self._write("webhooks", events=sorted(events - self.webhooks))
        self.webhooks |= events

    def refuse(self, what: str) -> None:
        """The shop answered something that it must not."""
        self._write(REFUSED, what=what)
        self.wrong.append(what)

    def facts(self) -> Facts:
        """What was heard so far; what is heard from now on is not in it."""
        return Facts(tuple(self.opened.values()), tuple(self.paid.items()), tuple(self.webhooks))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, kind: str, **what: Any) -> None:
        self.lines += 1
        self._file.write(orjson.dumps({"kind": kind} | what, option=orjson.OPT_APPEND_NEWLINE))
