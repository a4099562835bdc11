"""The application: one shop behind HTTP, ready to serve or to be mounted in another program."""

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import orjson
import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from commande.errors import CommandeError
from commande.logs import configure_logs
from commande.settings import Settings, load_settings
from commande.shop import Shop, close_shop, open_shop
from commande.version import __version__
from commande.web import middleware, openapi, reference
from commande.web.api import add_api
from commande.web.health import as_document, check_readiness
from commande.web.metrics import ShopMetrics
from commande.web.problems import answer_error, answer_refusal
from commande.web.running import RunningFlows
from commande.worker import Worker

# Spans would carry our addresses, and those carry tokens; the log events would carry messages of
# foreign errors. Metrics carry neither.
_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "logs": False}


def create_app(
    settings: Settings | None = None,
    *,
    shop: Shop | None = None,
    worker: bool = True,
    extra_routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """The shop as an ASGI application, from the environment and ``.env`` unless settings are given.

    Serve it as it is, or mount it under any prefix and enter its lifespan yourself:
    ``app.router.lifespan_context(app)``. A shop handed in stays the caller's to close. With
    ``worker=False`` a worker must run elsewhere. The shop is at ``app.state.shop``. Raises
    SettingInvalid.
    """
    own = shop is None
    if shop is None:
        shop = open_shop(settings or load_settings())
    if not structlog.is_configured():
        configure_logs(shop.settings.log_format, shop.settings.log_level, whole_process=False)
    app = FastAPI(
        title="commande",
        version=__version__,
        summary=openapi.SUMMARY,
        description=openapi.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect to the address with or without a slash would be built from the Host header.
        redirect_slashes=False,
        telemetry=_TELEMETRY,
        middleware=_middleware(shop.settings),
        exception_handlers={CommandeError: answer_error, HTTPException: _refuse(shop)},
        lifespan=_lifespan(shop, own=own, work=worker),
    )
    app.state.shop, app.state.worker = shop, None
    app.state.running, app.state.metrics = RunningFlows(), ShopMetrics(shop)
    add_api(app)
    _add_operations(app)
    for router in (reference.pages, *_rooms(shop), *extra_routers):
        app.include_router(router)
    app.openapi = partial(openapi.describe, app)  # type: ignore[method-assign]
    return app


def _lifespan(shop: Shop, *, own: bool, work: bool) -> Any:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if work:
            app.state.worker = Worker(shop)
            app.state.worker.start()
        try:
            yield
        finally:
            await app.state.running.finish()
            if app.state.worker is not None:
                await app.state.worker.stop()
                app.state.worker = None
            if own:
                await close_shop(shop)

    return lifespan


def _refuse(shop: Shop) -> Callable[[Request, Exception], Coroutine[Any, Any, Response]]:
    """Problem documents for programs; a person who lost her way in the shop gets a page."""
    if not shop.settings.storefront:
        return answer_refusal
    from commande.web.pages import lost_page

    page = lost_page(shop)

    async def refuse(request: Request, error: Exception) -> Response:
        lost = isinstance(error, HTTPException) and error.status_code == 404
        person = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if lost and person and not request.url.path.startswith("/api/"):
            return await page(request)
        return await answer_refusal(request, error)

    return refuse


def _middleware(settings: Settings) -> list[Middleware]:
    """Outermost first."""
    return [
        Middleware(middleware.Trace),
        Middleware(middleware.SecurityHeaders, settings),
        Middleware(middleware.AllowedHosts, settings.allowed_hosts),
        Middleware(middleware.ApiCors, settings.cors_origins),
        Middleware(middleware.Guard),
        Middleware(middleware.BodyLimit),
    ]


def _rooms(shop: Shop) -> list[APIRouter]:
    """The pages that the settings ask for; a shop that only wants the API loads neither."""
    rooms = []
    if shop.settings.storefront:
        from commande.web.pages import storefront

        rooms.append(storefront(shop))
    if shop.settings.admin_password is not None:
        from commande.admin import merchant

        rooms.append(merchant(shop))
    return rooms


def _add_operations(app: FastAPI) -> None:
    """What operators and their machines ask."""

    @app.get("/healthz", **openapi.HEALTH)
    async def healthz() -> Response:
        """The process is alive and its event loop turns."""
        return _json({"status": "ok"})

    @app.get("/readyz", **openapi.READINESS)
    async def readyz(request: Request) -> Response:
        """Whether the shop can sell: database, migrations, module, webhook secret."""
        document = as_document(await check_readiness(request.app.state.shop))
        return _json(document, 200 if document["status"] == "ready" else 503)

    @app.get("/metrics", **openapi.METRICS)
    async def metrics(request: Request) -> Response:
        """Figures for Prometheus. Keep this address from the public at your proxy."""
        page: Response = await request.app.state.metrics.page()
        return page


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")
