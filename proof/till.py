"""A shop's transactions, one group after the other, on a recorded SQLite file; all from one seed.

The real schema, the real functions, the real group commit. What the shop would have told somebody
(an address handed out, an event acknowledged, a payment confirmed) is noted when it could.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

from commande.core.cart import CartLine
from commande.core.customer import Customer
from commande.core.order import Order
from commande.core.payment import PaymentReport, PaymentState
from commande.core.product import Price, Product
from commande.db.catalogue import upsert_products
from commande.db.group import Call, GroupRunner, driver_of
from commande.db.inbox import StoredEvent, claim_events, store_event
from commande.db.modules import COMMANDS, add_module
from commande.db.opening import Claim, Opening, Ticket, mark_open, open_command
from commande.db.outbox import Message, claim_messages, finish_message
from commande.db.schema import migrate
from commande.db.settlement import apply_report
from commande.db.sqlite_file import open_writer, sqlite_engine
from commande.db.upkeep import bury_command, fence_command, give_up_session
from commande.ids import Ids, Seal
from proof.recorder import Recorder

NAME: Final = "shop.sqlite"
Level = Literal["full", "normal"]
START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
PRODUCTS: Final = [
    Product(f"{number:024x}", f"Bouquet {number}", tax_percentage=Decimal(10),
            prices=(Price("standard", 990 + number, "eur"),))
    for number in range(1, 41)
]  # fmt: skip
SEAL: Final = Seal("the secret of a proof")


@dataclass(frozen=True, slots=True)
class Told:
    """Something the shop said, which must be true for ever after."""

    kind: Literal["command", "address", "event", "paid", "letter", "buried"]
    command: str
    detail: str = ""


Step = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
Journey = Iterator[Step]


def make_shop(folder: Path) -> bytes:
    """The file of a shop that is ready to sell; it is the same for every recording."""
    path = folder / NAME
    migrate(f"sqlite:///{path}")
    connection = open_writer(sqlite_engine(str(path)), str(path))
    runner = GroupRunner(connection)
    module = Call(add_module, (f"{1:024x}", COMMANDS, START))
    stock = Call(upsert_products, (PRODUCTS, START))
    _run(runner, [module, stock])
    runner.close()
    content = path.read_bytes()
    for file in folder.iterdir():
        file.unlink()
    return content


class Till:
    """Rings up orders, several at a time and each at its own pace."""

    def __init__(self, recorder: Recorder, folder: Path, level: Level, seed: str) -> None:
        self._recorder, self._rng = recorder, Random(seed)
        path = str(folder / NAME)
        connection = open_writer(sqlite_engine(path), path)
        if level != "full":  # the product never does this: it is what the control changes
            driver_of(connection).execute(f"PRAGMA synchronous = {level}")
        self._runner = GroupRunner(connection)
        self._ids = Ids(self._rng.randbytes)
        self._now = START
        self._numbers = 0

    def ring_up(self, orders: int, at_once: int = 12) -> None:
        """Bring so many orders to their end, in groups of one to eight transactions."""
        waiting: list[tuple[Journey, Step]] = []
        begun = 0
        while waiting or begun < orders:
            while len(waiting) < at_once and begun < orders:
                begun += 1
                journey = self._order()
                waiting.append((journey, next(journey)))
            self._rng.shuffle(waiting)
            taken = [waiting.pop() for _ in range(min(len(waiting), self._rng.randint(1, 8)))]
            waiting += self._commit(taken)

    def restock(self) -> None:
        """One large transaction, as an import makes it."""
        self._commit_one((upsert_products, (PRODUCTS, self._tick()), {}))

    def close(self) -> None:
        """Close the connection."""
        self._runner.close()

    def _commit(self, taken: list[tuple[Any, Step]]) -> list[tuple[Any, Step]]:
        """One group: one COMMIT, then each caller hears of it and says what it wants next."""
        calls = [Call(fn, args, kwargs) for _, (fn, args, kwargs) in taken]
        _run(self._runner, calls)
        following = []
        for (journey, _), call in zip(taken, calls, strict=True):
            try:
                following.append((journey, journey.send(call.value)))
            except StopIteration:
                continue
        return following

    def _commit_one(self, step: Step) -> None:
        _run(self._runner, [Call(*step)])

    def _tick(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now

    def _tell(self, kind: Any, command: str, detail: str = "") -> None:
        self._recorder.acknowledge(Told(kind, command, detail))

    def _order(self) -> Any:
        """One order from the cart to its end: paid mostly, sometimes buried."""
        ticket, order = self._ticket(), self._cart()
        claim = Claim(ticket.command_id, order.digest(), from_caller=True)
        opening: Opening = yield open_command, (order, ticket, claim), {}
        command, attempt = opening.command.id, opening.attempt
        self._tell("command", command)
        report = self._report(attempt.id, attempt.amount_minor, PaymentState.OPEN)
        yield mark_open, (attempt.id, report, attempt.quote, self._tick()), {}
        self._tell("address", command, report.session_id)
        if self._rng.random() < 0.15:
            yield fence_command, (command, self._tick()), {}
            yield give_up_session, (attempt.id, self._tick()), {}
            yield bury_command, (command, "worker", self._tick()), {}
            self._tell("buried", command)
            return
        paid = self._report(attempt.id, attempt.amount_minor, PaymentState.PAID)
        yield from self._settle(command, paid)

    def _settle(self, command: str, paid: PaymentReport) -> Any:
        """By webhook, by the customer's return, or by both."""
        by_event = self._rng.random() < 0.7
        event = self._event(command, paid)
        if by_event:
            yield store_event, (event, "pending", self._tick()), {}
            self._tell("event", command, event.id)
            yield claim_events, (self._tick(),), {}
        if not by_event or self._rng.random() < 0.5:
            yield apply_report, (paid, "browser", self._tick()), {"as_of": self._now}
            self._tell("paid", command, paid.session_id)
        if by_event:
            last = {"as_of": self._now, "event_id": event.id}
            yield apply_report, (paid, "webhook", self._tick()), last
            self._tell("paid", command, paid.session_id)
        yield claim_messages, (self._tick(),), {}
        message = Message(f"paid:{command}", "paid", command, 0)
        yield finish_message, (message, "sent", self._tick()), {}
        self._tell("letter", command)

    def _ticket(self) -> Ticket:
        now = self._tick()
        return Ticket(
            now=now, lease_until=now + timedelta(seconds=13), seal=SEAL, livemode=False,
            command_id=self._ids.object_id(now), attempt_id=self._ids.object_id(now),
            refs=(self._ids.ref(), self._ids.ref(), self._ids.ref()), currency="eur",
            country="FR", success_url="https://shop.example/done",
            cancel_url="https://shop.example/cancelled",
        )  # fmt: skip

    def _cart(self) -> Order:
        self._numbers += 1
        chosen = self._rng.sample(PRODUCTS, self._rng.randint(1, 6))
        lines = tuple(CartLine(p.id, self._rng.randint(1, 5), "standard") for p in chosen)
        customer = Customer("Marie", "Durand", f"marie{self._numbers}@example.com",
                            "+33612345678", "1 rue Haute", "75001", "Paris", "FR")  # fmt: skip
        return Order(lines, customer, self._now + timedelta(days=3), None, "fr")

    def _report(self, attempt: str, amount: int, state: PaymentState) -> PaymentReport:
        return PaymentReport(
            session_id=f"cs_test_{attempt}", state=state, amount_minor=amount, currency="eur",
            mode="payment", livemode=False, url=f"https://pay.example/{attempt}",
            payment_intent_id=f"pi_{attempt}", charge_id=f"ch_{attempt}", method="visa •••• 4242",
        )  # fmt: skip

    def _event(self, command: str, paid: PaymentReport) -> StoredEvent:
        return StoredEvent(
            id=f"evt_{paid.session_id}", type="checkout.session.completed",
            object_id=paid.session_id, session_id=paid.session_id,
            payment_intent_id=paid.payment_intent_id, command_id=command,
            payload={"id": paid.session_id}, source="webhook", tries=0, occurred_at=self._now,
        )  # fmt: skip


def _run(runner: GroupRunner, calls: list[Call]) -> None:
    runner.run(calls)
    for call in calls:
        if call.error is not None:
            raise call.error
