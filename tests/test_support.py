"""The tests' own tools: real databases, a real browser, servers that end, no test left out."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.async_api import Page

from tests.support.postgres import Postgres
from tests.support.serving import answers, running, serving, wait_until

ROOT = Path(__file__).parent.parent


async def test_a_postgres_url_leads_to_an_empty_database(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    tables = await connection.fetchval(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
    )
    version = connection.get_server_version().major
    await connection.close()
    assert tables == 0
    assert version >= 14


def test_a_database_is_gone_after_its_test(postgres_server: Postgres) -> None:
    with postgres_server.new_database() as url:
        name = url.rsplit("/", 1)[1]
        names = "SELECT string_agg(datname, ' ') FROM pg_database"
        assert name in postgres_server.execute(names)
    assert name not in postgres_server.execute(names)
    assert int(postgres_server.execute("SHOW max_connections")) >= 100


def test_each_database_url_names_its_kind(database_url: str) -> None:
    assert database_url.startswith(("sqlite:////", "postgresql://"))


async def test_a_browser_reads_a_page_of_a_served_application(
    serve: Callable[..., str], page: Page
) -> None:
    app = FastAPI()
    app.get("/", response_class=HTMLResponse)(lambda: "<h1>Boulangerie</h1>")
    await page.goto(serve(app))
    assert await page.inner_text("h1") == "Boulangerie"
    assert await page.evaluate("navigator.language") == "fr-FR"


async def test_a_browser_test_may_be_followed_by_an_ordinary_one(free_port: int) -> None:
    assert not answers(f"http://127.0.0.1:{free_port}")


def test_a_served_application_is_gone_afterwards() -> None:
    app = FastAPI()
    app.get("/healthz")(lambda: "alive")
    with serving(app) as url:
        assert answers(url + "/healthz")
    assert not answers(url + "/healthz")


def test_a_served_command_and_its_children_are_gone_afterwards(tmp_path: Path) -> None:
    stubborn = "trap '' TERM; python3 -m http.server --bind 127.0.0.1 $PORT"
    with running(["sh", "-c", stubborn], ready="/", cwd=tmp_path, grace=1) as url:
        assert answers(url)
    assert not answers(url)


def test_a_command_that_dies_tells_what_it_said() -> None:
    with (
        pytest.raises(RuntimeError, match=r"ended with 3\nno port to be had"),
        running(["sh", "-c", "echo no port to be had; exit 3"]),
    ):
        pass


HOLD = """
import os, signal
from tests.support.postgres import running_postgres
with running_postgres() as server:
    print(server.port, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_postgres_ends_even_when_the_tests_are_killed() -> None:
    killed = subprocess.run(
        [sys.executable, "-c", HOLD], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert killed.returncode == -signal.SIGKILL
    port = int(killed.stdout)
    wait_until(lambda: not listens(port), "PostgreSQL to end", patience=60)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run_pytest(folder: Path, source: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    (folder / "test_sample.py").write_text(source)
    pytest_here = [sys.executable, "-m", "pytest", "-p", "tests.support.honesty"]
    return subprocess.run(
        [*pytest_here, "-c", os.devnull, "--rootdir", folder, "-W", "ignore", folder],
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


SKIPS = "import pytest\ndef test_one(): pass\ndef test_two(): pytest.skip('later')\n"
NEEDS_A_BROWSER = "def test_one(): pass\ndef test_two(chromium): pass\n"


def test_in_ci_a_skipped_test_fails_the_run(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, SKIPS, CI="true")
    assert done.returncode == 1
    assert "in CI none may be" in done.stdout
    assert run_pytest(tmp_path, SKIPS, CI="").returncode == 0


def test_a_missing_browser_is_named_with_its_mend(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, NEEDS_A_BROWSER, CI="", CHROMIUM="/nowhere/chromium")
    assert done.returncode == 0
    assert "1 browser tests were NOT run. Chromium is missing: `apt install" in done.stdout
    assert done.stdout.splitlines()[-1].strip("= ").startswith("1 passed, 1 deselected")


def test_in_ci_a_missing_browser_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import chromium\n")
    done = run_pytest(tmp_path, NEEDS_A_BROWSER, CI="true", CHROMIUM="/nowhere/chromium")
    assert done.returncode == 1
    assert "Chromium is missing: `apt install" in done.stdout
