"""What the demo's panel can do: to the stand-in, to the worker, to the server's own life."""

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from commande.admin import DemoStatus
from commande.core.cart import CartLine
from commande.core.customer import Customer
from commande.core.order import Order
from commande.db import Database
from commande.db.connection import P, R, TransactionFunction
from commande.db.inbox import store_event
from commande.db.settlement import apply_report
from commande.flows.checkout import open_checkout
from commande.sandbox import Engine
from commande.shop import Shop
from commande.worker import Worker

BOUQUET = "507f1f77bcf86cd799439011"
CAMILLE = Customer(
    "Camille", "Roussel", "camille.roussel@example.com", "+33639981247",
    "12, rue des Tilleuls", "75011", "Paris", "FR",
)  # fmt: skip


class MortalDatabase:
    """A database whose process can be told to die in the middle of the next payment's write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.doomed = False

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._database.dialect

    async def transaction(
        self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run the function; if doomed and it writes a payment, die before its commit."""
        if self.doomed and fn in (apply_report, store_event):
            await self._database.transaction(_die_after, fn, args, kwargs)
        return await self._database.transaction(fn, *args, **kwargs)

    async def read(self, fn: TransactionFunction[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function on one snapshot."""
        return await self._database.read(fn, *args, **kwargs)

    async def close(self) -> None:
        """Close the real one."""
        await self._database.close()


def _die_after(
    conn: Any, fn: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Everything is written, nothing is committed: the worst moment there is."""
    fn(conn, *args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)


class DemoControls:
    """The panel's buttons (``admin.panel.Controls``)."""

    def __init__(self, shop: Shop, database: MortalDatabase, engine: Engine) -> None:
        self._shop, self._database, self._engine = shop, database, engine
        self._app: Any = None

    def watch(self, app: Any) -> None:
        """Learn which application holds the worker."""
        self._app = app

    async def status(self) -> DemoStatus:
        """How it stands now."""
        armed = frozenset(fault.kind for fault in self._engine.world.faults.orders)
        running = self._app.state.worker is not None
        return DemoStatus(running, armed & {"lost", "doubled"}, self._database.doomed)

    async def arm(self, fault: str) -> None:
        """Let the next payment's event be ``lost`` or ``doubled``."""
        await self.disarm(fault)
        self._engine.fail(kind=fault, type="checkout.session.*")

    async def disarm(self, fault: str) -> None:
        """Take that back."""
        for order in list(self._engine.world.faults.orders):
            if order.kind == fault:
                self._engine.world.faults.remove(order.id)

    async def stop_worker(self) -> None:
        """Let events pile up."""
        worker, self._app.state.worker = self._app.state.worker, None
        if worker is not None:
            await worker.stop()

    async def start_worker(self) -> None:
        """Let them be handled again."""
        if self._app.state.worker is None:
            self._app.state.worker = Worker(self._shop)
            self._app.state.worker.start()

    async def kill_on_next_write(self) -> None:
        """Die in the middle of the next payment's write; whoever watches starts a new server."""
        self._database.doomed = True

    async def place_test_order(self) -> str:
        """Order a bouquet and pay it with the first test card, as a customer without a browser."""
        now = self._shop.clock.now()
        appointment = (now + timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
        order = Order((CartLine(BOUQUET, 1),), CAMILLE, appointment, None, "fr")
        opened = await open_checkout(self._shop, order, f"demo-{now.isoformat()}")
        session_id = opened.url.rsplit("/", 1)[-1].partition("#")[0]
        self._engine.dashboard.pay(session_id, email=CAMILLE.email, name="Camille Roussel")
        self._engine.world.wake()
        # The panel shows the timeline next; the webhook usually needs less than this.
        await asyncio.sleep(0.6)
        return opened.command_id
