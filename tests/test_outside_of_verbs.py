"""The verbs from outside: what a script that knows the contract alone would try."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from tests.support.ports import free_port

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


@pytest.mark.parametrize("verb", [("serve", "--port", "0"), ("worker",), ("migrate",)])
def test_a_database_in_memory_is_refused_where_it_would_forget(
    verb: tuple[str, ...], tmp_path: Path
) -> None:
    done = commande(
        tmp_path, *verb, STRIPE_SECRET_KEY="sk_test_x", COMMANDE_DATABASE_URL="sqlite://"
    )
    assert done.returncode == 2
    assert done.stderr.startswith("commande: COMMANDE_DATABASE_URL: ")
    assert "in memory" in done.stderr


def test_one_module_may_be_shown_by_its_type(tmp_path: Path) -> None:
    assert commande(tmp_path, "init").returncode == 0
    assert commande(tmp_path, "module", "add", "other").returncode == 0
    shown = commande(tmp_path, "module", "show", "commands", "--json")
    assert [module["type"] for module in json.loads(shown.stdout)] == ["commands"]
    absent = commande(tmp_path, "module", "show", "nobody")
    assert absent.returncode == 2
    assert "module add nobody" in absent.stderr


def answers(port: int, path: str = "/healthz") -> bool:
    try:
        return urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).status == 200
    except (URLError, OSError):
        return False


def refusal(port: int) -> tuple[int, str]:
    """What a customer's request is refused with."""
    wanted = Request(
        f"http://127.0.0.1:{port}/api/checkout/confirm-payment",
        b'{"sessionId": "cs_test_1", "commandId": "507f1f77bcf86cd799439011"}',
        {"Content-Type": "application/json"},
    )
    with pytest.raises(HTTPError) as refused:
        urlopen(wanted, timeout=60)
    return refused.value.code, json.load(refused.value)["code"]


def becomes(wanted: bool, port: int, path: str = "/healthz") -> bool:
    end = time.monotonic() + 60
    while time.monotonic() < end and answers(port, path) is not wanted:
        time.sleep(0.1)
    return answers(port, path) is wanted


def test_a_server_that_is_started_before_its_migration_waits_and_goes_on(tmp_path: Path) -> None:
    env = {"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_x"}
    port = free_port()
    log = tmp_path / "log"
    with log.open("w") as lines:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "commande", "serve", "--port", str(port)],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), **env},
            stderr=lines,
            stdout=lines,
        )
        try:
            assert becomes(True, port)
            assert not answers(port, "/readyz")
            assert refusal(port) == (503, "database_not_migrated")
            assert commande(tmp_path, "init", **env).returncode == 0
            assert becomes(True, port, "/readyz")
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0
        finally:
            server.kill()
            server.wait()
    said = log.read_text()
    assert said.count("worker_waits") == 1
    assert "Traceback" not in said
    assert "[error" not in said


def test_no_process_outlives_a_killed_server_and_keeps_its_port(tmp_path: Path) -> None:
    env = {"STRIPE_SECRET_KEY": "sk_test_x"}
    assert commande(tmp_path, "init", **env).returncode == 0
    port = free_port()
    words = ["serve", "--port", str(port), "--workers", "2"]
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "commande", *words],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE), **env},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert becomes(True, port)
        server.kill()
        server.wait(30)
        assert becomes(False, port)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
