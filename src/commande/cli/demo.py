"""``demo``: shop, stand-in for Stripe, worker and merchant's view on one address.

This process only watches: it holds the socket and starts the server again when it dies, so that
the panel's "kill the server" loses no visitor. The server ends when this process does.
"""

import asyncio
import contextlib
import fcntl
import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, NoReturn

import typer

from commande.cli.terminal import err, fail, out
from commande.core.product import read_catalogue
from commande.db.catalogue import read_products
from commande.db.modules import COMMANDS, add_module, set_module
from commande.db.schema import migrate
from commande.errors import SettingInvalid
from commande.flows.catalogue import import_products
from commande.sandbox.store import FileState
from commande.settings import load_settings
from commande.shop import Shop, close_shop, open_shop

SECRETS: Final = "demo.json"
BEGIN_AGAIN: Final = (
    "--fresh forgets the demo's data and begins again; --dir chooses another place."
)
# A server that dies this often in a row will not get better by trying.
MOST_DEATHS: Final = 5
PATIENCE_SECONDS: Final = 60


def demo(
    port: Annotated[
        int, typer.Option(envvar="PORT", min=1, max=65535, help="Port to listen on.")
    ] = 8000,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again: forget all data.")] = False,
    folder: Annotated[Path, typer.Option("--dir", help="Where the demo keeps its data.")] = Path(
        ".demo"
    ),
) -> None:
    """Try the whole shop on this machine: nothing is charged, nothing leaves it."""
    with _socket(port) as listener, _alone(folder, fresh=fresh):
        settings, memory = _settings(folder, port), folder.absolute() / "stripe.sqlite"
        try:
            asyncio.run(_prepare(settings))
            FileState(memory).close()
        except (SettingInvalid, ValueError):  # all settings are the demo's own: it must be a file
            place = folder.absolute()
            raise fail(f"A database in {place} cannot be used. {BEGIN_AGAIN}") from None
        _Watch(listener, settings, memory).run()


