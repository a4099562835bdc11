"""Fixtures of the stand-in's own tests."""

from collections.abc import Callable, Iterator

import pytest

from commande.sandbox import create_sandbox
from tests.support.clocks import Steady, StripeClock
from tests.support.serving import serving
from tests.support.stand import SECRET, Receiver, Stand, receiving


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    with receiving() as opened:
        yield opened


@pytest.fixture
def receiver(receivers: Callable[[], Receiver]) -> Receiver:
    return receivers()


@pytest.fixture
def stand(receiver: Receiver) -> Iterator[Stand]:
    """The stand-in over real HTTP, with one webhook endpoint; its clock stands."""
    app = create_sandbox(endpoints=[(receiver.url, SECRET)], seed=7, clock=StripeClock(Steady()))
    engine = app.state.engine
    with serving(app) as url:
        engine.world.url = url
        stand = Stand(url, engine)
        yield stand
        stand.http.close()
