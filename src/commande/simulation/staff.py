"""The shopkeeper, who may do anything at any time, and the hostile caller, who tries to."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from commande.core.product import Product
from commande.db.catalogue import upsert_products
from commande.errors import CommandNotFound, DatabaseBusy, OutcomeUnknown
from commande.flows.catalogue import change_price
from commande.flows.checkout import retry_payment
from commande.flows.reconcile import reconcile
from commande.flows.refunds import refund_command
from commande.flows.settlement import confirm_payment
from commande.flows.upkeep import cancel_command, expire_overdue
from commande.sandbox.errors import Refusal
from commande.sandbox.webhooks import sign
from commande.shop import Shop
from commande.simulation.ground import CATALOGUE
from commande.simulation.machinery import receive
from commande.simulation.scheduler import Reply, pause, wait_for

if TYPE_CHECKING:
    from commande.simulation.world import World

_KEEPER: Final = (
    ("price", 6), ("withdraw", 3), ("delete", 1), ("refund", 6), ("part of a refund", 4),
    ("dispute", 2), ("cancel", 4), ("cleanup", 4), ("reconcile", 2), ("expire", 2),
    ("give back", 8),
)  # fmt: skip


class Keeper:
    """The shopkeeper's deeds, at random times."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.rng = world.profile.rng("keeper")
        self.products = {product.id: product for product in CATALOGUE}

    async def work(self) -> None:
        """Do something now and then until the faults stop."""
        names, weights = zip(*_KEEPER, strict=True)
        deeds = self.rng.randint(0, self.world.profile.checkouts // 3)
        if not deeds:
            return
        rest = self.world.profile.arrivals * 1.2 / deeds
        for _ in range(deeds):
            await pause(self.rng.expovariate(1 / rest))
            deed = self.rng.choices(names, weights)[0]
            self.world.scheduler.note(f"keeper: {deed}")
            await self._do(deed)

    async def _do(self, deed: str) -> None:
        if deed in ("price", "withdraw", "delete"):
            await self._change_catalogue(deed)
        elif deed in ("refund", "part of a refund", "dispute"):
            self._move_money(deed)
        elif deed == "expire":
            open_ = self._sessions("open")
            if open_:
                self.world.engine.dashboard.expire(self.rng.choice(open_)["id"])
        elif deed == "cancel":
            await self._cancel()
        elif deed == "give back":
            await self._give_back()
        elif deed == "cleanup":
            age = timedelta(seconds=self.rng.choice((0, 60, 1800, 86400)))
            for _ in range(self.rng.choice((1, 2))):
                self._start(
                    "clean-up", lambda shop: expire_overdue(shop, age, source="person"), "clean-up"
                )
        else:
            await self._run("reconcile", reconcile)

    async def _cancel(self) -> None:
        """Close a command; often one whose payment the shop has not heard of."""
        commands = [c for (c,) in self.world.driver.execute("SELECT id FROM commands")]
        if not commands:
            return
        made, complete = self.world.watch.made, self._unheard(self._sessions("complete"))
        fresh = [made[row["id"]] for row in complete if row["id"] in made]
        chosen = self.rng.choice(fresh if fresh and self.rng.random() < 0.5 else commands)
        await self._run("cancel", lambda shop: cancel_command(shop, chosen))

    async def _give_back(self) -> None:
        """A refund from our own panel; the person clicks again when nothing seems to happen."""
        paid = self.world.driver.execute("SELECT id, snapshot FROM commands WHERE paid_at NOTNULL")
        rows = paid.fetchall()
        if not rows:
            return
        command, snapshot = self.rng.choice(rows[-10:])
        total = orjson.loads(snapshot)["total_minor"]
        amount = None if self.rng.random() < 0.4 else self.rng.randint(1, max(1, total // 2))
        key = f"panel:{command}:{self.rng.getrandbits(32)}" if self.rng.random() < 0.7 else None
        clicks = self.rng.choice((1, 1, 2))
        for _ in range(clicks):
            self._start("refund", lambda shop: refund_command(shop, command, amount, key=key),
                        f"refund {command}", "C34")  # fmt: skip

    def _start(self, name: str, flow: Any, about: str = "", point: str = "") -> Reply:
        """Call the shop; ``point`` was gone through when another such request is being served."""

        async def guarded(shop: Shop) -> object:
            if about and self.world.points.take_up(about, reply) and point:
                self.world.reach(point)
            # The command line prints these as facts; they end nothing.
            try:
                return await flow(shop)
            except (DatabaseBusy, OutcomeUnknown) as error:
                return error

        reply = self.world.call(name, guarded, self.rng)
        return reply

    async def _run(self, name: str, flow: Any) -> None:
        await wait_for(self._start(name, flow))

    async def _change_catalogue(self, deed: str) -> None:
        product = self.rng.choice(list(self.products.values()))
        if deed == "price":
            price = self.rng.choice(product.prices)
            amount = max(60, price.amount_minor + self.rng.choice((-100, -1, 1, 50, 1000)))
            await self._run(
                "price", lambda shop: change_price(shop, product.id, price.type, amount)
            )
        elif deed == "withdraw":
            changed = _with_activity(product, active=not product.active)
            self.products[product.id] = changed
            await self._run(
                "withdraw",
                lambda shop: shop.db.transaction(upsert_products, [changed], shop.clock.now()),
            )
        else:
            self.world.driver.execute("DELETE FROM products WHERE id = ?", (product.id,))

    def _sessions(self, status: str) -> list[dict[str, Any]]:
        rows = self.world.engine.state.rows["session"].values()
        return [row for row in rows if row["status"] == status]

    def _unheard(self, sessions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in sessions if not self.world.watch.in_books(row["id"])]

    def _move_money(self, deed: str) -> None:
        paid = [row for row in self._sessions("complete") if row["payment_status"] == "paid"]
        if not paid:
            return
        fresh = self._unheard(paid)
        # Often the one that the shop has not heard of: that is where it could go wrong.
        session = self.rng.choice(fresh if fresh and self.rng.random() < 0.5 else paid[-10:])
        intent, dashboard = session["payment_intent"], self.world.engine.dashboard
        try:
            if deed == "dispute":
                dashboard.open_dispute(intent)
            else:
                part = self.rng.randint(1, session["amount_total"] - 1)
                dashboard.refund(intent, None if deed == "refund" else part)
        except Refusal:
            self.world.outcomes["refund refused at Stripe"] += 1
        else:
            if deed == "refund" and session in fresh:
                self.world.reach("C32")


def _with_activity(product: Product, *, active: bool) -> Product:
    return Product(
        product.id, product.title, product.description, product.image, active,
        product.tax_percentage, product.tax_inclusive, product.stock, product.prices,
    )  # fmt: skip


class Stranger:
    """Knows command ids and a session of its own, and tries every door."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.rng = world.profile.rng("stranger")

    async def prowl(self) -> None:
        """Try something now and then."""
        tries = self.rng.randint(0, self.world.profile.checkouts // 4)
        for _ in range(tries):
            await pause(self.rng.expovariate(tries / self.world.profile.arrivals))
            victims = self.world.driver.execute("SELECT id FROM commands").fetchall()
            if victims:
                await self._try(self.rng.choice(victims)[0])

    async def _try(self, victim: str) -> None:
        trick = self.rng.choice(("pair", "link", "forged", "token", "webhook", "replay"))
        self.world.scheduler.note(f"stranger: {trick} {victim}")
        if trick == "pair":
            await self._confirm(self._foreign_pair(victim), victim)
        elif trick in ("link", "forged"):
            await self._confirm(self._foreign_session(trick, victim), victim)
        elif trick == "token":
            await self._enter(victim)
        else:
            await self._post(trick)

    def _foreign_pair(self, victim: str) -> str:
        others = [s for s, c in self.world.watch.made.items() if c != victim]
        return self.rng.choice(others) if others else "cs_test_nobody"

    def _foreign_session(self, trick: str, victim: str) -> str:
        """Pay a session that another program, or a Payment Link, made in the same account."""
        query = "SELECT id, amount_minor FROM attempts WHERE command_id = ?"
        attempt, amount = self.world.driver.execute(query, (victim,)).fetchone()
        metadata = None
        if trick == "forged":
            metadata = {"app": "commande", "command_id": victim, "attempt_id": attempt,
                        "total": str(amount), "currency": "eur", "mac": "0" * 64}  # fmt: skip
        session = self.world.engine.dashboard.foreign_session(
            amount=amount, client_reference_id=victim, payment_link=trick == "link",
            metadata=metadata, pay_with="pm_card_visa",
        )  # fmt: skip
        self.world.reach("C27")
        return str(session["id"])

    async def _confirm(self, session: str, victim: str) -> None:
        reply = self.world.call("confirm", lambda shop: confirm_payment(shop, session, victim),
                                self.rng)  # fmt: skip
        await wait_for(reply)
        if reply.value is not None:
            self.world.watch.cry("I7", "a foreign session confirmed a command", victim)

    async def _enter(self, victim: str) -> None:
        token = self.rng.choice((None, "", "x" * 32))
        reply = self.world.call("retry", lambda shop: retry_payment(shop, victim, token), self.rng)
        await wait_for(reply)
        known = isinstance(reply.error, (CommandNotFound, DatabaseBusy, OutcomeUnknown))
        if reply.value is not None or not (known or reply.lost):
            self.world.watch.cry("I13", "a command opened without its token", victim)

    async def _post(self, trick: str) -> None:
        """A webhook that Stripe did not send, or that it sent long ago."""
        number = self.rng.getrandbits(40)
        forged = {
            "id": f"evt_{number}", "object": "event", "type": "charge.dispute.created",
            "created": int(self.world.scheduler.now), "livemode": False,
            "data": {"object": {"id": "du_1", "payment_intent": "pi_1"}},
        }  # fmt: skip
        body, stamp = orjson.dumps(forged), int(self.world.scheduler.now)
        signature = None
        if trick == "replay":
            signature = sign(body, "whsec_guess", stamp)
        reply = self.world.call(
            "webhook", lambda shop: receive(self.world, shop, body, signature), self.rng
        )
        await wait_for(reply)
        query = "SELECT 1 FROM events WHERE stripe_event_id = ?"
        if self.world.driver.execute(query, (forged["id"],)).fetchone() is not None:
            self.world.watch.cry("I13", "a webhook was believed that Stripe did not sign")
