"""The cradle: a process that has imported everything and holds nothing, from which others are
forked in milliseconds; so that thousands of restarts fit into an hour.

Speaks JSON lines: what to start comes in, the process id goes out. Its children die with it.
"""

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import uvicorn
import uvloop

# Loaded before the first fork, each of them: a child shall import nothing.
import commande.db.postgres
import commande.db.sqlite  # noqa: F401
from commande.db import upkeep as rows
from commande.flows.inbox import handle_events
from commande.flows.notices import send_due
from commande.flows.reconcile import reconcile
from commande.flows.upkeep import expire_overdue, finish_openings
from commande.logs import configure_logs
from commande.sandbox import create_sandbox
from commande.sandbox.clock import RunningClock
from commande.settings import Settings, load_settings
from commande.shop import Shop, open_shop
from commande.web.app import create_app
from commande.worker import Worker
from proof.board import Board, Moment
from proof.effects import LateClock, MovedClock, Postbox
from proof.watched import WatchedApp, WatchedGateway, watch_database

_PR_SET_PDEATHSIG: Final = 1
_BREATH: Final = 0.005
"""Between two turns of the clean-up that never rests: each takes the database's only pen."""


class Server(uvicorn.Server):
    """A server that tells the board when it serves."""

    def __init__(self, app: Any, board: Board | None) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_config=None, access_log=False, lifespan="on", timeout_keep_alive=3600
            )
        )
        self._board = board

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._board is not None:
            self._board.ready()


class Cradle:
    """What the children share: listening sockets, and the shop's settings."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do one thing that was asked for."""
        if order["do"] == "listen":
            return {"port": self._listen(order["name"])}
        given = order.get("settings")
        settings = load_settings(**given, _env_file=None) if given else None
        return {"pid": self._fork(order, settings)}

    def _listen(self, name: str) -> int:
        """A listening socket that outlives whoever serves it, as a service manager's does."""
        if name in self._sockets:
            self._sockets[name].close()
        self._sockets[name] = opened = socket.socket()
        opened.bind(("127.0.0.1", 0))
        opened.listen(512)
        return int(opened.getsockname()[1])

    def _fork(self, order: dict[str, Any], settings: Settings | None) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            # Whatever becomes of the cradle, nobody is left behind; and nobody is ever killed by a
            # number that may be another's by then.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                return 0
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            log = Path(order["log"]).open("a", buffering=1)  # noqa: SIM115 - for good
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            configure_logs("json", "warning", stream=log)
            ROLES[order["role"]](order, settings, self._sockets)
            status = 0
        finally:
            os._exit(status)


def _shop(order: dict[str, Any], settings: Settings) -> tuple[Shop, Board]:
    board = Board(Path(order["board"]), order["slot"])
    shop = open_shop(settings)
    watched = replace(
        shop,
        db=watch_database(shop.db, board, order.get("broken")),
        stripe=WatchedGateway(shop.stripe, board),
    )
    if "letters" in order:
        watched = replace(watched, mail=Postbox(Path(order["letters"]), order["posting"]))
    if "clock" in order:
        watched = replace(watched, clock=MovedClock(Moment(Path(order["clock"]))))
    return watched, board


def serve(order: dict[str, Any], settings: Settings, sockets: dict[str, socket.socket]) -> None:
    """The API, with the worker inside or not, as ``commande serve`` runs it."""
    shop, board = _shop(order, settings)
    app = WatchedApp(create_app(shop=shop, worker=order["worker"]), board)
    uvloop.run(Server(app, board).serve(sockets=[sockets[order["door"]]]))


def work(order: dict[str, Any], settings: Settings, _sockets: Any) -> None:
    """The worker alone, as ``commande worker`` runs it."""
    shop, board = _shop(order, settings)

    async def run() -> None:
        worker = Worker(shop)
        worker.start()
        board.ready()
        await asyncio.Event().wait()

    asyncio.run(run())


def keep_up(order: dict[str, Any], settings: Settings, _sockets: Any) -> None:
    """All the upkeep there is, until nothing is left to do: as the worker's timetable, at once."""
    shop, board = _shop(order, settings)
    shop = replace(shop, clock=LateClock(order["minutes"]))

    async def run() -> None:
        board.ready()
        await finish_openings(shop)
        await reconcile(shop)
        # Whoever has not paid by now does not: nothing may stay open, or behind the fence.
        await expire_overdue(shop, timedelta(0))
        await reconcile(shop)
        for _ in range(20):
            if not await handle_events(shop, all_waiting=True):
                break
        while await send_due(shop):
            pass
        await shop.db.transaction(rows.leave, "upkeep")
        await shop.stripe.close()
        await shop.db.close()

    asyncio.run(run())


def close_overdue(order: dict[str, Any], settings: Settings, _sockets: Any) -> None:
    """Clean-up that never rests: whatever was ordered before a shared moment is overdue."""
    shop, board = _shop(order, settings)
    cutoff = Moment(Path(order["cutoff"]))

    async def run() -> None:
        board.ready()
        while True:
            age = max(shop.clock.now().timestamp() - cutoff.seconds, 0.0)
            await expire_overdue(shop, timedelta(seconds=age))
            await asyncio.sleep(_BREATH)

    asyncio.run(run())


def play_stripe(order: dict[str, Any], _settings: Any, sockets: dict[str, socket.socket]) -> None:
    """The stand-in for Stripe."""
    endpoints = [(order["webhook"], order["secret"])] if order["webhook"] else []
    clock = RunningClock(order.get("offset", 0.0))
    app = create_sandbox(order["url"], endpoints=endpoints, seed=order["seed"], clock=clock)
    app.state.engine.dashboard.set(retry_delays=[0.2, 0.5, 1.0])
    uvloop.run(Server(app, None).serve(sockets=[sockets["stripe"]]))


ROLES: Final[dict[str, Callable[..., None]]] = {
    "server": serve,
    "worker": work,
    "upkeep": keep_up,
    "closer": close_overdue,
    "stripe": play_stripe,
}


def main() -> None:
    """Obey until nobody speaks any more."""
    # The dead are not waited for here: whoever started them watches them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cradle = Cradle()
    # One application is made for nothing: pydantic and FastAPI build their validators with it.
    create_app(load_settings(stripe_secret_key="sk_test_warm", _env_file=None), worker=False)
    gc.collect()
    gc.freeze()
    print('{"ready":true}', flush=True)
    for line in sys.stdin:
        print(orjson.dumps(cradle.obey(orjson.loads(line))).decode(), flush=True)


if __name__ == "__main__":
    main()
