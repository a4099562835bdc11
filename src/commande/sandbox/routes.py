"""Which address does what: the API's table of contents."""

from collections.abc import Callable
from typing import NamedTuple

from commande.sandbox import cards, charges, listing, payments, rates, refunds, sessions, webhooks
from commande.sandbox.errors import Refusal, missing
from commande.sandbox.events import render_event
from commande.sandbox.parameters import Choice, Hash, Integer, Kind, Mail, Metadata, Text
from commande.sandbox.session_form import SESSION
from commande.sandbox.store import Row
from commande.sandbox.world import World

Do = Callable[[World, str, Row], Row]


class Route(NamedTuple):
    """One address: how its parameters are checked, what is done.

    `keeps_refusals`: its errors depend on the state of things, not on the parameters, so they are
    results that an idempotency key keeps. `public`: the buyer's browser may call it.
    """

    method: str
    path: tuple[str, ...]
    form: Kind
    do: Do
    keeps_refusals: bool = False
    public: bool = False


def _retrieve(kind: str, name: str | None = None) -> Do:
    def do(world: World, id_: str, given: Row) -> Row:
        row = world.state.get(kind, id_)
        if row is None:
            raise missing(name or kind, id_)
        return listing.expand(world, row, given.get("expand", []))

    return do


def _list(kind: str, url: str) -> Do:
    return lambda world, _, given: listing.list_rows(world, kind, given, url)


def _event(world: World, id_: str, given: Row) -> Row:
    row = world.state.get("event", id_)
    if row is None or row["listed_from"] > world.clock.now():
        raise missing("event", id_)
    return listing.expand(world, render_event(row), given.get("expand", []))


def _shown(make: Callable[[World, Row], Row]) -> Do:
    return lambda world, _, given: listing.expand(
        world, make(world, given), given.get("expand", [])
    )


def _expire(world: World, id_: str, given: Row) -> Row:
    return listing.expand(world, sessions.expire_session(world, id_), given.get("expand", []))


def _lines(world: World, id_: str, given: Row) -> Row:
    sessions.find_session(world, id_)
    return listing.list_lines(world, id_, given)


def _update_session(world: World, id_: str, given: Row) -> Row:
    row = sessions.find_session(world, id_)
    if "metadata" in given:
        merged = {**row["metadata"], **given["metadata"]} if given["metadata"] else {}
        row = {**row, "metadata": {name: value for name, value in merged.items() if value}}
        world.state.put("session", id_, row)
    return listing.expand(world, row, given.get("expand", []))


def _update_refund(world: World, id_: str, given: Row) -> Row:
    row = world.state.get("refund", id_)
    if row is None:
        raise missing("refund", id_)
    if "metadata" in given:
        merged = {**row["metadata"], **given["metadata"]} if given["metadata"] else {}
        row = {**row, "metadata": {name: value for name, value in merged.items() if value}}
        world.state.put("refund", id_, row)
    return listing.expand(world, row, given.get("expand", []))


_CONFIRM = Hash(
    {
        "payment_method": Text(100),
        "email": Mail(),
        "name": Text(200),
        "country": Text(2),
        "expected_amount": Integer(0),
        "three_d_secure": Choice("approve", "fail"),
        "key": Text(255),
        "expand": listing.EXPAND,
    }
)


def _confirm(world: World, id_: str, given: Row) -> Row:
    session = sessions.find_session(world, id_)
    expected = given.get("expected_amount", session["amount_total"])
    if expected != session["amount_total"]:
        raise Refusal("The amount expected differs from the Checkout Session's amount.",
                               param="expected_amount")  # fmt: skip
    means = cards.find_means(given.get("payment_method", "pm_card_visa"))
    buyer = cards.Buyer(given.get("email") or session["customer_email"] or "stripe@example.com",
                           given.get("name"), given.get("country"))  # fmt: skip
    row = payments.confirm_session(world, id_, means, buyer, given.get("three_d_secure"))
    return listing.expand(world, row, given.get("expand", []))


_CHECKOUT = ("v1", "checkout", "sessions")
_UPDATE = Hash({"metadata": Metadata(), "expand": listing.EXPAND})


def _read(kind: str, url: str, name: str | None = None) -> list[Route]:
    path = tuple(url.strip("/").split("/"))
    return [
        Route("GET", path, listing.FORMS[kind], _list(kind, url)),
        Route("GET", (*path, "*"), listing.RETRIEVE, _retrieve(kind, name)),
    ]


ROUTES = [
    Route("POST", _CHECKOUT, SESSION, _shown(sessions.create_session)),
    *_read("session", "/v1/checkout/sessions", "checkout.session"),
    Route("POST", (*_CHECKOUT, "*"), _UPDATE, _update_session),
    Route("GET", (*_CHECKOUT, "*", "line_items"), listing.LINES, _lines),
    Route("POST", (*_CHECKOUT, "*", "expire"), listing.RETRIEVE, _expire, keeps_refusals=True),
    Route("POST", ("v1", "payment_pages", "*", "confirm"), _CONFIRM, _confirm,
          keeps_refusals=True, public=True),
    Route("POST", ("v1", "tax_rates"), rates.CREATE, _shown(rates.create_rate)),
    Route("POST", ("v1", "tax_rates", "*"), rates.UPDATE, rates.update_rate),
    *_read("tax_rate", "/v1/tax_rates", "tax rate"),
    *_read("payment_intent", "/v1/payment_intents"),
    *_read("charge", "/v1/charges"),
    Route("POST", ("v1", "refunds"), refunds.CREATE, _shown(refunds.create_refund),
          keeps_refusals=True),
    Route("POST", ("v1", "refunds", "*"), _UPDATE, _update_refund),
    *_read("refund", "/v1/refunds"),
    *_read("dispute", "/v1/disputes"),
    *_read("balance_transaction", "/v1/balance_transactions", "balance transaction"),
    Route("GET", ("v1", "events"), listing.FORMS["event"], _list("event", "/v1/events")),
    Route("GET", ("v1", "events", "*"), listing.RETRIEVE, _event),
    *_read("webhook_endpoint", "/v1/webhook_endpoints", "webhook endpoint"),
    Route("POST", ("v1", "webhook_endpoints"), webhooks.CREATE,
          lambda world, _, given: webhooks.create_endpoint(world, given)),
    Route("POST", ("v1", "webhook_endpoints", "*"), webhooks.UPDATE, webhooks.update_endpoint),
    Route("DELETE", ("v1", "webhook_endpoints", "*"), Hash({}),
          lambda world, id_, _: webhooks.delete_endpoint(world, id_)),
    Route("GET", ("v1", "balance"), listing.RETRIEVE,
          lambda world, _, given: listing.expand(world, charges.balance(world),
                                                 given.get("expand", []))),
]  # fmt: skip
_BY_LENGTH: dict[tuple[str, int], list[Route]] = {}
for _route in ROUTES:
    _BY_LENGTH.setdefault((_route.method, len(_route.path)), []).append(_route)


def find_route(method: str, path: str) -> tuple[Route, str] | None:
    """The route of an address and the id in it; None when there is none."""
    parts = path.strip("/").split("/")
    for route in _BY_LENGTH.get((method, len(parts)), ()):
        id_ = ""
        for wanted, part in zip(route.path, parts, strict=True):
            if wanted == "*":
                id_ = part
            elif wanted != part:
                break
        else:
            return route, id_
    return None
