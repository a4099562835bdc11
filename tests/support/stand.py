"""A stand-in that runs, the official SDK on it, and somebody who receives its webhooks."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import stripe

from commande.sandbox.engine import Engine
from tests.support.sdk_schema import validate_error, validate_object

KEY = "sk_test_0123456789abcdef"
SECRET = "whsec_of_the_shop"


def eventually(holds: Callable[[], Any], seconds: float = 60.0, what: str = "") -> Any:
    """Wait until something is true; its value."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        if time.monotonic() > deadline:
            code = holds.__code__
            what = what or f"{code.co_qualname}, {code.co_filename}:{code.co_firstlineno}"
            raise AssertionError(f"it did not come true within {seconds:.0f} s: {what}")
        time.sleep(0.01)
    return value


def an_order(**changes: Any) -> dict[str, Any]:
    """The parameters of a session over 59.98 €."""
    return {
        "mode": "payment",
        "success_url": "https://shop.example/done?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://shop.example/cancelled",
        "automatic_tax": {"enabled": False},
        "adaptive_pricing": {"enabled": False},
        "line_items": [a_line()],
        **changes,
    }


def a_line(amount: int = 2999, quantity: int = 2, **changes: Any) -> dict[str, Any]:
    price = {"currency": "eur", "unit_amount": amount, "product_data": {"name": "Bouquet"}}
    return {"quantity": quantity, "price_data": price} | changes


@dataclass
class Receiver:
    """A shop's webhook endpoint: keeps what comes, answers what it is told to."""

    url: str = ""
    secret: str = SECRET
    status: int = 200
    delay: float = 0.0
    bodies: list[bytes] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Several webhooks come at once, each in a thread of its own."""

    def keep(self, body: bytes, signature: str) -> None:
        with self.lock:
            self.signatures.append(signature)
            self.bodies.append(body)

    @property
    def events(self) -> list[stripe.Event]:
        with self.lock:
            kept = list(zip(self.bodies, self.signatures, strict=True))
        return [stripe.Webhook.construct_event(body, sig, self.secret) for body, sig in kept]

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["type"] for body in self.bodies]


@contextmanager
def receiving() -> Iterator[Callable[[], Receiver]]:
    """Opens webhook endpoints, and closes them at the end."""
    with ExitStack() as stack:

        def opened() -> Receiver:
            receiver = Receiver()

            class Handler(BaseHTTPRequestHandler):
                def do_POST(self) -> None:
                    body = self.rfile.read(int(self.headers["content-length"]))
                    if receiver.delay:
                        time.sleep(receiver.delay)
                    receiver.keep(body, self.headers["stripe-signature"])
                    self.send_response(receiver.status)
                    self.send_header("content-length", "0")
                    self.end_headers()

                def log_message(self, *_: Any) -> None:
                    """Quiet."""

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
            return receiver

        yield opened


class Stand:
    """A running stand-in, the SDK's client on it, and its engine to look into."""

    def __init__(self, url: str, engine: Engine) -> None:
        self.url, self.engine = url, engine
        self.dashboard = engine.dashboard
        self.http = stripe.RequestsClient(timeout=60)
        self.client = stripe.StripeClient(
            KEY, base_addresses={"api": url}, http_client=self.http, max_network_retries=0
        )
        self.v1 = self.client.v1

    def order(self, **changes: Any) -> stripe.checkout.Session:
        given: Any = an_order(**changes)
        return self.v1.checkout.sessions.create(given)

    def paid(self, method: str = "pm_card_visa", **changes: Any) -> stripe.checkout.Session:
        session = self.order(**changes)
        self.confirm(session.id, payment_method=method)
        return self.look(session.id)

    def look(self, session: str) -> stripe.checkout.Session:
        return self.v1.checkout.sessions.retrieve(
            session, {"expand": ["payment_intent.latest_charge.refunds"]}
        )

    def confirm(self, session: str, **params: Any) -> tuple[int, dict[str, Any]]:
        return self.ask("POST", f"/v1/payment_pages/{session}/confirm", params)

    def ask(
        self, method: str, path: str, params: dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """A request past the SDK; every answer is held against the SDK's types."""
        status, body, _ = self.send(method, path, params, **headers)
        content = json.loads(body)
        (validate_object if status == 200 else validate_error)(content)
        return status, content

    def send(
        self, method: str, path: str, params: dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        """A request, its status, body and headers (names in lower case)."""
        form = urlencode(list(_flat(params or {})))
        given = {"Authorization": f"Bearer {KEY}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        address = f"{self.url}{path}" + (f"?{form}" if form and method == "GET" else "")
        body = form.encode() if method == "POST" else None
        request = urllib.request.Request(address, body, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read(), _lower(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), _lower(error.headers)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the control API; its answer."""
        request = urllib.request.Request(
            f"{self.url}/sandbox-control/{path}",
            json.dumps(body or {}).encode() if method == "POST" else None,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from _flat(inner, f"{path}[{key}]" if path else str(key))
    else:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)
