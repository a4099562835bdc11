"""A check: a promise, how to look whether it is kept, and what came of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from commande.verify.shop import Order, Reply, Shop
from commande.verify.stand_in import StandIn

Outcome = Literal["held", "broken", "not run"]
_BREATH: Final = 0.1


class Broken(Exception):
    """The promise is not kept; says what was seen."""


class NotRun(Exception):
    """The check cannot be run here; says what it would take."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a check may use."""

    shop: Shop
    stripe: StandIn | None
    mails: Path | None
    patience: float
    """Seconds to wait for what the server does by itself."""
    settles: float = 2.5
    """Seconds to wait for what must not happen: a worker that does it needs half a second."""

    @property
    def box(self) -> StandIn:
        """The stand-in for Stripe. Raises NotRun without one."""
        if self.stripe is None:
            raise NotRun("needs a stand-in for Stripe (--stripe)")
        return self.stripe

    def paid(self, **wishes: object) -> Order:
        """A command that was paid and confirmed."""
        order = self.shop.order(**wishes)
        self.box.pay(order.session)
        reply = self.shop.confirm(order)
        must(reply.status == 200 and reply.command.get("paid") is True, told(reply))
        return order

    def unpaid(self, order: Order) -> None:
        """Look at a command that must not be paid. Raises Broken."""
        command = self.shop.look(order).command
        honest = command.get("paid") is False and command.get("cartSnapshot") is None
        must(honest, f"{order.ref} is {command.get('status')}, paid {command.get('paid')}")

    def wait(self, order: Order, holds: Callable[[Reply], bool], what: str) -> Reply:
        """Look at a command until something holds. Raises Broken after the patience."""
        began = time.monotonic()
        while True:
            reply = self.shop.look(order)
            if reply.status == 200 and holds(reply):
                return reply
            if time.monotonic() - began > self.patience:
                status = reply.command.get("status", reply.status)
                raise Broken(f"{order.ref} is {status} after {self.patience:.0f} s, not {what}")
            time.sleep(_BREATH)


def is_paid(reply: Reply) -> bool:
    """Whether the command in an answer is paid."""
    return reply.command.get("paid") is True


def must(holds: bool, otherwise: str) -> None:
    """Go on only if it holds. Raises Broken."""
    if not holds:
        raise Broken(otherwise)


def told(reply: Reply) -> str:
    """An answer in a few words."""
    code = reply.json.get("code") if isinstance(reply.json, dict) else None
    status = reply.command.get("status")
    return f"the answer was {reply.status} {code or status or ''}".rstrip()


@dataclass(frozen=True, slots=True)
class Check:
    """One promise."""

    name: str
    invariant: int
    """Of the list in docs/verify.md; 0: no invariant, but the API's own word."""
    sentence: str
    run: Callable[[Visit], str]
    """Gives the evidence; raises Broken or NotRun."""


def promise(invariant: int) -> Callable[[Callable[[Visit], str]], Check]:
    """Make a check of a function, by its name and the first line of its docstring."""

    def made(run: Callable[[Visit], str]) -> Check:
        sentence = (run.__doc__ or "").partition("\n")[0]
        return Check(run.__name__.replace("_", " "), invariant, sentence, run)

    return made


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a check."""

    check: Check
    outcome: Outcome
    evidence: str
