"""What hostile bodies cost a server process in memory."""

import gzip
import http.client
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.frontend import CONFIRM, CREATE, RETRY, WEBHOOK
from tests.support.premises import COMMANDE, KEY, prepare
from tests.support.serving import running

MIB = 1024 * 1024
MOST_GROWTH = 20 * MIB
AT_ONCE = 8
# The control: reads whatever comes, as a framework does when nobody tells it where to stop.
GREEDY = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def take(request):
    return JSONResponse(len(await request.body()))
async def well(_request):
    return JSONResponse("well")
paths = {"/healthz": well} | dict.fromkeys(sys.argv[2:], take)
routes = [Route(path, answer, methods=["GET", "POST"]) for path, answer in paths.items()]
uvicorn.run(Starlette(routes=routes), port=int(sys.argv[1]), log_level="error")
"""
BODIES = (
    b"[" * 200_000, b'{"a":' * 12_000, b'{"items": ' + b"9" * 5000 + b"}",
    b"{" + b",".join(b'"k%d":0' % n for n in range(100_000)) + b"}",
    b"{" + b",".join(b'"k%d":0' % n for n in range(6_000)) + b"}",
    b'{"items": [' + b",".join([b"{}"] * 20_000) + b"]}",
    b'{"note": "' + b"\\u0000" * 10_000 + b'"}',
    gzip.compress(b" " * 50_000_000), b" " * (4 * MIB), b'"\\ud800"' * 5_000,
)  # fmt: skip


def endless() -> Iterator[bytes]:
    """64 MiB of which nobody said that they would come."""
    for _ in range(64):
        yield b" " * MIB


def throw(url: str, path: str, body: bytes | None) -> None:
    """One request, whatever becomes of it; no body is the one without an end."""
    door = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    headers = {"Content-Type": "application/json"}
    # A server that had enough hangs up while we still send.
    with suppress(OSError, http.client.HTTPException):
        door.request("POST", path, endless() if body is None else body, headers)
        door.getresponse().read()
    door.close()


def barrage(url: str) -> None:
    """Every body to every address that takes one, some at once."""
    paths = (CREATE, CONFIRM, RETRY, WEBHOOK)
    jobs = [(path, body) for body in (*BODIES, None) for path in paths]
    with ThreadPoolExecutor(AT_ONCE) as throwers:
        list(throwers.map(lambda job: throw(url, *job), jobs))


@contextmanager
def kept(pid_file: Path, *command: str, environment: dict[str, str]) -> Iterator[str]:
    """The server as a process that writes down which one it is."""
    words = ["sh", "-c", 'echo $$ >"$0"; exec "$@"', str(pid_file), *command]
    with running(words, environment=environment, cwd=pid_file.parent) as url:
        yield url


def most_memory(pid_file: Path) -> int:
    """The most that the process ever held, in bytes."""
    status = Path(f"/proc/{pid_file.read_text().strip()}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def growth(url: str, pid_file: Path) -> int:
    """How much more it holds after many barrages than after the first, which warms it up."""
    barrage(url)
    warm = most_memory(pid_file)
    for _ in range(4):
        barrage(url)
    return most_memory(pid_file) - warm


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which is Linux's")


def test_s42_hostile_bodies_do_not_fill_the_memory(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    prepare(address)
    environment = {"STRIPE_SECRET_KEY": KEY, "COMMANDE_DATABASE_URL": address,
                   "STRIPE_WEBHOOK_SECRET": "whsec_x", "COMMANDE_LOG_LEVEL": "error"}  # fmt: skip
    pid, serve = tmp_path / "pid", [*COMMANDE, "serve", "--no-worker", "--port", "{port}"]
    with kept(pid, *serve, environment=environment) as url:
        cold = most_memory(pid)
        assert growth(url, pid) < MOST_GROWTH
        assert most_memory(pid) - cold < MOST_GROWTH, "the first barrage counts too"


def test_s42_control_a_server_that_reads_everything_is_seen(tmp_path: Path) -> None:
    pid, paths = tmp_path / "pid", (CREATE, CONFIRM, RETRY, WEBHOOK)
    greedy = [sys.executable, "-c", GREEDY, "{port}", *paths]
    with kept(pid, *greedy, environment={}) as url:
        cold = most_memory(pid)
        throw(url, CREATE, None)
        assert most_memory(pid) - cold > MOST_GROWTH