@contextlib.contextmanager
def _socket(port: int) -> Iterator[socket.socket]:
    """The address that visitors use, from now until the end."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise fail(f"Port {port}: {reason}. PORT={port + 1} picks another one.") from None
    listener.listen(256)
    with listener:
        yield listener


@contextlib.contextmanager
def _alone(folder: Path, *, fresh: bool) -> Iterator[None]:
    """The folder, with no other demo in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise fail(f"Cannot use {folder.absolute()}: {error.strerror}. Choose --dir.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise fail(f"Another demo runs in {folder.absolute()}. Choose --dir.") from None
        try:
            if fresh and (folder / SECRETS).exists():
                _empty(folder)
            (folder / "mails").mkdir(exist_ok=True)
        except OSError as error:
            raise fail(f"{error.filename}: {error.strerror}. {BEGIN_AGAIN}") from None
        yield


def _empty(folder: Path) -> None:
    """Forget everything but the lock that this process holds."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def _settings(folder: Path, port: int) -> dict[str, Any]:
    """Settings of the demo, as keyword arguments of ``load_settings``; secrets are made once."""
    folder = folder.absolute()
    site = f"http://127.0.0.1:{port}"
    return _secrets(folder / SECRETS) | {
        "stripe_api_base": f"{site}/sandbox",
        "site_url": site,
        "database_url": f"sqlite:///{folder / 'commande.sqlite'}",
        "mail_url": f"file://{folder / 'mails'}",
        "shop_name": "Le Petit Passage",
        "storefront": True,
        "log_level": "warning",
        "allowed_hosts": "*",
        "cors_origins": "*",
        # The demo is the same on every machine: a .env that lies here belongs to a real shop.
        "_env_file": None,
    }


def _secrets(file: Path) -> dict[str, Any]:
    """What the file keeps; made at the first start, in one step, so that no half of it stays."""
    made = {
        "stripe_secret_key": f"sk_test_{secrets.token_hex(16)}",
        "stripe_webhook_secrets": f"whsec_{secrets.token_hex(16)}",
        "secret_key": secrets.token_urlsafe(32),
        "admin_password": secrets.token_hex(4),
    }
    try:
        if not file.exists():
            written = file.with_suffix(".new")
            written.touch(mode=0o600)
            written.write_text(json.dumps(made), encoding="utf-8")
            written.replace(file)
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = None
    if not isinstance(kept, dict) or not all(isinstance(kept.get(name), str) for name in made):
        raise fail(f"{file} cannot be read as the demo wrote it. {BEGIN_AGAIN}")
    return {name: kept[name] for name in made}


async def _prepare(settings: dict[str, Any]) -> None:
    """Tables, module and a small catalogue; a second start finds them and changes nothing."""
    loaded = load_settings(**settings)
    await asyncio.to_thread(migrate, loaded.database_url)
    shop = open_shop(loaded)
    try:
        await _fill(shop)
    finally:
        await close_shop(shop)


async def _fill(shop: Shop) -> None:
    now = shop.clock.now()
    if await shop.db.transaction(add_module, shop.ids.object_id(now), COMMANDS, now):
        settings = json.loads(_shipped("demo_module.json"))
        await shop.db.transaction(set_module, COMMANDS, settings, now)
    if not await shop.db.read(read_products):
        catalogue = _shipped("demo_catalogue.json")
        await import_products(shop, read_catalogue(catalogue, shop.settings.currency, is_csv=False))


def _shipped(name: str) -> str:
    return (files("commande") / name).read_text(encoding="utf-8")


class _Watch:
    """Keeps one server process alive on a socket until it is told to stop."""

    def __init__(self, listener: socket.socket, settings: dict[str, Any], memory: Path) -> None:
        self._listener, self._settings = listener, settings
        self._memory = memory
        """What Stripe's stand-in keeps."""
        self._server: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Start, tell where, and start again whenever the server dies."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _leave)
        try:
            self._keep_alive()
        finally:
            self._end()

    def _keep_alive(self) -> None:
        deaths: list[float] = []
        told = False
        while len(deaths) < MOST_DEATHS:
            server = self._server = self._start()
            if not told:
                told = self._wait_until_ready(server)
                if told:
                    self._tell()
            server.wait()
            now = time.monotonic()
            deaths = [at for at in deaths if now - at < PATIENCE_SECONDS] + [now]
            err.print("The server died; it starts again.", style="dim")
        raise fail(f"The server died {MOST_DEATHS} times within {PATIENCE_SECONDS} s.")

    def _start(self) -> "subprocess.Popen[str]":
        descriptor = self._listener.fileno()
        program = "commande.cli.demo_server"
        server = subprocess.Popen(  # noqa: S603 – our own program
            [sys.executable, "-P", "-m", program, str(descriptor), str(self._memory)],
            stdin=subprocess.PIPE,
            text=True,
            pass_fds=(descriptor,),
            # Ctrl-C reaches this process alone, which then stops the server once.
            start_new_session=True,
        )
        assert server.stdin is not None  # noqa: S101 – asked for above
        # The pipe stays open: when this process ends, however it ends, the server notices.
        server.stdin.write(json.dumps(self._settings) + "\n")
        server.stdin.flush()
        return server

    def _end(self) -> None:
        """Let the server finish what it holds."""
        if self._server is None or self._server.poll() is not None:
            return
        self._server.terminate()
        try:
            self._server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def _wait_until_ready(self, server: "subprocess.Popen[str]") -> bool:
        until = time.monotonic() + PATIENCE_SECONDS
        while server.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError, urllib.error.URLError):
                address = f"{self._settings['site_url']}/readyz"
                with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 – own address
                    if answer.status == 200:
                        return True
            time.sleep(0.05)
        return False

    def _tell(self) -> None:
        site, password = self._settings["site_url"], self._settings["admin_password"]
        out.print(f"Shop     {site}")
        out.print(f"Admin    {site}/marchand  password {password}")
        out.print(
            f"Payment  test card 4242 4242 4242 4242, others at one click; faults: {site}/demo"
        )
        out.print("Stop     Ctrl-C; the data stays, --fresh begins again")


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Told to stop: unwind first, for whoever is waiting for a process cannot end it meanwhile."""
    raise typer.Exit
