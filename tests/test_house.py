"""The house keeps its rules, and each rule is shown to bite."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import house
from tests.support.house import Rule, Source

ROOT = Path(__file__).parent.parent
EVERYWHERE = ("src", "tests", "bench", "proof")

# room or folder, rule, a snippet that breaks it, one that does not
RULES: dict[str, tuple[tuple[str, ...], Rule, str, str]] = {
    "a_function_fits_on_a_screen": (
        EVERYWHERE,
        house.long_functions,
        "def f():\n" + "    x = 1\n" * 60,
        "def f():\n" + "    x = 1\n" * 59,
    ),
    "a_file_has_one_reason": (EVERYWHERE, house.long_file, "x = 1\n" * 401, "x = 1\n" * 400),
    "only_settings_read_the_environment": (
        ("src",),
        house.reads_the_environment,
        "import os\nurl = os.environ['URL']\n",
        "import os\npid = os.getpid()\n",
    ),
    "the_core_is_pure_and_needs_nobody": (
        ("src/commande/core",),
        house.foreign_to_the_core,
        "from pydantic import BaseModel\n",
        "from decimal import Decimal\nfrom commande.errors import InputInvalid\n",
    ),
    "the_core_cannot_reach_the_world": (
        ("src/commande/core",),
        house.foreign_to_the_core,
        "import random\n",
        "from urllib.parse import quote\n",
    ),
    "the_core_is_told_the_time": (
        ("src/commande/core",),
        house.asks_the_wall_clock,
        "import datetime\nnow = datetime.datetime.now(datetime.UTC)\n",
        "def f(shop):\n    return shop.clock.now()\n",
    ),
    "a_flow_asks_the_shop_for_the_time": (
        ("src/commande/flows",),
        house.asks_the_wall_clock,
        "from datetime import UTC, datetime\nnow = datetime.now(UTC)\n",
        "def f(shop):\n    return shop.clock.now()\n",
    ),
    "a_flow_awaits_effects_and_flows_only": (
        ("src/commande/flows",),
        house.foreign_awaits,
        "import asyncio\nasync def f(shop):\n    await asyncio.sleep(1)\n",
        """
from commande.flows.settlement import settle
from commande.flows import refunds
async def f(shop):
    await shop.db.transaction(g, 1)
    await settle(shop)
    await refunds.refund(shop)
    await shop.clock.sleep(1)
