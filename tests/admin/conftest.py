"""A street with a merchant's view, a demo's panel, and somebody who knows the password."""

from collections.abc import Iterator

import pytest

from commande.admin import DemoStatus, demo_panel
from tests.pages.street import Street, Visitor, open_street

PASSWORD = "ouvre-toi"


class Levers:
    """The demo's controls as levers that only remember how they were pulled."""

    def __init__(self) -> None:
        self.armed: set[str] = set()
        self.worker, self.kill = True, False
        self.orders = 0

    async def status(self) -> DemoStatus:
        return DemoStatus(self.worker, frozenset(self.armed), self.kill)

    async def arm(self, fault: str) -> None:
        self.armed.add(fault)

    async def disarm(self, fault: str) -> None:
        self.armed.discard(fault)

    async def stop_worker(self) -> None:
        self.worker = False

    async def start_worker(self) -> None:
        self.worker = True

    async def kill_on_next_write(self) -> None:
        self.kill = True

    async def place_test_order(self) -> str:
        self.orders += 1
        return "a" * 24


@pytest.fixture(scope="module")
def levers() -> Levers:
    return Levers()


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory, levers: Levers) -> Iterator[Street]:
    folder = tmp_path_factory.mktemp("desk")
    with open_street(folder, extra=lambda shop: [demo_panel(shop, levers)]) as opened:
        yield opened


def enter(visitor: Visitor) -> Visitor:
    """Through the gate."""
    visitor.post("/marchand/connexion", {"password": PASSWORD}, follow=False)
    return visitor


@pytest.fixture
def merchant(street: Street) -> Visitor:
    return enter(street.visitor())
