"""What every request passes through, outermost first. Pure ASGI: each is one call deep."""

from collections.abc import Iterable
from secrets import token_hex
from time import perf_counter
from typing import Any, Final

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from commande.settings import Settings
from commande.web import metrics
from commande.web.problems import internal_error, refusal

WEBHOOK: Final = "/api/checkout/webhook"
# Contract, section 2. A cart of 100 lines is about 10 KiB; Stripe's events are far below 1 MiB.
LARGEST: Final = 64 * 1024
LARGEST_WEBHOOK: Final = 1024 * 1024
# Asked every few seconds by machines: not worth a line each.
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})

log = structlog.get_logger("commande.access")


def route_path(scope: Scope) -> str:
    """The path below the prefix under which the application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root) else path


def _template(scope: Scope) -> str:
    """The route's path with names in place of ids: what may be logged and counted."""
    return getattr(scope.get("route"), "path", None) or "(none)"


class Trace:
    """Gives each request an id, a line in the log and its place in the metrics.

    Neither carries more than method, route, status, code and time: no path, no query, no address.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Our own, never the caller's: what somebody else chose has no place in our log.
        request_id = f"r{token_hex(8)}"
        status = 499  # nginx's word for a client that left before the answer
        method = scope["method"]
        if method == "HEAD":
            # Whatever can be got answers HEAD too; the server leaves the body out.
            scope = {**scope, "method": "GET"}

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        began = perf_counter()
        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, answer)
            finally:
                _note(scope, method, status, perf_counter() - began)


def _note(scope: Scope, method: str, status: int, seconds: float) -> None:
    route = _template(scope)
    metrics.count_request(method, route, status, seconds)
    told = log.debug if route in _QUIET and status < 400 else log.info
    code = {"code": scope["commande.problem"]} if "commande.problem" in scope else {}
    told("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1), **code)


def _csp(**directives: str) -> str:
    return "; ".join(f"{name.replace('_', '-')} {value}" for name, value in directives.items())


class SecurityHeaders:
    """Adds the headers that keep browsers strict, where an answer has not set its own."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        everywhere = {"X-Content-Type-Options": "nosniff"}
        if settings.site_url.startswith("https://"):
            everywhere["Strict-Transport-Security"] = "max-age=31536000"
        # A form that sends the customer to pay is answered by a redirect to Stripe.
        stripe = "https://checkout.stripe.com"
        if settings.stripe_api_base is not None:
            stripe = "/".join(settings.stripe_api_base.split("/")[:3])
        page = _csp(
            default_src="'none'", script_src="'self'", style_src="'self'",
            img_src="'self' data: https:", font_src="'self'", connect_src="'self'",
            form_action=f"'self' {stripe}", frame_ancestors="'none'", base_uri="'none'",
        )  # fmt: skip
        self._page = _encode(everywhere | {
            "Content-Security-Policy": page,
            # Not no-referrer: browsers would then send forms with "Origin: null".
            "Referrer-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-store",
        })  # fmt: skip
        self._data = _encode(everywhere | {
            "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        })  # fmt: skip
        self._file = _encode(everywhere)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                names = {name.lower() for name, _ in given}
                ours = self._fitting(given)
                added = [pair for pair in ours if pair[0] not in names]
                message = {**message, "headers": [*given, *added]}
            await send(message)

        await self._app(scope, receive, answer)

    def _fitting(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
        if kind.startswith(b"text/html"):
            return self._page
        data = not kind or b"json" in kind or kind.startswith(b"text/plain")
        return self._data if data else self._file


def _encode(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


class AllowedHosts:
    """Refuses requests for a host that is not ours, where the settings name ours.

    ``*.example.com`` stands for every name below it. The Host header never builds an address.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        names = {host.lower().rstrip(".") for host in hosts}
        self._any = "*" in names
        self._names = {name for name in names if not name.startswith("*")}
        self._endings = tuple(name[1:] for name in names if name.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if self._any or scope["type"] != "http" or self._is_ours(scope):
            await self._app(scope, receive, send)
            return
        answer = refusal(scope, 400, detail="This server does not answer for that host.")
        await answer(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        given = Headers(scope=scope).getlist("host")
        if len(given) != 1:
            return False
        host = given[0].lower()
        host = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        host = host.rstrip(".")
        return host in self._names or host.endswith(self._endings)


class ApiCors:
    """Lets front ends of other origins call the API, without credentials; pages stay closed."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app,
            allow_origins=tuple(origins),
            allow_methods=("GET", "POST"),
            allow_headers=("Idempotency-Key",),
            expose_headers=("Retry-After", "X-Request-Id"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        is_api = scope["type"] == "http" and route_path(scope).startswith("/api/")
        await (self._open if is_api else self._app)(scope, receive, send)


class Guard:
    """Catches what nobody foresaw: an answer without details, a log line without personal data."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            return
        except Exception:
            log.exception("request_crashed", route=_template(scope))
            if started:
                # The server must break the connection off, and must not log what we hide.
                raise RuntimeError("The answer broke off; see request_crashed.") from None
            await internal_error(scope)(scope, receive, send)


class BodyLimit:
    """Refuses bodies that are too large, by their declared length or as they arrive.

    Compressed ones too: 64 KiB of them could be 64 MiB.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        largest = LARGEST_WEBHOOK if route_path(scope) == WEBHOOK else LARGEST
        status = _refuse_by_header(scope["headers"], largest)
        if status:
            answer = refusal(scope, status, {"Connection": "close"})
            await answer(scope, receive, send)
            return
        arrived = 0

        async def receive_some() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > largest:
                raise HTTPException(413, headers={"Connection": "close"})
            return message

        await self._app(scope, receive_some, send)


def _refuse_by_header(headers: Any, largest: int) -> int | None:
    for name, value in headers:
        if name == b"content-length" and (not value.isdigit() or len(value) > 12):
            return 413
        if name == b"content-length" and int(value) > largest:
            return 413
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            return 415
    return None
