"""A checkout written in an afternoon: the same API over a dictionary, honest or with a bug.

It shares no line with the shop, so that `commande verify` is shown to judge promises and not us.
"""

import asyncio
import hashlib
import hmac
import http.client
import json
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PRODUCT = "a" * 24
PRICE = 1250
CHECKOUT = "/api/checkout"
BUGS = (
    "trusts the browser", "takes any pair", "writes twice", "trusts complete", "trusts a reference",
    "waits for stripe", "one session per click", "believes unsigned events", "forgets",
    "believes prices", "counts in floats", "takes any token", "unpays refunds", "ignores webhooks",
    "snapshots anew", "sells twice", "believes claims", "ignores keys",
)  # fmt: skip


class Problem(Exception):
    """A refusal."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass
class Naive:
    """The whole shop."""

    stripe_url: str
    mails: Path
    bug: str = ""
    secret: str = ""
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    clicks: dict[str, str] = field(default_factory=dict)
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def app(self) -> Starlette:
        """Behind HTTP."""
        posts = {
            "create-stripe-checkout-session": self.create, "confirm-payment": self.confirm,
            "retry-payment": self.retry, "webhook": self.webhook,
        }  # fmt: skip
        routes = [
            Route(f"{CHECKOUT}/{name}", _answering(do), methods=["POST"])
            for name, do in posts.items()
        ]
        routes.append(Route(f"{CHECKOUT}/commands/{{id}}", _answering(self.show)))
        routes.append(Route("/api/products", _answering(self.products)))
        return Starlette(routes=routes)

    async def products(self, _request: Request) -> Any:
        minor: Any = float(PRICE) + 0.5 if self.bug == "counts in floats" else PRICE
        price = {"type": "standard", "price": 12.5, "priceMinor": minor, "currency": "eur"}
        return {"products": [{"_id": PRODUCT, "prices": [price], "taxRate": None}]}

    async def create(self, request: Request) -> Any:
        raw = await request.body()
        body, digest = json.loads(raw), hashlib.sha256(raw).hexdigest()
        quantity = body["items"][0]["quantity"]
        if type(quantity) is not int or not 1 <= quantity <= 999:
            raise Problem(400, "invalid_input")
        key = request.headers.get("idempotency-key")
        async with self.lock("create" if self.bug == "waits for stripe" else digest):
            if key and self.bug != "ignores keys":
                known = self.keys.setdefault(key, (digest, ""))
                if known[0] != digest:
                    raise Problem(409, "idempotency_conflict")
            if self.bug not in ("one session per click", "ignores keys") and digest in self.clicks:
                return self.opened(self.commands[self.clicks[digest]])
            command = self.new_command(body, quantity)
            self.clicks[digest] = command["_id"]
            await self.open_session(command)
            if self.bug == "forgets" and len(self.commands) % 5 == 0:
                del self.commands[command["_id"]]
        return self.opened(command)

    def new_command(self, body: Any, quantity: int) -> dict[str, Any]:
        unit = PRICE
        if self.bug == "believes prices":
            unit = round(body["items"][0].get("price", PRICE / 100) * 100)
        command = {
            "_id": secrets.token_hex(12), "ref": "#" + secrets.token_hex(4).upper(),
            "token": secrets.token_urlsafe(24), "email": body["customer"]["email"], "unit": unit,
            "quantity": quantity, "status": "unpaid", "paidAt": None, "snapshot": None,
            "sessions": [], "refunded": 0, "dead": set(),
        }  # fmt: skip
        if self.bug == "believes claims" and body.get("paid"):
            self.pay(command, "")
        self.commands[command["_id"]] = command
        return command

    async def open_session(self, command: dict[str, Any]) -> None:
        item = {"quantity": command["quantity"], "price_data[currency]": "eur",
                "price_data[unit_amount]": max(command["unit"], 50),
                "price_data[product_data][name]": "Pain"}  # fmt: skip
        given = {
            "mode": "payment", "success_url": "https://shop.example/done",
            "client_reference_id": command["_id"], "metadata[command]": command["_id"],
        }  # fmt: skip
        given |= {f"line_items[0][{k.replace('[', '][', 1).rstrip(']')}]" if "[" in k else
                  f"line_items[0][{k}]": v for k, v in item.items()}  # fmt: skip
        number = len(command["sessions"])
        session = await self.stripe("/v1/checkout/sessions", given, f"{command['_id']}-{number}")
        command["sessions"].append((session["id"], session["url"]))

    def opened(self, command: dict[str, Any]) -> Any:
        return {"url": command["sessions"][-1][1], "commandId": command["_id"],
                "ref": command["ref"], "token": command["token"], "expiresAt": None}  # fmt: skip

    async def confirm(self, request: Request) -> Any:
        body = await request.json()
        command = self.commands.get(body["commandId"])
        if command is None:
            raise Problem(404, "command_not_found")
        ours = body["sessionId"] in [id_ for id_, _ in command["sessions"]]
        if self.bug == "trusts the browser":
            self.pay(command, body["sessionId"])
        elif not ours and self.bug != "takes any pair":
            raise Problem(400, "session_mismatch")
        await self.settle(command, body["sessionId"])
        if command["status"] == "unpaid":
            raise Problem(400, "payment_not_completed")
        if self.bug == "snapshots anew":
            command["paidAt"] = datetime.now(UTC).isoformat()
        return (202 if command["status"] == "processing" else 200), self.document(command)

    async def settle(self, command: dict[str, Any], session_id: str) -> None:
        """Ask Stripe and write what it says."""
        session = await self.stripe(f"/v1/checkout/sessions/{session_id}")
        if session["status"] == "expired":
            command["dead"].add(session_id)
        trusted = self.bug == "trusts complete" and session["status"] == "complete"
        if session["payment_status"] == "paid" or trusted:
            self.pay(command, session_id)
        elif session["status"] == "complete":
            command["status"] = "processing"

    def pay(self, command: dict[str, Any], session_id: str) -> None:
        if command["paidAt"] is None or self.bug == "writes twice":
            name = secrets.token_hex(8)
            letter = f"To: {command['email']}\nSubject: {command['ref']}\n\nMerci !\n"
            (self.mails / f"{name}.eml").write_text(letter)
        if command["paidAt"] is None:
            total = command["unit"] * command["quantity"]
            line = {"product_id": PRODUCT, "totalMinor": total}
            command["snapshot"] = {"products": [line], "totalPriceMinor": total, "currency": "eur"}
            command |= {"status": "paid", "paidAt": datetime.now(UTC).isoformat()}

    async def retry(self, request: Request) -> Any:
        body = await request.json()
        command = self.commands.get(body["commandId"])
        if command is None or not self.may_see(command, body.get("token")):
            raise Problem(404, "command_not_found")
        if command["paidAt"] and self.bug != "sells twice":
            raise Problem(409, "already_paid")
        async with self.lock(command["_id"] if self.bug != "one session per click" else "-"):
            dead = command["sessions"][-1][0] in command["dead"]
            if dead or self.bug in ("one session per click", "sells twice"):
                await self.open_session(command)
        return self.opened(command)

    async def show(self, request: Request) -> Any:
        command = self.commands.get(request.path_params["id"])
        if command is None or not self.may_see(command, request.query_params.get("token")):
            raise Problem(404, "command_not_found")
        return self.document(command)

    def may_see(self, command: dict[str, Any], token: Any) -> bool:
        return bool(self.bug == "takes any token" or token == command["token"])

    async def webhook(self, request: Request) -> Any:
        raw = await request.body()
        header = request.headers.get("stripe-signature", "")
        stamp = header.partition(",")[0].removeprefix("t=")
        true = hmac.new(self.secret.encode(), f"{stamp}.".encode() + raw, "sha256").hexdigest()
        if f"v1={true}" not in header and self.bug != "believes unsigned events":
            raise Problem(400, "signature_invalid")
        if self.bug != "ignores webhooks":
            event = json.loads(raw)
            await self.hear(event["type"], event["data"]["object"])
        return {"received": True}

    async def hear(self, kind: str, about: dict[str, Any]) -> None:
        by_name = self.bug in ("trusts a reference", "believes unsigned events")
        for command in self.commands.values():
            ours = about["id"] in [id_ for id_, _ in command["sessions"]]
            named = by_name and about.get("client_reference_id") == command["_id"]
            if kind.startswith("checkout.session.") and (ours or named):
                if named and about["payment_status"] == "paid":
                    self.pay(command, about["id"])
                else:
                    await self.settle(command, about["id"])
            if kind == "charge.refunded" and await self.paid_by(command, about["payment_intent"]):
                command |= {"refunded": about["amount_refunded"], "status": "refunded"}

    async def paid_by(self, command: dict[str, Any], intent: str) -> bool:
        if command["status"] != "paid":
            return False
        session = await self.stripe(f"/v1/checkout/sessions/{command['sessions'][-1][0]}")
        return bool(session["payment_intent"] == intent)

    def document(self, command: dict[str, Any]) -> Any:
        # Told so, not written so: a webhook of the payment that comes late would write it again.
        unpaid = self.bug == "unpays refunds" and command["refunded"] > 0
        return {"command": {
            "_id": command["_id"], "ref": command["ref"], "status": command["status"],
            "paid": command["paidAt"] is not None and not unpaid, "paidAt": command["paidAt"],
            "cartSnapshot": command["snapshot"], "refundedMinor": command["refunded"],
            "customer": {"email": command["email"]},
        }}  # fmt: skip

    def lock(self, name: str) -> asyncio.Lock:
        return self.locks.setdefault(name, asyncio.Lock())

    async def stripe(self, path: str, form: Any = None, key: str = "") -> Any:
        return await asyncio.to_thread(self._stripe, path, form, key)

    def _stripe(self, path: str, form: Any, key: str) -> Any:
        headers = {"Authorization": "Bearer sk_test_verify"} | (
            {"Idempotency-Key": key} if key else {}
        )
        data = urlencode(form).encode() if form else None
        request = urllib.request.Request(self.stripe_url + path, data, headers)
        for again in (True, False):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                raise Problem(400, "session_invalid") from error
            except (OSError, ValueError, http.client.HTTPException):
                if not again:
                    raise
        return None


def _answering(do: Any) -> Any:
    async def endpoint(request: Request) -> Response:
        try:
            answer = await do(request)
        except Problem as problem:
            told = {"status": problem.status, "code": problem.code, "title": "", "detail": ""}
            return Response(json.dumps(told), problem.status, media_type="application/problem+json")
        status, content = answer if isinstance(answer, tuple) else (200, answer)
        return Response(json.dumps(content), status, media_type="application/json")

    return endpoint
