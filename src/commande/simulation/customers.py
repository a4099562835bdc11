"""The customers: impatient, absent-minded, sometimes twice. Each follows a script of its own."""

from collections.abc import Callable
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
    PaymentNotCompleted,
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
_DECLINED: Final = ("4000000000000002", "4000000000009995")
_SEPA_GOOD: Final = "DE89370400440532013000"
_SEPA_BAD: Final = "DE62370400440532013001"
_DISPUTED: Final = "4000000000000259"
_HOUR: Final = 3600.0
# What customers do with an open payment page, and how often.
_HABITS: Final = (
    ("pays", 40), ("pays twice", 6), ("declined", 8), ("closes the tab", 14), ("goes back", 8),
    ("two tabs", 8), ("direct debit", 10), ("comes late", 6), ("leaves", 16), ("disputes", 2),
)  # fmt: skip


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

    async def live(self) -> None:
        """The customer's whole story."""
        rng = self.rng
        await self._order()
        if not self.addresses:
            self.world.outcomes["gave up"] += 1
            return
        names, weights = zip(*_HABITS, strict=True)
        habit = rng.choices(names, weights)[0]
        self.world.outcomes[habit] += 1
        await pause(rng.expovariate(1 / 40.0))
        await _SCRIPTS[habit](self)

    # -- ordering ------------------------------------------------------------------------------

    async def _order(self) -> None:
        rng, key = self.rng, None
        if rng.random() < 0.5:
            key = f"key-{self.number}-{rng.getrandbits(32)}"
        self.key = key
        for _ in range(rng.randint(2, 6)):
            replies = [self._create(key)]
            if rng.random() < 0.15:
                await pause(rng.random())
                replies.append(self._create(key))
            for reply in replies:
                await wait_for(reply)
                self._learn(reply)
            if self.addresses:
                return
            await pause(rng.choice((0.5, 3.0, 20.0, 70.0, 400.0)))
            if self.command and rng.random() < 0.5:
                await self.retry()
                if self.addresses:
                    return

    def _create(self, key: str | None) -> Reply:
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

    def _learn(self, reply: Reply) -> None:
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
        reply = self._retry(None)
        await wait_for(reply)
        if isinstance(reply.error, PriceChanged) and not reply.lost and self.rng.random() < 0.7:
            reply = self._retry(reply.error.new_minor)
            await wait_for(reply)
        self._learn(reply)
        return reply

    def _retry(self, accept: int | None) -> Reply:
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


async def _pays(me: Shopper) -> None:
    if me.pay():
        await pause(me.rng.random() * 4)
        await me.come_back()


async def _pays_twice(me: Shopper) -> None:
    """Pays, comes back in two windows at once, opens the page again; some want the same twice."""
    if not me.pay():
        return
    address = me.addresses[-1]
    await pause(me.rng.random() * 2)
    for reply in [me.confirm(address), me.confirm(address), me.confirm(address)]:
        await wait_for(reply)
    await pause(me.rng.choice((1.0, 60.0, 30 * _HOUR)))
    await me.come_back(address)
    await me.retry()
    if me.addresses[-1] == address and me.key is None:
        reply = me._create(None)
        await wait_for(reply)
        me._learn(reply)
    again = me.addresses[-1]
    if again != address and me.pay():
        if me.commands[again] == me.commands[address]:
            me.world.watch.cry("I4", "a customer could pay twice", me.commands[again])
        me.world.reach("C11")


async def _declined(me: Shopper) -> None:
    for _ in range(me.rng.randint(1, 3)):
        me.pay(me.rng.choice(_DECLINED))
        await pause(me.rng.random() * 60)
    if me.rng.random() < 0.3:
        await me.retry()
    if me.pay():
        await me.come_back()


