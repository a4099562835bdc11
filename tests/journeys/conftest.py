"""One shop for all journeys of a kind, a customer for each."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres
from tests.support.premises import Premises, opened_premises
from tests.support.shopper import Shopper

ONE_PROCESS = "sqlite, one process"
TWO_PROCESSES = "postgresql, two processes"
WORKER_APART = "postgresql, two processes and a worker"
KINDS = [
    pytest.param(kind, marks=pytest.mark.postgres if "postgresql" in kind else ())
    for kind in (ONE_PROCESS, TWO_PROCESSES, WORKER_APART)
]


@pytest.fixture(scope="session", params=KINDS)
def premises(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Premises]:
    """The shop in its processes; the journeys of one kind share it, each with its own order."""
    folder = tmp_path_factory.mktemp("premises")
    if request.param == ONE_PROCESS:
        url = f"sqlite:///{folder / 'shop.sqlite'}"
        with opened_premises(folder / "shop", url, listed_late=True) as premises:
            yield premises
        return
    server: Postgres = request.getfixturevalue("postgres_server")
    apart = request.param == WORKER_APART
    with (
        server.new_database() as url,
        opened_premises(
            folder / "shop", url, servers=2, worker_apart=apart, listed_late=True
        ) as premises,
    ):
        yield premises


@pytest.fixture
def shopper(premises: Premises) -> Iterator[Shopper]:
    """A new customer; what was ordered of trouble ends with the test."""
    yield Shopper(premises)
    premises.recover()
