"""One ground for all: the database that worlds take turns on."""

from collections.abc import Iterator

import pytest
import structlog

from commande.simulation.ground import Ground
from commande.simulation.run import silence


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """Made once, with the logs silent while it is used; other tests get theirs back."""
    before = structlog.get_config()
    silence()
    yield Ground()
    structlog.configure(**before)
