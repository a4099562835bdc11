"""One shop of four processes under the hammer: order, pay, then everybody at the same moment."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Final

import orjson

from commande.db import open_database
from proof.board import Moment
from proof.books import (
    NEVER,
    ONCE,
    count_effects,
    count_under_way,
    count_unsettled,
    find_half_made,
)
from proof.crew import PATIENCE, SECRET, WEBHOOK, Crew, until_so
from proof.crowd import KEY, an_order
from proof.effects import sent_letters
from proof.premises import Premises
from proof.volley import Heard, Line, connect, get, post
from tests.support.invariants import find_breaches
from tests.support.stage import sign

DOORS: Final = 4
CONFIRMERS, WEBHOOKS, TABS = 64, 64, 2
WAVE: Final = 16
"""Commands that are hammered at the same time."""
AT_THE_MOMENT: Final = 2
"""Besides: commands that are paid while everybody asks, so that clean-up may come first."""
DISORDERS: Final = (0.0, 3.0, float(WAVE))
"""How far each line's order of commands strays from the others': in step, nearly, not at all."""
LATEST: Final = 0.8
"""Seconds after the wave began, at most, in which those are paid."""
CARD, DEBIT = b"payment_method=pm_card_visa", b"payment_method=DE89370400440532013000"
_API: Final = "/api/checkout"
_FORM: Final = b"application/x-www-form-urlencoded"
# What the document allows besides a 200, for a paid command and for one that is being paid.
_BUSY: Final = frozenset({"stripe_unavailable", "database_busy", "outcome_unknown"})
_TOLD: Final = {
    "confirm": _BUSY,
    "late confirm": _BUSY | {"payment_not_completed"},
    "webhook": _BUSY - {"stripe_unavailable"},
    "tab": _BUSY | {"already_paid", "command_expired", "payment_processing"},
}


def unseen(_done: int) -> None:
    """Nobody watches."""


@dataclass
class Case:
    """One command and what was answered about it."""

    command: str
    session: str
    token: str
    late: bool
    """Paid while everybody asks."""
    confirmed: Counter[bytes] = field(default_factory=Counter)
    """The answers that said yes."""


@dataclass
class Anvil:
    """A shop, its Stripe, and the lines of all who hammer."""

    place: Premises
    name: str
    waves: int
    broken: str | None = None
    tell: Callable[[int], None] = unseen
    """Told how many commands are done."""
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = Random(self.name)
        self.folder = self.place.folder / f"anvil-{self.name}"
        self.folder.mkdir()
        self.url = self.place.furnish(self.name, self.folder)
        self._letters = self.folder / "letters"
        more = {"broken": self.broken, "letters": str(self._letters), "posting": 0.0}
        self._crew = Crew(self.place, self.folder, self.url, more)
        self._cutoff = Moment(self.folder / "cutoff")
        self._db = open_database(self.url)
        self._cases: list[Case] = []

    async def run(self) -> list[str]:
        """All waves; what is wrong when all is quiet."""
        lines: list[Line] = []
        try:
            doors = await self._open()
            lines = await self._connect(doors)
            for _ in range(self.waves):
                await self._hammer()
            await self._come_to_rest()
            self.wrong += await self._compare()
            return self.wrong
        finally:
            for line in lines:
                line.hang_up()
            self._crew.dismiss()
            await self._db.close()

    async def _open(self) -> list[str]:
        """Four servers with their workers, Stripe's stand-in, and clean-up that never rests."""
        names = [f"shop {number}" for number in range(DOORS)]
        doors = [self._crew.open_door(name) for name in names]
        self._crew.open_stripe(self.name, None)
        hands = [self._crew.hire("server", worker=True, door=name) for name in names]
        closer = self._crew.hire("closer")
        for hand in (*hands, closer):
            self._crew.start(hand, cutoff=str(self.folder / "cutoff"))
        await self._crew.all_ready([*hands, closer])
        return doors

    async def _connect(self, doors: list[str]) -> list[Line]:
        each = (CONFIRMERS + WEBHOOKS + TABS) // DOORS + 1
        lines = [await connect(door, each) for door in doors]
        # Whoever comes one after the other meets another process.
        mixed = [line for turn in zip(*lines, strict=True) for line in turn]
        self._confirmers = mixed[:CONFIRMERS]
        self._webhooks = mixed[CONFIRMERS : CONFIRMERS + WEBHOOKS]
        self._tabs = mixed[CONFIRMERS + WEBHOOKS :][:TABS]
        self._stripe = await connect(self._crew.stripe_url, 4)
        settings = orjson.dumps({"sepa_delay": 0})
        await self._stripe[0].ask([post("/sandbox-control/settings", settings)])
        # Sometimes Stripe makes two events of one fact; here always.
        twin = {"kind": "twin", "type": "checkout.session.*", "count": None}
        await self._stripe[0].ask([post("/sandbox-control/faults", orjson.dumps(twin))])
        return [*mixed, *self._stripe]

    # -- a wave --------------------------------------------------------------------------------

    async def _hammer(self) -> None:
        cases = await self._order()
        early, late = cases[AT_THE_MOMENT:], cases[:AT_THE_MOMENT]
        await asyncio.gather(*(self._pay(case) for case in early))
        told = await self._listen(early)
        began = time.monotonic()
        # From now on clean-up finds all of them overdue.
        self._cutoff.seconds = time.time()
        everybody = [
            *(self._confirm(line, cases) for line in self._confirmers),
            *(self._ask_again(line, cases) for line in self._tabs),
            *(self._deliver(n, line, early, told) for n, line in enumerate(self._webhooks)),
            *(self._pay_late(case) for case in late),
        ]
        await asyncio.gather(*everybody)
        self.counts["hammered"] += len(early)
        self.counts["milliseconds"] += round((time.monotonic() - began) * 1000)
        self._judge(cases)
        self._cases += cases
        self.tell(self.counts["hammered"])

    async def _order(self) -> list[Case]:
        number = WAVE + AT_THE_MOMENT
        requests = [
            post(f"{_API}/create-stripe-checkout-session", an_order(self._rng))
            for _ in range(number)
        ]
        lines = self._confirmers[:number]
        answers = await asyncio.gather(*map(_order_one, lines, requests))
        cases = []
        for late, heard in enumerate(answers):
            if heard.status != 200:
                raise RuntimeError(f"An order was refused: {heard.body[:200]!r}")
            opened = orjson.loads(heard.body)
            session = opened["url"].rsplit("/", 1)[-1].partition("#")[0]
            cases.append(Case(opened["commandId"], session, opened["token"], late < AT_THE_MOMENT))
        return cases

    async def _pay(self, case: Case) -> int:
        """On Stripe's page: one in eight by debit, whose money comes a moment later."""
        body = DEBIT if self._rng.random() < 0.125 and not case.late else CARD
        path = f"/v1/payment_pages/{case.session}/confirm"
        [heard] = await self._rng.choice(self._stripe).ask([post(path, body, _FORM)])
        if heard.status != 200 and not case.late:
            raise RuntimeError(f"A payment was refused: {heard.body[:200]!r}")
        return heard.status

    async def _listen(self, cases: list[Case]) -> dict[str, list[bytes]]:
        """What Stripe has to say about these sessions, as it would send it, by session."""
        told: dict[str, list[bytes]] = {case.session: [] for case in cases}
        intents: dict[str, str] = {}
        key = {"Authorization": f"Bearer {KEY}"}
        asked = [get(f"/v1/events?limit=100&type={kind}", **key) for kind in _KINDS]
        for heard in await self._stripe[0].ask(asked):
            for event in orjson.loads(heard.body)["data"]:
                about = event["data"]["object"]
                if about["object"] == "checkout.session":
                    intents[about["payment_intent"]] = about["id"]
                session = intents.get(about.get("payment_intent") or "", "")
                if session in told:
                    body = orjson.dumps(event, option=orjson.OPT_INDENT_2)
                    told[session].append(body)
        if not all(told.values()):
            raise RuntimeError("Stripe does not tell of every payment")
        return told

    async def _confirm(self, line: Line, cases: list[Case]) -> None:
        """One of those who confirm: every command of the wave, in an order of its own."""
        order = self._shuffled(cases)
        pairs = [{"sessionId": case.session, "commandId": case.command} for case in order]
        requests = [post(f"{_API}/confirm-payment", orjson.dumps(pair)) for pair in pairs]
        kinds = ["late confirm" if case.late else "confirm" for case in order]
        for case, heard in zip(order, await self._insist(line, kinds, requests), strict=True):
            if heard.status == 200:
                case.confirmed[heard.body] += 1

    async def _deliver(
        self, number: int, line: Line, cases: list[Case], told: dict[str, list[bytes]]
    ) -> None:
        """One of those who bring webhooks: first ones, repeats and twins, each signed anew."""
        order = self._shuffled(cases)
        requests = []
        for case in order:
            events = told[case.session]
            requests.append(_webhook(events[number % len(events)]))
        await self._insist(line, ["webhook"] * len(requests), requests)

    async def _ask_again(self, line: Line, cases: list[Case]) -> None:
        """A tab in which somebody presses “pay again”."""
        order = self._shuffled(cases)
        bodies = [{"commandId": case.command, "token": case.token} for case in order]
        requests = [post(f"{_API}/retry-payment", orjson.dumps(body)) for body in bodies]
        tabs = ["tab"] * len(requests)
        for case, heard in zip(order, await self._insist(line, tabs, requests), strict=True):
            # Until the shop has heard of the payment it hands out what it has: the page that is
            # paid already. Another page could be paid a second time.
            if heard.status == 200 and case.session not in orjson.loads(heard.body)["url"]:
                self.wrong.append(f"{case.command} is paid and got another payment page")

    async def _pay_late(self, case: Case) -> None:
        """Clean-up and a payment in the same moment: Stripe decides who was first."""
        await asyncio.sleep(self._rng.uniform(0, LATEST))
        if await self._pay(case) != 200:
            self.counts["closed before it was paid"] += 1
            return
        self.counts["paid in the same moment"] += 1
        told = await self._listen([case])
        await asyncio.gather(
            *(self._deliver(n, line, [case], told) for n, line in enumerate(self._webhooks)),
            *(self._confirm(line, [case]) for line in self._confirmers),
        )

    def _shuffled(self, cases: list[Case]) -> list[Case]:
        stray = self._rng.choice(DISORDERS)
        places = {case.command: n + self._rng.uniform(0, stray) for n, case in enumerate(cases)}
        return sorted(cases, key=lambda case: places[case.command])

    async def _insist(self, line: Line, kinds: list[str], requests: list[bytes]) -> list[Heard]:
        """All of them at once; whoever is told to come again does, until there is an answer."""
        heard, busy = await line.ask(requests), list(range(len(requests)))
        give_up = time.monotonic() + PATIENCE
        while True:
            busy = [n for n in busy if self._hear(kinds[n], heard[n]) in _BUSY]
            if not busy or time.monotonic() > give_up:
                return heard
            await asyncio.sleep(0.1)
            again = await line.ask([requests[n] for n in busy])
            for n, answer in zip(busy, again, strict=True):
                heard[n] = answer

    def _hear(self, kind: str, heard: Heard) -> str | None:
        """Count an answer; the code of a refusal."""
        self.counts["requests"] += 1
        if heard.status < 300:
            self.counts[f"{kind}: {heard.status}"] += 1
            return None
        code = _code(heard)
        self.counts[f"{kind}: {heard.status} {code}"] += 1
        if code not in _TOLD[kind]:
            self.wrong.append(f"a {kind} was answered {heard.status} {code}")
        return code

    def _judge(self, cases: list[Case]) -> None:
        """Every yes to one command says the same, byte for byte."""
        for case in cases:
            if len(case.confirmed) > 1:
                self.wrong.append(f"{case.command} was confirmed in {len(case.confirmed)} ways")
            if not case.confirmed and not case.late:
                self.wrong.append(f"{case.command} was never confirmed")

    # -- books ---------------------------------------------------------------------------------

    async def _come_to_rest(self) -> None:
        """Nobody asks any more; the workers finish what they hold. What is left half done is told
        by the comparison."""

        async def rests() -> bool:
            # In this order: what is settled between the two looks leaves something under way.
            unsettled = await self._db.read(count_unsettled)
            return not unsettled and not await self._db.read(count_under_way)

        await until_so(rests)

    async def _compare(self) -> list[str]:
        wrong = await find_breaches(self._db, self._crew.stripe_url)
        wrong += await self._db.read(find_half_made)
        wrong += await self._count_effects()
        return wrong + self._crew.read_log()

    async def _count_effects(self) -> list[str]:
        """Of each paid command one of everything, of each other one nothing."""
        effects = await self._db.read(count_effects)
        wrong = []
        for case in self._cases:
            one = effects.pop(case.command, "is gone")
            self.counts["paid commands"] += one == ONCE
            if one != ONCE and not (case.late and one == NEVER):
                wrong.append(f"{case.command}: {one}")
        wrong += [f"{command} was not ordered" for command in effects]
        letters = Counter(sent_letters(self._letters))
        self.counts["letters sent"] += letters.total()
        wrong += [f"letter {key} was sent {n} times" for key, n in letters.items() if n > 1]
        if letters.total() != self.counts["paid commands"]:
            wrong.append(f"{letters.total()} letters, {self.counts['paid commands']} paid")
        return wrong


_KINDS: Final = (
    "checkout.session.completed", "checkout.session.async_payment_succeeded", "charge.succeeded",
)  # fmt: skip


def _webhook(body: bytes) -> bytes:
    signature = sign(body, datetime.now(UTC), SECRET)
    return post(WEBHOOK, body, Stripe_Signature=signature)


async def _order_one(line: Line, request: bytes) -> Heard:
    """Whoever is told to come again does: the same order within a minute is the same command."""
    give_up = time.monotonic() + PATIENCE
    while True:
        [heard] = await line.ask([request])
        if heard.status == 200 or _code(heard) not in _BUSY or time.monotonic() > give_up:
            return heard
        await asyncio.sleep(0.1)


def _code(heard: Heard) -> str | None:
    code: str | None = orjson.loads(heard.body).get("code")
    return code
