"""What `pip install commande` brings is enough: nothing may lean on a package of the tests."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# As if only the locked packages were installed: whatever else lies here cannot be imported.
STRANGER = """
import sys
from importlib.metadata import packages_distributions

locked, owners = set(sys.argv[1].split(",")), packages_distributions()

class OnlyLocked:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        brings = {owner.lower().replace("_", "-") for owner in owners.get(top, ())}
        if brings and top != "commande" and not brings & locked:
            raise ModuleNotFoundError(f"No module named {name!r}: no locked package brings it")

sys.meta_path.insert(0, OnlyLocked())
"""


def run_as_a_stranger(code: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    lock = (ROOT / "requirements.lock").read_text()
    locked = ",".join(re.findall(r"(?m)^([a-z0-9-]+)==", lock))
    return subprocess.run(
        [sys.executable, "-c", STRANGER + code, locked],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("module", ["pytest", "playwright"])
def test_a_stranger_has_no_package_of_the_tests(module: str, tmp_path: Path) -> None:
    assert "no locked package brings it" in run_as_a_stranger(f"import {module}", tmp_path).stderr


def test_the_locked_packages_reach_postgresql(tmp_path: Path) -> None:
    """SQLAlchemy asks for greenlet as late as the first connection, and only an extra brings it."""
    with socket.socket() as closed:  # bound, not listening: nobody answers there
        closed.bind(("127.0.0.1", 0))
        address = f"postgresql://shop@127.0.0.1:{closed.getsockname()[1]}/shop"
        code = "sys.argv[1:] = ['migrate']\nfrom commande.cli.main import main\nmain()"
        done = run_as_a_stranger(
            code, tmp_path, STRIPE_SECRET_KEY="sk_test_x", COMMANDE_DATABASE_URL=address
        )

    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("commande: COMMANDE_DATABASE_URL: "), done.stderr