async def _closes_the_tab(me: Shopper) -> None:
    """Pays and sees no answer; some doubt later whether they did, and try to pay again."""
    if not me.pay(hasty=0.5) or me.rng.random() < 0.6:
        return
    paid = me.addresses[-1]
    await pause(me.rng.choice((20.0, 280.0, 3000.0, 22.6 * _HOUR)))
    await me.retry()
    again = me.addresses[-1]
    if again != paid and me.pay() and me.commands[again] == me.commands[paid]:
        me.world.watch.cry("I4", "a customer in doubt could pay twice", me.commands[paid])


async def _goes_back(me: Shopper) -> None:
    """Back and forth; sometimes an address from before is still open in the history."""
    for _ in range(me.rng.randint(1, 4)):
        await me.retry()
        await pause(me.rng.choice((1.0, 60.0, 1800.0, 4 * _HOUR)))
    address = me.rng.choice(me.addresses)
    if me.pay(address=address):
        await me.come_back(address)
    elif me.pay():
        await me.come_back()


async def _two_tabs(me: Shopper) -> None:
    """The cancel page twice at once; then both tabs pay."""
    await pause(me.rng.choice((0.0, 600.0, 22.6 * _HOUR, 23.2 * _HOUR)))
    if me.command is None:
        return
    replies = [me._retry(None), me._retry(None)]
    for reply in replies:
        await wait_for(reply)
        if isinstance(reply.error, PriceChanged) and not reply.lost:
            reply = me._retry(reply.error.new_minor)  # noqa: PLW2901 – the tab's next answer
            await wait_for(reply)
        me._learn(reply)
    paid = [address for address in dict.fromkeys(me.addresses) if me.pay(address=address)]
    if len({me.commands[address] for address in paid}) < len(paid):
        me.world.watch.cry("I4", "two tabs paid one command twice", me.commands[paid[0]])
    if len(paid) > 1:
        me.world.reach("C11")
    for address in paid:
        await me.come_back(address)


async def _direct_debit(me: Shopper) -> None:
    means = _SEPA_BAD if me.rng.random() < 0.5 else _SEPA_GOOD
    if not me.pay(means):
        return
    if me.rng.random() < 0.7:
        await pause(1.0)
        reply = me.confirm(me.addresses[-1])
        await wait_for(reply)
        if isinstance(reply.error, PaymentNotCompleted):
            me.world.outcomes["debit failed at once"] += 1
    if means == _SEPA_GOOD and me.rng.random() < 0.5:
        return
    again = me.rng.choice((CARD, _SEPA_GOOD, _SEPA_BAD))
    for _ in range(3):
        await pause(me.world.profile.sepa * me.rng.choice((0.5, 1.0, 1.2)) + 30.0)
        before = len(me.addresses)
        await me.retry()
        if len(me.addresses) > before and me.pay(again):
            await me.come_back()


async def _comes_late(me: Shopper) -> None:
    """Pays around the hour when the session expires and clean-up comes."""
    await pause(me.rng.choice((22.4, 22.95, 22.999, 23.5, 24.0, 24.02)) * _HOUR)
    if me.rng.random() < 0.6:
        await me.retry()
    await pause(me.rng.random() * me.rng.choice((2.0, 120.0)))
    if me.pay():
        if me.rng.random() < 0.5:
            await me.come_back()
    else:
        await me.retry()
        if me.pay():
            await me.come_back()


async def _leaves(me: Shopper) -> None:
    if me.rng.random() < 0.3:
        await pause(me.rng.random() * 26 * _HOUR)
        await me.retry()


async def _disputes(me: Shopper) -> None:
    if me.pay(_DISPUTED):
        await me.come_back()


_SCRIPTS: Final[dict[str, Callable[[Shopper], Any]]] = {
    "pays": _pays, "pays twice": _pays_twice, "declined": _declined,
    "closes the tab": _closes_the_tab, "goes back": _goes_back, "two tabs": _two_tabs,
    "direct debit": _direct_debit, "comes late": _comes_late, "leaves": _leaves,
    "disputes": _disputes,
}  # fmt: skip


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
