"""What a person would do in Stripe's dashboard, what other programs of the account do, and what
only a stand-in can: move its clock, deliver now, tell its state.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from commande.sandbox import payments, refunds, sessions, webhooks
from commande.sandbox.account import Account
from commande.sandbox.cards import Buyer, Means, find_means
from commande.sandbox.events import render_event
from commande.sandbox.faults import EVENT_FAULTS, Fault
from commande.sandbox.session_form import SESSION
from commande.sandbox.store import Row
from commande.sandbox.world import Settings

P = ParamSpec("P")
T = TypeVar("T")


def _at_once(
    action: Callable[Concatenate["Dashboard", P], T],
) -> Callable[Concatenate["Dashboard", P], T]:
    """Nothing else happens meanwhile, and what was done is written down before it returns."""

    @wraps(action)
    def locked(self: "Dashboard", /, *args: P.args, **more: P.kwargs) -> T:
        account = self._account
        with account.lock:
            try:
                return action(self, *args, **more)
            finally:
                account.state.commit()

    return locked


class Dashboard:
    """Actions on an account, from any thread."""

    def __init__(self, account: Account) -> None:
        self._account = account

    @_at_once
    def advance(self, seconds: float) -> None:
        """Move the clock and do what became due (webhooks are sent by whoever sends them)."""
        self._account.world.clock.advance(seconds)
        self._account.world.setback += max(0.0, -seconds)
        self._account.remember_clock()
        self._account.tick()
        self._account.world.wake()

    @_at_once
    def set(self, /, **changes: Any) -> Settings:
        """Change settings. Raises ValueError for an unknown one or a value that cannot be."""
        settings = self._account.world.settings
        strange = changes.keys() - Settings.names()
        if strange:
            raise ValueError(f"unknown setting: {', '.join(sorted(strange))}")
        for name, value in changes.items():
            setattr(settings, name, _fitting(name, value))
        return settings

    @_at_once
    def confirm(self, session: str, means: Means, buyer: Buyer, three_d_secure: str | None) -> Row:
        """Pay a session as the page does. Raises Refusal for a decline."""
        return payments.confirm_session(self._account.world, session, means, buyer, three_d_secure)

    @_at_once
    def pay(
        self, session: str, payment_method: str = "pm_card_visa", *,
        email: str = "stripe@example.com", name: str | None = None, country: str | None = None,
        three_d_secure: str | None = "approve",
    ) -> Row:  # fmt: skip
        """Pay a session like a buyer. Raises Refusal for a decline."""
        buyer = Buyer(email, name, country)
        return payments.confirm_session(
            self._account.world, session, find_means(payment_method), buyer, three_d_secure
        )

    @_at_once
    def refund(self, /, charge_or_intent: str, amount: int | None = None, **more: Any) -> Row:
        """Refund in the dashboard: the shop hears of it by webhook."""
        which = "payment_intent" if charge_or_intent.startswith("pi_") else "charge"
        given = {which: charge_or_intent, **more} | ({"amount": amount} if amount else {})
        return refunds.create_refund(self._account.world, refunds.CREATE.check(given))

    @_at_once
    def fail_refund(self, refund: str) -> None:
        """Have a refund come back now."""
        refunds.fail_refund(self._account.world, refund)

    @_at_once
    def open_dispute(self, charge_or_intent: str, reason: str = "fraudulent") -> Row:
        world = self._account.world
        if charge_or_intent.startswith("pi_"):
            intent = world.state.get("payment_intent", charge_or_intent) or {}
            charge_or_intent = intent.get("latest_charge") or charge_or_intent
        return refunds.open_dispute(world, charge_or_intent, reason)

    @_at_once
    def close_dispute(self, dispute: str, *, won: bool) -> Row:
        return refunds.close_dispute(self._account.world, dispute, won=won)

    @_at_once
    def expire(self, session: str) -> Row:
        return sessions.expire_session(self._account.world, session)

    @_at_once
    def foreign_session(
        self, *, amount: int = 1000, currency: str = "eur", client_reference_id: str | None = None,
        metadata: Row | None = None, payment_link: bool = False, pay_with: str | None = None,
    ) -> Row:  # fmt: skip
        """A session that the shop did not make, open or paid.

        `payment_link`: as a Payment Link makes it, where the buyer chooses client_reference_id.
        """
        world = self._account.world
        price = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Foreign"}}
        given: Row = {
            "mode": "payment",
            "success_url": "https://example.com/elsewhere",
            "line_items": [{"quantity": 1, "price_data": price}],
            "metadata": metadata or {},
        }
        if client_reference_id is not None:
            given["client_reference_id"] = client_reference_id
        row = sessions.create_session(world, SESSION.check(given))
        if payment_link:
            row = {**row, "payment_link": world.ids.new("plink_1")}
            world.state.put("session", row["id"], row)
        if pay_with is not None:
            row = self.pay(row["id"], pay_with)
        return row

    @_at_once
    def bring_forward(self) -> int:
        """Make every waiting delivery due now; how many."""
        return webhooks.bring_forward(self._account.world)

    @_at_once
    def resend(self, event: str) -> int:
        """Deliver an event once more to every endpoint that wants it; how many."""
        world = self._account.world
        row = world.state.get("event", event)
        if row is None:
            raise ValueError(f"no such event: {event}")
        wanting = [
            endpoint["id"] for endpoint in world.state.rows["webhook_endpoint"].values()
            if {"*", row["type"]} & set(endpoint["enabled_events"])
        ]  # fmt: skip
        for endpoint in wanting:
            world.queue_delivery(
                world.name("delivery"),
                {"event": event, "endpoint": endpoint, "due": world.clock.now(), "attempt": 0,
                 "counts": False, "bad_signature": False},
            )  # fmt: skip
        return len(wanting)

    @_at_once
    def status(self) -> Row:
        """Clock, settings, standing faults, what waits (webhooks, debits), last events."""
        world, rows = self._account.world, self._account.state.rows
        now = world.clock.now()
        waiting = sorted(rows["delivery"].items(), key=lambda item: item[1]["due"])
        recent = [row for row, _ in zip(reversed(rows["event"].values()), range(20), strict=False)]
        return {
            "now": now,
            "offset": getattr(world.clock, "offset", None),
            "settings": world.settings.listed(),
            "faults": [fault.listed() for fault in world.faults.orders],
            "next_due": self._account.next_due(),
            "next_webhook": _fate(world.faults.orders),
            "deliveries_waiting": [
                {"id": id_, "event": row["event"], "type": _type_of(rows["event"], row["event"]),
                 "endpoint": row["endpoint"], "due_in": row["due"] - now,
                 "attempt": row["attempt"]}
                for id_, row in waiting[:100]
            ],
            "debits_waiting": [
                {"payment_intent": row["target"], "due_in": row["due"] - now}
                for row in payments.list_debits(world)[:100]
            ],
            "recent_events": [
                {"id": row["id"], "type": row["type"], "created": row["created"],
                 "pending_webhooks": row["pending"], "fate": row["fate"],
                 "attempts": row.get("attempts", [])}
                for row in recent
            ],
            "counts": {kind: len(rows[kind]) for kind in ("session", "charge", "refund", "event")},
            "endpoints": [
                {"id": row["id"], "url": row["url"], "status": row["status"],
                 "enabled_events": row["enabled_events"]}
                for row in rows["webhook_endpoint"].values()
            ],
            "calls": dict(self._account.calls),
        }  # fmt: skip

    @_at_once
    def event(self, id_: str) -> Row:
        """An event whole, even while /v1/events does not show it yet."""
        row = self._account.state.get("event", id_)
        if row is None:
            raise ValueError(f"no such event: {id_}")
        return render_event(row)


def _fate(orders: list[Fault]) -> Row:
    """What awaits the webhook of the next completed session, as far as it is certain."""
    kinds = [
        order.kind
        for order in orders
        if order.kind in EVENT_FAULTS and fnmatchcase("checkout.session.completed", order.type)
    ]
    certain = all(order.probability >= 1 for order in orders if order.kind in kinds)
    return {"faults": list(dict.fromkeys(kinds)), "certain": certain}


def _type_of(events: dict[str, Row], id_: str) -> str | None:
    return events[id_]["type"] if id_ in events else None


def _fitting(name: str, value: Any) -> Any:
    if name == "tax_rounding" and value in {"line", "rate"}:
        return value
    if name == "intent_after_decline" and isinstance(value, bool):
        return value
    if name == "rate_limit" and (
        value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)
    ):
        return value
    if name == "retry_delays" and isinstance(value, list | tuple):
        return tuple(_seconds(name, item) for item in value)
    if name.endswith("_delay"):
        return _seconds(name, value)
    raise ValueError(f"{name} cannot be {value!r}")


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10**8:
        raise ValueError(f"{name} must be seconds, 0 or more")
    return float(value)
