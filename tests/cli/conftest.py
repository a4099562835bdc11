"""The command line as its users run it: processes in a folder, with an environment and no more."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.premises import COMMANDE, Premises, opened_premises

Done = "subprocess.CompletedProcess[str]"
Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run("doctor", COMMANDE_LOCALE="en")`` in an empty folder, without settings of anybody's."""
    bare = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STRIPE_", "COMMANDE_"))
    }

    def run_verb(*words: str, cwd: Path = tmp_path, **environment: str) -> Done:
        return subprocess.run(
            [*COMMANDE, *words], env=bare | environment, cwd=cwd, check=False,
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip

    return run_verb


@pytest.fixture(scope="module")
def premises(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    """A shop that sells, with its worker inside."""
    folder = tmp_path_factory.mktemp("premises")
    with opened_premises(folder / "shop", f"sqlite:///{folder / 'shop.sqlite'}") as opened:
        yield opened
