"""What was answered survives `kill -9`, whenever it comes."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import stripe

from commande.sandbox import Engine
from tests.support.ports import free_port
from tests.support.serving import wait_until
from tests.support.stand import KEY, an_order

SERVER = """
import sys, uvicorn
from pathlib import Path
from commande.sandbox import create_sandbox
port, state, kept = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "kept"
app = create_sandbox(f"http://127.0.0.1:{port}", state=state if kept else None)
uvicorn.run(app, port=port, log_level="error")
"""


def answered_until_killed(state: Path, kept: str, after: float) -> list[str]:
    """Sessions that were answered before the server was killed, so long after the first one."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port), str(state), kept])
    http = stripe.RequestsClient(timeout=60)
    client = stripe.StripeClient(
        KEY, base_addresses={"api": f"http://127.0.0.1:{port}"}, http_client=http
    )

    def up() -> bool:
        with contextlib.suppress(stripe.APIConnectionError):
            client.v1.balance.retrieve()
            return True
        return False

    answered: list[str] = []
    try:
        wait_until(up, "the stand-in")
        killer = threading.Timer(after, lambda: os.kill(process.pid, signal.SIGKILL))
        with contextlib.suppress(stripe.APIConnectionError):
            while True:
                answered.append(client.v1.checkout.sessions.create(an_order()).id)
                if len(answered) == 1:
                    killer.start()
    finally:
        process.kill()
        process.wait()
        http.close()
    return answered


@pytest.mark.parametrize("round_", range(3))
def test_what_was_answered_is_kept(tmp_path: Path, round_: int) -> None:
    state = tmp_path / "stripe.sqlite"
    answered = answered_until_killed(state, "kept", 0.3 + round_ / 10)
    assert answered
    begun = time.monotonic()
    engine = Engine(state=state)
    assert time.monotonic() - begun < 30
    assert set(answered) <= set(engine.state.rows["session"])
    assert len(engine.state.rows["session"]) - len(answered) <= 1
    for id_ in engine.state.rows["session"]:  # no half of one either
        assert engine.state.rows["checkout"][id_]["lines"]
    engine.close()


def test_the_control_without_a_file_keeps_nothing(tmp_path: Path) -> None:
    state = tmp_path / "stripe.sqlite"
    assert answered_until_killed(state, "lost", 0.2)
    assert not state.exists()
