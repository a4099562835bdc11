"""`/sandbox-control/…`: the same as `Engine` and `Dashboard`, by JSON over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from commande.sandbox.engine import Engine
from commande.sandbox.errors import Refusal
from commande.sandbox.faults import ALL_FAULTS
from commande.sandbox.store import Row

Action = Callable[[Engine, Request, Row], Awaitable[Any]]
_LARGEST_BODY = 64 * 1024


def control_routes(engine: Engine) -> list[Route]:
    """The control API's routes."""
    return [
        Route(f"/sandbox-control/{path}", _endpoint(engine, action), methods=[method])
        for method, path, action in _ACTIONS
    ]


def _endpoint(engine: Engine, action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return _json(await action(engine, request, await _body(request)))
        except Refusal as refusal:
            return _json(refusal.body("req_control"), refusal.status)
        except (ValueError, TypeError) as error:
            return _json({"error": {"message": str(error)}}, 400)

    return endpoint


async def _body(request: Request) -> Row:
    # Browsers cannot send this type from a foreign page without asking first.
    if request.method == "POST" and not request.headers.get("content-type", "").startswith(
        "application/json"
    ):
        raise ValueError("send JSON: Content-Type: application/json")
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > _LARGEST_BODY:
            raise ValueError("body over 64 KiB")
    body = orjson.loads(raw) if raw.strip() else {}
    if not isinstance(body, dict):
        raise TypeError("send a JSON object")
    return body


def _json(content: Any, status: int = 200) -> Response:
    raw = orjson.dumps(content, option=orjson.OPT_INDENT_2)
    return Response(raw + b"\n", status, media_type="application/json")


async def _status(engine: Engine, _request: Request, _body: Row) -> Any:
    return engine.dashboard.status() | {"known_faults": list(ALL_FAULTS)}


async def _requests(engine: Engine, request: Request, _body: Row) -> Any:
    wanted = {name: request.query_params[name] for name in ("method", "path")
              if name in request.query_params}  # fmt: skip
    found = [row for row in engine.requests if all(row[n] == v for n, v in wanted.items())]
    return {"count": len(found), "calls": dict(engine.calls), "requests": found[-1000:]}


async def _forget_requests(engine: Engine, _request: Request, _body: Row) -> Any:
    engine.requests.clear()
    engine.calls.clear()
    return {"count": 0}


async def _list_faults(engine: Engine, _request: Request, _body: Row) -> Any:
    return {"faults": [fault.listed() for fault in engine.world.faults.orders],
            "known": list(ALL_FAULTS)}  # fmt: skip


async def _add_fault(engine: Engine, _request: Request, body: Row) -> Any:
    if "kind" not in body:
        raise ValueError("name the fault: kind")
    return engine.fail(**body).listed()


async def _remove_faults(engine: Engine, request: Request, _body: Row) -> Any:
    return {"removed": engine.world.faults.remove(request.path_params.get("id"))}


async def _clock(engine: Engine, _request: Request, body: Row) -> Any:
    if body.keys() - {"advance", "offset"} or len(body) != 1:
        raise ValueError('send {"advance": seconds} or {"offset": seconds from real time}')
    seconds = next(iter(body.values()))
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or abs(seconds) > 10**10:
        raise ValueError("seconds must be a number")
    if "offset" in body:
        offset = getattr(engine.world.clock, "offset", None)
        if offset is None:
            raise ValueError("this clock has no offset: advance it")
        seconds -= offset
    engine.dashboard.advance(seconds)
    return {"now": engine.world.clock.now(),
            "offset": getattr(engine.world.clock, "offset", None)}  # fmt: skip


async def _settings(engine: Engine, _request: Request, body: Row) -> Any:
    return engine.dashboard.set(**body).listed()


async def _deliver(engine: Engine, request: Request, _body: Row) -> Any:
    try:
        count = await request.app.state.courier.deliver_now()
    except TimeoutError:
        raise ValueError("some receivers did not answer in time") from None
    return {"delivered": count, "waiting": len(engine.state.rows["delivery"])}


async def _resend(engine: Engine, _request: Request, body: Row) -> Any:
    return {"deliveries": engine.dashboard.resend(_named(body, "event"))}


async def _pay(engine: Engine, _request: Request, body: Row) -> Any:
    return engine.dashboard.pay(_named(body, "session"), **_rest(body, "session"))


async def _refund(engine: Engine, _request: Request, body: Row) -> Any:
    which = "payment_intent" if "payment_intent" in body else "charge"
    return engine.dashboard.refund(_named(body, which), **_rest(body, which))


async def _fail_refund(engine: Engine, _request: Request, body: Row) -> Any:
    engine.dashboard.fail_refund(_named(body, "refund"))
    return engine.state.get("refund", body["refund"])


async def _open_dispute(engine: Engine, _request: Request, body: Row) -> Any:
    which = "payment_intent" if "payment_intent" in body else "charge"
    return engine.dashboard.open_dispute(_named(body, which), **_rest(body, which))


async def _close_dispute(engine: Engine, _request: Request, body: Row) -> Any:
    if not isinstance(body.get("won"), bool):
        raise TypeError("won must be true or false")
    return engine.dashboard.close_dispute(_named(body, "dispute"), won=body["won"])


async def _expire(engine: Engine, _request: Request, body: Row) -> Any:
    return engine.dashboard.expire(_named(body, "session"))


async def _foreign(engine: Engine, _request: Request, body: Row) -> Any:
    return engine.dashboard.foreign_session(**body)


def _named(body: Row, name: str) -> str:
    if not isinstance(body.get(name), str):
        raise TypeError(f"{name} is missing")
    return str(body[name])


def _rest(body: Row, name: str) -> Row:
    return {key: value for key, value in body.items() if key != name}


_ACTIONS: list[tuple[str, str, Action]] = [
    ("GET", "status", _status),
    ("GET", "requests", _requests),
    ("DELETE", "requests", _forget_requests),
    ("GET", "faults", _list_faults),
    ("POST", "faults", _add_fault),
    ("DELETE", "faults", _remove_faults),
    ("DELETE", "faults/{id}", _remove_faults),
    ("POST", "clock", _clock),
    ("POST", "settings", _settings),
    ("POST", "deliver", _deliver),
    ("POST", "resend", _resend),
    ("POST", "pay", _pay),
    ("POST", "refunds", _refund),
    ("POST", "refunds/fail", _fail_refund),
    ("POST", "disputes", _open_dispute),
    ("POST", "disputes/close", _close_dispute),
    ("POST", "expire", _expire),
    ("POST", "sessions", _foreign),
]
