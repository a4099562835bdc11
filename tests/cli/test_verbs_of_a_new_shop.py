"""From an empty folder to a shop, and what is told when something is missing or wrong."""

import json
import re
import socket
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Done, Run
from tests.support.stage import BOUQUET

KEY = {"STRIPE_SECRET_KEY": "sk_test_new_shop"}
OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"


def told_in_one_line(done: Done) -> str:
    """The complaint of a verb that could not do it."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("commande: ")
    return done.stderr


def findings(done: Done) -> dict[str, tuple[str, str]]:
    """What ``doctor --json`` found: level and detail by name."""
    return {found["name"]: (found["level"], found["detail"]) for found in json.loads(done.stdout)}


def test_init_prepares_a_shop_and_may_be_repeated(run: Run, tmp_path: Path) -> None:
    assert run("init").returncode == 0
    env = tmp_path / ".env"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    written = env.read_text(encoding="utf-8")
    assert re.search(r"^COMMANDE_SECRET_KEY=\S{40,}$", written, re.MULTILINE)
    again = run("init")
    assert again.returncode == 0
    assert "left as it is" in again.stdout
    assert env.read_text(encoding="utf-8") == written
    assert "commands" in run("module", "show").stdout


def test_a_missing_key_stops_the_server_and_not_the_doctor(run: Run) -> None:
    run("init")
    for verb in ("serve", "worker", "reconcile", "cleanup"):
        assert "STRIPE_SECRET_KEY: Not set." in told_in_one_line(run(verb))
    done = run("doctor", "--json")
    assert done.returncode == 1
    found = findings(done)
    assert found["Stripe key"][0] == found["webhook secret"][0] == found["worker"][0] == "bad"
    assert "http://localhost:8000/api/checkout/webhook" in found["webhook secret"][1]
    assert found["module"][0] == found["database"][0] == found["time zone"][0] == "ok"
    assert "Europe/Paris" in found["time zone"][1]
    assert "Stripe" not in found, "nobody is asked without a key"


def test_the_doctor_names_the_mend_of_what_is_missing(run: Run) -> None:
    fresh = findings(run("doctor", "--json", **KEY))
    assert fresh["database"] == ("bad", "is not up to date. Run “commande migrate”.")
    assert run("migrate").returncode == 0
    bare = findings(run("doctor", "--json", **KEY))
    assert "commande module add commands" in bare["module"][1]
    assert "commande products import" in bare["catalogue"][1]
    assert run("module", "add", "commands").returncode == 0
    assert findings(run("doctor", "--json", **KEY))["module"][0] == "ok"


def test_every_finding_of_the_doctor_is_documented(run: Run) -> None:
    run("init")
    table = OPERATING.read_text(encoding="utf-8").partition("### doctor")[2].partition("###")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    documented = {name.strip() for cell in cells for name in cell.split(",")}
    stand_in = {**KEY, "STRIPE_API_BASE": "http://127.0.0.1:9"}
    found = findings(run("doctor", "--json", **stand_in))
    assert found["Stripe"][0] == "bad"
    assert found.keys() <= documented, found.keys() - documented


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("COMMANDE_DATABASE_URL", "mysql://root@localhost/shop", "COMMANDE_DATABASE_URL"),
        ("COMMANDE_DATABASE_URL", "postgresql://127.0.0.1:1/shop", "COMMANDE_DATABASE_URL"),
        ("COMMANDE_DATABASE_URL", "sqlite:////proc/nowhere/shop.sqlite", "COMMANDE_DATABASE_URL"),
        ("COMMANDE_TIMEZONE", "Mars/Olympus", "COMMANDE_TIMEZONE"),
        ("COMMANDE_CURRENCY", "gold", "COMMANDE_CURRENCY"),
        ("STRIPE_SECRET_KEY", "pk_test_x", "STRIPE_SECRET_KEY"),
        ("STRIPE_SECRET_KEY", "sk_live_x", "COMMANDE_SITE_URL"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    run: Run, setting: str, value: str, words: str
) -> None:
    complaint = told_in_one_line(run("serve", "--port", "0", **KEY | {setting: value}))
    assert words in complaint
    assert "sk_live_x" not in complaint
    assert "pk_test_x" not in complaint


@pytest.mark.postgres
def test_a_database_that_is_not_there_is_one_line(run: Run, postgres_url: str) -> None:
    server, _, name = postgres_url.rpartition("/")
    for verb in (("serve", "--port", "0"), ("migrate",), ("products", "list")):
        wrong = {**KEY, "COMMANDE_DATABASE_URL": f"{server}/no_{name}"}
        assert "COMMANDE_DATABASE_URL" in told_in_one_line(run(*verb, **wrong))


def test_a_port_in_use_and_a_folder_that_cannot_be_written_are_one_line(run: Run) -> None:
    run("init")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "already in use" in told_in_one_line(run("serve", "--port", port, **KEY))
        assert "already in use" in told_in_one_line(run("sandbox", "--port", port))
    # Even root, whom no mode keeps out, cannot write there.
    assert "Cannot write" in told_in_one_line(run("init", cwd=Path("/proc/self/task")))


def test_what_is_asked_wrongly_is_said_before_anything_is_done(run: Run, tmp_path: Path) -> None:
    run("init")
    for words in (
        ("products", "import", "nowhere.json"),
        ("products", "set-price", BOUQUET, "standard", "12.345"),
        ("commands", "show", "[/red]"),
        ("simulate", "--report", str(tmp_path / "nowhere" / "report.html")),
        ("sandbox", "--key", "sk_live_x"),
        ("verify", "--url", "ftp://shop"),
    ):
        told_in_one_line(run(*words))
    assert run("cleanup", "--older-than", "3x", **KEY).returncode == 2
    assert run("reconcile", "--since", "foo", **KEY).returncode == 2
