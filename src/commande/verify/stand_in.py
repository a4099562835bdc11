"""The stand-in for Stripe, by its control API: whoever pays, loses post and refunds is us."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from commande.verify.shop import Reply, Unreachable, ask

GOOD: Final = "4242424242424242"
DECLINED: Final = "4000000000000002"
SEPA: Final = "DE89370400440532013000"


@dataclass(frozen=True, slots=True)
class StandIn:
    """One account of play money."""

    url: str
    key: str = "sk_test_verify"

    def status(self) -> dict[str, Any]:
        """Where it stands. Raises Unreachable when this is no stand-in."""
        reply = self._ask("GET", "/sandbox-control/status")
        found = reply.json
        if reply.status != 200 or not isinstance(found, dict) or "known_faults" not in found:
            raise Unreachable(f"{self.url} is no stand-in for Stripe (see commande sandbox)")
        return found

    def hears(self) -> list[str]:
        """The addresses that get its webhooks."""
        endpoints = self.status()["endpoints"]
        return [str(each["url"]) for each in endpoints if each["status"] == "enabled"]

    def pay(self, session: str, means: str = GOOD) -> Reply:
        """Pay a session as a customer would; a decline is an answer of 402."""
        return self._ask("POST", "/sandbox-control/pay",
                         {"session": session, "payment_method": means})  # fmt: skip

    def expire(self, session: str) -> Reply:
        """End a session, as somebody may in the dashboard."""
        return self._ask("POST", "/sandbox-control/expire", {"session": session})

    def refund(self, intent: str) -> Reply:
        """Give all of it back, as somebody may in the dashboard."""
        return self._ask("POST", "/sandbox-control/refunds", {"payment_intent": intent})

    def stranger_pays(self, amount: int, currency: str, reference: str) -> Reply:
        """Another program's payment link, where a buyer may write any reference."""
        body = {"amount": amount, "currency": currency, "client_reference_id": reference,
                "payment_link": True, "pay_with": GOOD}  # fmt: skip
        return self._ask("POST", "/sandbox-control/sessions", body)

    def resend(self, event: str) -> None:
        """Deliver an event once more."""
        self._ask("POST", "/sandbox-control/resend", {"event": event})

    def deliver(self) -> None:
        """Deliver what waits, now."""
        self._ask("POST", "/sandbox-control/deliver", {})

    @contextmanager
    def trouble(self, kind: str, **how: object) -> Iterator[str]:
        """Order trouble, and take back what is left of it; the order's id."""
        made = self._ask("POST", "/sandbox-control/faults", {"kind": kind, **how}).json
        fault = str(made.get("id", ""))
        try:
            yield fault
        finally:
            self._ask("DELETE", f"/sandbox-control/faults/{fault}")

    def stands(self, fault: str) -> bool:
        """Whether the trouble is still to come."""
        return any(each["id"] == fault for each in self.status()["faults"])

    def session(self, session: str) -> dict[str, Any]:
        """A session; empty when it is unknown here."""
        reply = self._ask("GET", f"/v1/checkout/sessions/{quote(session, safe='')}")
        found: dict[str, Any] = reply.json if reply.status == 200 else {}
        return found

    def sessions_of(self, command_id: str) -> list[dict[str, Any]]:
        """Every session that was made for a command, newest first."""
        return [
            session for session in self._list("/v1/checkout/sessions")
            if command_id == session.get("client_reference_id")
            or command_id in (session.get("metadata") or {}).values()
        ]  # fmt: skip

    def payable(self, command_id: str) -> list[str]:
        """The command's sessions that can still be paid."""
        found = self.sessions_of(command_id)
        return [session["id"] for session in found if session["status"] == "open"]

    def events_of(self, session: str) -> list[str]:
        """The ids of a session's completion events."""
        found = self._list("/v1/events", "&type=checkout.session.completed")
        return [event["id"] for event in found if event["data"]["object"]["id"] == session]

    def _list(self, path: str, query: str = "") -> Iterator[dict[str, Any]]:
        after = ""
        while True:
            reply = self._ask("GET", f"{path}?limit=100{query}{after}")
            page = reply.json
            if reply.status != 200:
                raise Unreachable(f"{self.url}{path} answers {reply.status}: another --key?")
            yield from page["data"]
            if not page["has_more"]:
                return
            after = f"&starting_after={page['data'][-1]['id']}"

    def _ask(self, method: str, path: str, body: object = None) -> Reply:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        raw = None if body is None else json.dumps(body).encode()
        return ask(method, self.url + path, raw, headers)
