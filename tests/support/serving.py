"""Runs a server for a test, in a thread or as a process, and ends it for sure."""

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

import uvicorn

from tests.support.ports import free_port

HOST = "127.0.0.1"
PATIENCE = 120.0  # seconds: only ends what hangs, however busy the machine is


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Runs an ASGI application, lifespan included, in a thread and yields its URL.

    Raises RuntimeError when it does not start, or does not end, within ``PATIENCE`` seconds.
    """
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        server = uvicorn.Server(
            uvicorn.Config(app, lifespan="on", log_level="warning", timeout_graceful_shutdown=5)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive(), "the application to start")
            if not server.started:
                raise RuntimeError("The application ended before it had started: see its log")
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            if thread.is_alive():
                raise RuntimeError(
                    f"The application was still running {PATIENCE:.0f} s after its end"
                )


@contextmanager
def running(
    command: Sequence[str | os.PathLike[str]],
    *,
    ready: str = "/healthz",
    patience: float = PATIENCE,
    grace: float = 30.0,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
    inherit: bool = True,
    cwd: str | os.PathLike[str] | None = None,
) -> Iterator[str]:
    """Runs a command as a process, waits until `ready` answers 200, and yields its URL.

    `{port}` in an argument, and the variable PORT, carry the port. `environment` adds to ours, or
    stands alone without `inherit`.
    Afterwards it gets SIGTERM; what is left of its process group after `grace` seconds, SIGKILL.
    Raises RuntimeError with what it printed if it ends early or is silent for `patience` seconds.
    """
    port = port or free_port()
    url = f"http://{HOST}:{port}"
    arguments = [os.fspath(part).replace("{port}", str(port)) for part in command]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            arguments,
            env={**(os.environ if inherit else {}), "PORT": str(port), **(environment or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until_ready(process, url + ready, patience, output)
            yield url
        finally:
            end(process, grace)


def wait_until_ready(
    process: "subprocess.Popen[bytes]", url: str, patience: float, output: IO[bytes]
) -> None:
    try:
        wait_until(lambda: answers(url) or has_ended(process), url, patience)
    except RuntimeError as error:
        output.seek(0)
        raise RuntimeError(f"{error}\n{output.read().decode(errors='replace')}") from error


def has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """False while it runs; a server that ended is never ready: RuntimeError."""
    if process.poll() is not None:
        raise RuntimeError(f"It ended with {process.returncode}")
    return False


def end(process: "subprocess.Popen[bytes]", grace: float) -> None:
    """SIGTERM, the seconds of grace, then SIGKILL for all that is left of the process's group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    if group_is_alive(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def group_is_alive(group: int) -> bool:
    """Is anything left of this process group? (The dead count until somebody waits for them.)"""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def answers(url: str) -> bool:
    """Does a GET of this URL answer 200?"""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_until(ready: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Asks every 50 ms; raises RuntimeError that names `what` after `patience` seconds."""
    give_up = time.monotonic() + patience
    while not ready():
        if time.monotonic() > give_up:
            raise RuntimeError(f"Waited {patience:.0f} s in vain for {what}")
        time.sleep(0.05)
