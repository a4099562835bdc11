"""What proofs in small need: a warmed parent, and premises on either database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proof.premises import Cradle, Premises
from tests.support.postgres import Postgres


@pytest.fixture(scope="module")
def cradle() -> Iterator[Cradle]:
    with Cradle() as opened:
        yield opened


@pytest.fixture
def premises(
    cradle: Cradle, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[str], Premises]:
    """Sets up shops on the database of that name."""

    def set_up(database: str) -> Premises:
        if database == "sqlite":
            return Premises.on_sqlite(cradle, tmp_path)
        server: Postgres = request.getfixturevalue("postgres_server")
        url: str = request.getfixturevalue("postgres_url")
        return Premises.on_postgres(cradle, tmp_path, server, url)

    return set_up
