"""The demo's server: a process of its own, so that it can be killed and started again.

Usage: ``python -m commande.cli.demo_server FD FILE``, where Stripe's stand-in remembers in that
file, with the settings as one line of JSON on standard input. It ends when standard input does:
then whoever watched it is gone.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop

from commande.admin import demo_panel
from commande.cli.demo_controls import DemoControls, MortalDatabase
from commande.logs import configure_logs
from commande.sandbox import create_sandbox
from commande.settings import Settings, load_settings
from commande.shop import open_shop
from commande.web.app import create_app

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX: Final = "/sandbox"


def main() -> None:
    """Serve on an inherited socket until told to stop."""
    settings = load_settings(**json.loads(sys.stdin.readline()))
    configure_logs(settings.log_format, settings.log_level)
    # uvloop answers at once (TCP_NODELAY) also on a socket that another process made.
    uvloop.run(_serve(settings, int(sys.argv[1]), Path(sys.argv[2])))


async def _serve(settings: Settings, descriptor: int, memory: Path) -> None:
    # Its own memory on disk: Stripe does not forget when a shop's server dies.
    sandbox = create_sandbox(
        settings.stripe_api_base or "",
        api_key=settings.stripe_secret_key.get_secret_value(),
        endpoints=[(
            f"{settings.site_url}/api/checkout/webhook",
            settings.stripe_webhook_secrets[0].get_secret_value(),
        )],
        state=memory,
        shop_name=settings.shop_name,
        locale=settings.locale,
    )  # fmt: skip
    opened = open_shop(settings)
    mortal = MortalDatabase(opened.db)
    shop = replace(opened, db=mortal)
    controls = DemoControls(shop, mortal, sandbox.state.engine)
    app = create_app(settings, shop=shop, extra_routers=[demo_panel(shop, controls)])
    controls.watch(app)
    # A browser asks again by itself when a connection dies that it had used before: whoever takes
    # minutes over the payment page keeps theirs, so that "kill the server" shows nobody an error.
    config = uvicorn.Config(
        _beside(sandbox, app), fd=descriptor, log_config=None, access_log=False,
        server_header=False, timeout_graceful_shutdown=3, timeout_keep_alive=600,
    )  # fmt: skip
    server = uvicorn.Server(config)
    watching = asyncio.create_task(_stop_when_alone(server))
    async with sandbox.router.lifespan_context(sandbox):
        await server.serve()
    watching.cancel()


def _beside(sandbox: Application, app: Application) -> Application:
    """Two applications on one address, each with its own middleware."""

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path == PREFIX or path.startswith(f"{PREFIX}/"):
            root = scope.get("root_path", "") + PREFIX
            await sandbox({**scope, "root_path": root}, receive, send)
        else:
            await app(scope, receive, send)

    return front


async def _stop_when_alone(server: uvicorn.Server) -> None:
    """End with the process that watches: its death closes our standard input."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    server.should_exit = True


if __name__ == "__main__":
    main()
