"""``serve`` and ``worker``."""

import asyncio
import multiprocessing
import os
import signal
import socket
import threading
from typing import Annotated, Any, Final

import typer
import uvicorn

from commande.cli.premises import find_pending
from commande.cli.terminal import err, fail, out
from commande.db.engine import read_lasting_address
from commande.db.modules import COMMANDS, find_module
from commande.logs import configure_logs
from commande.settings import Settings, load_settings
from commande.shop import Shop, close_shop, open_shop
from commande.worker import Worker

# A worker and its flows get this long to finish what they hold when the server stops.
GRACE_SECONDS: Final = 15


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Run the background worker inside.")
    ] = True,
) -> None:
    """Serve the API (and, by default, the background worker in the same process)."""
    settings = load_settings()
    check_port(host, port)
    _look_around(settings)
    shown = f"[{host}]" if ":" in host else host
    err.print(f"commande serves on http://{shown}:{port}, health at /readyz, Ctrl-C stops.")
    factory = "make_app" if worker else "make_app_without_worker"
    uvicorn.run(
        f"commande.cli.serve:{factory}",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        # The client's address is nobody's business here, and Host never builds a URL.
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=30,
    )


def make_app() -> Any:
    """The application with its worker, from the environment (each process makes its own)."""
    return _make(worker=True)


def make_app_without_worker() -> Any:
    """The application alone."""
    return _make(worker=False)


def _make(*, worker: bool) -> Any:
    from commande.web.app import create_app

    settings = load_settings()
    configure_logs(settings.log_format, settings.log_level)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    return create_app(settings, worker=worker)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """End this process once the one that started it was killed: else it would hold the port."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def check_port(host: str, port: int) -> None:
    """End with one clear line when nobody can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise fail(
                f"Cannot listen on {host}:{port}: {reason}. Choose another --port."
            ) from None


def _look_around(settings: Settings) -> None:
    """Warn before the log begins: what stops the start is one line, not a line among others.

    Raises SettingInvalid when the database cannot be used at all.
    """
    read_lasting_address(settings.database_url)
    configure_logs(settings.log_format, "error")
    asyncio.run(_warn(settings))
    configure_logs(settings.log_format, settings.log_level)


async def _warn(settings: Settings) -> None:
    """Say at the start what would otherwise be found out with the first customer."""
    shop = open_shop(settings)
    try:
        if await find_pending(shop):
            err.print("The database is not up to date: run “commande migrate”.")
        elif await shop.db.read(find_module, COMMANDS) is None:
            err.print("The module “commands” is missing: run “commande module add commands”.")
        if not settings.stripe_webhook_secrets:
            err.print("STRIPE_WEBHOOK_SECRET is not set: webhooks answer 503 until it is.")
    finally:
        await close_shop(shop)


def work() -> None:
    """Run the background worker alone: inbox, mails, clean-up, reconciliation."""
    settings = load_settings()
    _look_around(settings)
    err.print("commande works in the background, Ctrl-C stops.")
    asyncio.run(_work(open_shop(settings)))
    out.print("Stopped.")


async def _work(shop: Shop) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    worker = Worker(shop)
    worker.start()
    try:
        await stopped.wait()
    finally:
        await worker.stop()
        await close_shop(shop)
