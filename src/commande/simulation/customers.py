"""The customers: how one orders, pays, comes back and asks again. What they do: ``habits.py``."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

from commande.core.cart import CartLine
from commande.core.command import Status
from commande.core.customer import Customer
from commande.core.document import Command
from commande.core.order import Order
from commande.errors import (
    CommandExpired,
    CommandNotFound,
    PriceChanged,
    SessionMismatch,
)
from commande.flows.checkout import Opened, OpeningDelayed, open_checkout, retry_payment
from commande.flows.settlement import confirm_payment
from commande.sandbox.errors import Refusal
from commande.simulation.ground import CATALOGUE
from commande.simulation.scheduler import Reply, pause, wait_for

if TYPE_CHECKING:
    from commande.simulation.world import World

CARD: Final = "4242424242424242"


class Shopper:
    """One customer and what the browser knows."""

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.rng = world.profile.rng(f"customer-{number}")
        self.order = _order(self.rng, number, world.scheduler.now)
        self.command: tuple[str, str] | None = None
        """Id and token, once an answer named them; of the newest command, if there are two."""
        self.addresses: list[str] = []
        """Every payment page that was ever shown."""
        self.commands: dict[str, str] = {}
        """Payment page: the command it was for."""
        self.key: str | None = None
        """The Idempotency-Key that the front end sends, if it does."""

    # -- ordering ------------------------------------------------------------------------------

    async def place_order(self) -> None:
        """Order, and again while there is neither a payment page nor patience left."""
        rng, key = self.rng, None
        if rng.random() < 0.5:
            key = f"key-{self.number}-{rng.getrandbits(32)}"
        self.key = key
        for _ in range(rng.randint(2, 6)):
            replies = [self.ask_for(key)]
            if rng.random() < 0.15:
                await pause(rng.random())
                replies.append(self.ask_for(key))
            for reply in replies:
                await wait_for(reply)
                self.learn(reply)
            if self.addresses:
                return
            await pause(rng.choice((0.5, 3.0, 20.0, 70.0, 400.0)))
            if self.command and rng.random() < 0.5:
                await self.retry()
                if self.addresses:
                    return

    def ask_for(self, key: str | None) -> Reply:
        """Send the order."""
        patience = 13.0 if self.rng.random() < 0.8 else 2.0
        watch = self.world.watch

        async def create(shop: Any) -> Opened:
            if self.world.points.take_up(f"order {self.number}", reply):
                self.world.reach("C9")
            opened = await open_checkout(shop, self.order, key)
            watch.handed_out(opened)
            return opened

        reply = self.world.call("create", create, self.rng, patience)
        return reply

    def learn(self, reply: Reply) -> None:
        """What an answer told: command, token, address."""
        if isinstance(reply.value, Opened) and not reply.lost:
            self.command = (reply.value.command_id, reply.value.token)
            if self.commands and reply.value.command_id not in self.commands.values():
                self.world.outcomes["ordered twice"] += 1
                if self.key is not None:
                    self.world.watch.cry("I4", "one Idempotency-Key made two commands",
                                         reply.value.command_id)  # fmt: skip
            self.addresses.append(reply.value.url)
            self.commands[reply.value.url] = reply.value.command_id
        elif isinstance(reply.error, OpeningDelayed) and not reply.lost:
            self.command = (reply.error.command_id, reply.error.token)

    async def retry(self) -> Reply | None:
        """Come back by the cancel page or the letter; take a new price or not."""
        if self.command is None:
            return None
        reply = self.ask_again(None)
        await wait_for(reply)
        if isinstance(reply.error, PriceChanged) and not reply.lost and self.rng.random() < 0.7:
            reply = self.ask_again(reply.error.new_minor)
            await wait_for(reply)
        self.learn(reply)
        return reply

    def ask_again(self, accept: int | None) -> Reply:
        """Ask to pay the command after all, at a new price that is accepted."""
        assert self.command is not None  # noqa: S101 – asked before
        command_id, token = self.command
        watch = self.world.watch

        async def again(shop: Any) -> Opened:
            if self.world.points.take_up(f"retry {command_id}", reply):
                self.world.reach("C10")
            buried = self._is_buried(command_id)
            try:
                opened = await retry_payment(shop, command_id, token, accept)
            except CommandExpired:
                if not buried:
                    self.world.reach("C37")
                raise
            watch.handed_out(opened)
            return opened

        reply = self.world.call("retry", again, self.rng, 13.0)
        return reply

    def _is_buried(self, command_id: str) -> bool:
        query = "SELECT status = 'expired' FROM commands WHERE id = ?"
        return bool(self.world.driver.execute(query, (command_id,)).fetchone()[0])

    # -- paying --------------------------------------------------------------------------------

    def pay(self, means: str = CARD, address: str | None = None, *, hasty: float = 0.04) -> bool:
        """Pay on Stripe's page; whether it was taken. ``hasty``: how often refunded at once."""
        session = (address or self.addresses[-1]).rsplit("/", 1)[-1]
        self.world.scheduler.note(f"customer-{self.number} pays {session}")
        try:
            self.world.engine.dashboard.pay(session, means)
        except Refusal:
            self.world.scheduler.note(f"customer-{self.number} is refused")
            return False
        if self.rng.random() < hasty:
            # The shopkeeper sees it in Stripe's dashboard before the shop has heard of it.
            self.world.scheduler.spawn("hasty refund", lambda: self._refund(session),
                                       after=self.rng.random() * 40)  # fmt: skip
        return True

    async def _refund(self, session: str) -> None:
        unheard = not self.world.watch.in_books(session)
        try:
            self.world.engine.dashboard.refund(self.world.watch.truth(session)["payment_intent"])
        except Refusal:
            self.world.outcomes["refund refused at Stripe"] += 1
        else:
            if unheard:
                self.world.reach("C32")

    async def come_back(self, address: str | None = None) -> Command | None:
        """Stripe sends the browser to the success page, which confirms."""
        address = address or self.addresses[-1]
        for _ in range(self.rng.randint(1, 4)):
            reply = self.confirm(address)
            await wait_for(reply)
            if isinstance(reply.value, tuple) and not reply.lost:
                self._check(reply.value[0])
                command: Command = reply.value[0]
                return command
            if isinstance(reply.error, (CommandNotFound, SessionMismatch)) and not reply.lost:
                self.world.watch.cry("I11", f"a customer's own pair was refused: {reply.error}",
                                     self.commands[address])  # fmt: skip
                return None
            await pause(self.rng.choice((0.3, 2.0, 30.0)))
        return None

    def confirm(self, address: str) -> Reply:
        """Ask the shop to confirm the session behind a payment page."""
        command_id, session = self.commands[address], address.rsplit("/", 1)[-1]

        async def come_back(shop: Any) -> tuple[Command, bool]:
            self.world.points.take_up(f"return {session}", reply)
            return await confirm_payment(shop, session, command_id)

        reply = self.world.call("confirm", come_back, self.rng, 13.0)
        return reply

    def _check(self, command: Command) -> None:
        truth = self.world.watch.truth(command.paid_session_id)
        if command.paid and truth.get("payment_status") != "paid":
            self.world.watch.cry("I2", "a customer was told “paid” and Stripe says no", command.id)
        if not command.paid and command.status is not Status.PROCESSING:
            self.world.watch.cry("I2", "confirm answered without a payment", command.id)


def _order(rng: Random, number: int, now: float) -> Order:
    cart = []
    for product in rng.sample(CATALOGUE, rng.choice((1, 1, 1, 2, 3))):
        price = rng.choice(product.prices)
        named = price.type if rng.random() < 0.5 or not price.is_default else None
        cart.append(CartLine(product.id, rng.choice((1, 1, 2, 3, 7)), named))
    customer = Customer("Ada", f"Client {number}", f"c{number}@example.com", "+33612345678",
                        "1 rue des Lilas", "75020", "Paris", "FR")  # fmt: skip
    appointment = datetime.fromtimestamp(now, UTC) + timedelta(days=rng.randint(3, 30))
    return Order(tuple(cart), customer, appointment, None, rng.choice(("fr", "en")))