""",
    ),
    "s23_no_secret_is_compared_by_equality": (
        ("src",),
        house.compares_secrets_plainly,
        "def opens(given, command):\n    return given == command.token\n",
        "def opens(row, given):\n    return row.token_sha256 == sha256(given) or given != ''\n",
    ),
    "names_say_what_a_thing_is": (
        ("src", "bench", "proof"),
        house.vague_names,
        "class PaymentService:\n    pass\n",
        "class Database:\n    pass\n",
    ),
    "nothing_is_patched_in_a_test": (
        ("tests",),
        house.patches,
        "from unittest.mock import patch\n",
        "def test_it(monkeypatch):\n    monkeypatch.setenv('PORT', '1')\n",
    ),
    "nothing_is_left_open": (
        ("src", "bench", "proof"),
        house.left_open,
        "x = 1  # TOD" + "O later\n",
        "x = 1  # a to-do list\n",
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_its_rule(rule: str) -> None:
    folders, check, _, _ = RULES[rule]
    files = house.sources(ROOT, *folders)
    if check is not house.patches and "bench" not in folders:
        assert files, f"{folders} is empty: nothing was looked at"
    assert [breach for file in files for breach in check(file)] == []


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_bites_and_lets_the_good_pass(rule: str) -> None:
    _, check, bad, good = RULES[rule]
    assert len(list(check(Source("sample.py", bad)))) == 1
    assert list(check(Source("sample.py", good))) == []


def test_a_flow_enters_no_session_but_may_walk_through_events() -> None:
    entering = "async def f(shop, session):\n    async with session.begin():\n        pass\n"
    walking = "async def f(shop):\n    async for event in shop.stripe.events():\n        pass\n"
    assert len(list(house.foreign_awaits(Source("sample.py", entering)))) == 1
    assert list(house.foreign_awaits(Source("sample.py", walking))) == []


def test_most_functions_and_files_keep_to_the_guidance() -> None:
    files = house.sources(ROOT, "src")
    lengths = [lines for file in files for _, lines in house.function_lengths(file)]
    long_functions = sum(lines > house.FUNCTION_GUIDANCE for lines in lengths)
    long_files = sum(file.text.count("\n") > house.FILE_GUIDANCE for file in files)
    assert long_functions <= len(lengths) / 20, "over one function in twenty has more than 40 lines"
    assert long_files <= len(files) / 10, "over one file in ten has more than 300 lines"


def test_every_folder_of_the_package_is_a_package() -> None:
    # import-linter does not look into a folder without __init__.py: its contracts would not bite.
    folders = {file.parent for file in (ROOT / "src" / "commande").rglob("*.py")}
    assert [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").is_file()] == []


def test_the_repository_names_no_registry_and_no_machine() -> None:
    files = house.repository_files(ROOT)
    assert files
    assert [breach for file in files for breach in places_named_in(file)] == []


def test_a_registry_or_a_home_folder_would_be_found(tmp_path: Path) -> None:
    bad = tmp_path / "bad.md"
    bad.write_text(
        "from https://files.python" + "hosted.org/packages\n"
        "index = https://mirror.example/" + "simple/\n"
        "see /ro" + "ot/notes\nor /ho" + "me/ada/shop\n"
    )
    assert len(list(places_named_in(bad))) == 4
    good = tmp_path / "good.md"
    good.write_text("sqlite:////var/lib/commande/shop.sqlite\nhttps://example.org/home/page\n")
    assert list(places_named_in(good)) == []


PLACES = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|npmjs\.org|deb\.debian\.org|crates\.io"
    r"|https?://[^ \"']*/simple/?(?=[\"' ]|$)"
    r"|(?<![\w.:-])/(root|work|farm|home/\w+|Users/\w+)/\w".replace(r"\.", r"[.]")
)


def places_named_in(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []  # a picture or a font
    return [
        f"{file.name}:{number}: {found[0]}"
        for number, line in enumerate(lines, 1)
        if (found := PLACES.search(line)) and file != Path(__file__)
    ]


def lint_imports(folder: Path) -> str:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache", "--no-logo", "--config", ROOT / "pyproject.toml"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    output = re.sub(r"\s+", " ", done.stdout + done.stderr)
    assert (done.returncode == 0) == ("0 broken" in output), output
    return output


def test_imports_point_down_only() -> None:
    assert " 0 broken" in lint_imports(ROOT / "src")


# contract: (file, a line in it that breaks this contract)
BREACHES = {
    "arrows": ("db/sample.py", "import commande.flows.sample"),
    "cycles": ("web/sample.py", "import commande.web.other"),
    "sandbox-apart": ("sandbox/sample.py", "import commande.errors"),
    "verify-outside": ("verify/sample.py", "import commande.errors"),
    "sandbox-unseen": ("web/sample.py", "import commande.sandbox.sample"),
    "adapters-by-hand": ("flows/sample.py", "import commande.mail"),
    "flows-plain": ("flows/sample.py", "import asyncio"),
    "db-offline": ("db/sample.py", "import socket"),
    "owner-stripe": ("worker.py", "import stripe"),
    "owner-sql": ("web/sample.py", "from sqlalchemy import select"),
    "owner-web": ("flows/sample.py", "from starlette.requests import Request"),
    "owner-terminal": ("web/sample.py", "import typer"),
    "owner-mail": ("flows/sample.py", "import aiosmtplib"),
    "owner-settings": ("web/sample.py", "import pydantic_settings"),
}


MODULES = "__main__ worker shop stripe_gateway mail letters format logs settings ids errors version"
OWNERS = {
    "cli/sample.py": "typer, rich, commande.sandbox.sample",
    "db/sample.py": "alembic, sqlalchemy",
    "mail.py": "aiosmtplib",
    "settings.py": "pydantic_settings",
    "stripe_gateway.py": "stripe",
    "web/sample.py": "fastapi, starlette",
}


def test_every_import_contract_bites(tmp_path: Path) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    names = {contract["id"]: contract["name"] for contract in contracts["contracts"]}
    assert names.keys() == BREACHES.keys()
    build_model_house(tmp_path / "commande")
    kept = lint_imports(tmp_path)
    for file, line in BREACHES.values():
        with (tmp_path / "commande" / file).open("a") as module:
            module.write(f"{line}\n")
    broken = lint_imports(tmp_path)
    for name in names.values():
        assert f"{name} KEPT" in kept
        assert f"{name} BROKEN" in broken


def build_model_house(package: Path) -> None:
    """The rooms of the house with nearly nothing in them."""
    for room in (
        "",
        "cli",
        "web",
        "admin",
        "stationery",
        "flows",
        "db",
        "core",
        "sandbox",
        "simulation",
        "verify",
    ):
        (package / room).mkdir(parents=True, exist_ok=True)
        (package / room / "__init__.py").touch()
        if room:
            (package / room / "sample.py").touch()
    for module in MODULES.split():
        (package / f"{module}.py").touch()
    (package / "web" / "other.py").write_text("import commande.web.sample\n")
    for owner, foreign in OWNERS.items():
        (package / owner).write_text(f"import {foreign}\n")
