"""The verbs from outside: what a script that knows the contract alone would try."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"


def commande(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "commande", *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("verb", [("serve", "--port", "0"), ("worker",), ("commands", "list")])
def test_a_postgresql_that_does_not_answer_is_one_line_that_names_the_variable(
    verb: tuple[str, ...], tmp_path: Path
) -> None:
    with socket.socket() as closed:  # bound, not listening: nobody answers there
        closed.bind(("127.0.0.1", 0))
        address = f"postgresql://shop:confidential@127.0.0.1:{closed.getsockname()[1]}/shop"
        done = commande(
            tmp_path, *verb, STRIPE_SECRET_KEY="sk_test_x", COMMANDE_DATABASE_URL=address
        )
    said = (done.stdout + done.stderr).strip().splitlines()
    assert done.returncode == 2
    assert len(said) == 1, said
    assert said[0].startswith("commande: COMMANDE_DATABASE_URL: ")
    assert "confidential" not in said[0]


def test_one_module_may_be_shown_by_its_type(tmp_path: Path) -> None:
    assert commande(tmp_path, "init").returncode == 0
    assert commande(tmp_path, "module", "add", "other").returncode == 0
    shown = commande(tmp_path, "module", "show", "commands", "--json")
    assert [module["type"] for module in json.loads(shown.stdout)] == ["commands"]
    absent = commande(tmp_path, "module", "show", "nobody")
    assert absent.returncode == 2
    assert "module add nobody" in absent.stderr
