"""One street for each file of tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pages.street import Street, open_street


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    folder: Path = tmp_path_factory.mktemp("street")
    with open_street(folder) as opened:
        yield opened
