"""Requests against the schema of the SDK's parameters, in the very bytes the SDK sends."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import stripe

from tests.support.sdk_schema import SchemaMismatch, decode_form, validate_request

Params = dict[str, Any]
SESSIONS = "/v1/checkout/sessions"


class Recorder(stripe.HTTPClient):
    """A transport that keeps what the SDK would send; the SDK takes one from its user."""

    name = "recorder"

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str, bytes]] = []

    def request(
        self, method: str, url: str, headers: Any, post_data: Any = None, *, _usage: Any = None
    ) -> tuple[str, int, dict[str, str]]:
        path, _, query = url.removeprefix("https://api.stripe.com").partition("?")
        self.sent.append((method, path, (post_data or query).encode()))
        return json.dumps({"id": "x_1", "object": "x"}), 200, {}


def as_sent(call: Callable[[stripe.StripeClient], object]) -> tuple[str, str, Params]:
    """Return method, path and decoded parameters of one call of the official SDK."""
    recorder = Recorder()
    call(stripe.StripeClient("sk_test_1", http_client=recorder))
    [(method, path, body)] = recorder.sent
    return method, path, decode_form(body)


def a_line(**changes: Any) -> Params:
    return {
        "price_data": {
            "currency": "eur",
            "unit_amount": 1250,
            "tax_behavior": "inclusive",
            "product_data": {"name": "Crémant d’Alsace", "metadata": {"sku": "0"}},
        },
        "quantity": 2,
        "tax_rates": ["txr_1"],
        **changes,
    }


def a_request(**changes: Any) -> Params:
    """Return the parameters of a session as this shop opens one."""
    return {
        "mode": "payment",
        "line_items": [a_line(), a_line(quantity=1)],
        "success_url": "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://shop.example/cart",
        "client_reference_id": "65f0c0ffee65f0c0ffee0001",
        "metadata": {"command": "65f0c0ffee65f0c0ffee0001"},
        "payment_intent_data": {"metadata": {"command": "65f0c0ffee65f0c0ffee0001"}},
        "customer_email": "ada@example.com",
        "locale": "fr",
        "expires_at": 1_795_000_000,
        "automatic_tax": {"enabled": False},
        "adaptive_pricing": {"enabled": False},
        "expand": ["line_items", "payment_intent.latest_charge"],
        **changes,
    }


def changed(path: str, value: Any) -> Params:
    """Return `a_request` with one value replaced or added, e.g. `line_items.0.quantity`."""
    request = deepcopy(a_request())
    *parents, leaf = path.split(".")
    node: Any = request
    for step in parents:
        node = node[int(step) if step.isdecimal() else step]
    node[leaf] = value
    return request


def test_our_session_request_passes_in_the_bytes_the_sdk_sends() -> None:
    method, path, params = as_sent(lambda client: client.v1.checkout.sessions.create(a_request()))  # type: ignore[arg-type]
    assert (method, path) == ("post", SESSIONS)
    assert params["line_items"][0]["price_data"]["unit_amount"] == "1250"
    assert params["automatic_tax"] == {"enabled": "false"}
    validate_request(method, path, params)


def test_our_session_request_passes_before_its_encoding() -> None:
    validate_request("POST", SESSIONS, a_request())


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("payment_method_types", ["card"], "payment_method_types"),
        ("idempotency_key", "k", "idempotency_key"),
        ("line_items.0.price_data.colour", "red", "$.line_items[0].price_data"),
        ("line_items.1.amount", 1250, "$.line_items[1]"),
        ("payment_intent_data.client_reference_id", "x", "$.payment_intent_data"),
        ("mode", "pay", "$.mode"),
        ("locale", "xx", "$.locale"),
        ("ui_mode", "hosted", "$.ui_mode"),
        ("line_items.0.price_data.tax_behavior", "none", ".tax_behavior"),
        ("expires_at", "soon", "$.expires_at"),
        ("expires_at", "1795000000.5", "$.expires_at"),
        ("line_items.0.quantity", True, "$.line_items[0].quantity"),
        ("line_items.0.price_data.unit_amount", "12,50", ".unit_amount"),
        ("line_items.0.tax_rates", "txr_1", "$.line_items[0].tax_rates"),
        ("line_items", {"price": "price_1"}, "$.line_items"),
        ("automatic_tax", "false", "$.automatic_tax"),
        ("automatic_tax", {}, "enabled"),
        ("automatic_tax.enabled", "False", "$.automatic_tax.enabled"),
        ("customer_email", "", "$.customer_email"),
        ("client_reference_id", 42, "$.client_reference_id"),
        ("success_url", None, "$.success_url"),
        ("metadata", "", "$.metadata"),
        ("metadata", {"command": {"id": "1"}}, "$.metadata.command"),
    ],
)
def test_a_request_stripe_would_refuse_fails_and_says_where(
    path: str, value: Any, where: str
) -> None:
    with pytest.raises(SchemaMismatch) as failure:
        validate_request("POST", SESSIONS, changed(path, value))
    assert where in str(failure.value)


@pytest.mark.parametrize(
    ("path", "most", "too_much"),
    [
        ("client_reference_id", "x" * 200, "x" * 201),
        ("line_items", [a_line()] * 100, [a_line()] * 101),
        ("metadata", {f"k{n}": "v" for n in range(50)}, {f"k{n}": "v" for n in range(51)}),
        ("metadata", {"k" * 40: "v"}, {"k" * 41: "v"}),
        ("metadata", {"k": "é" * 500}, {"k": "é" * 501}),
        ("payment_intent_data.metadata", {"k": ""}, {"k": "v" * 501}),
    ],
)
def test_the_documented_limits_hold_to_the_character(path: str, most: Any, too_much: Any) -> None:
    validate_request("POST", SESSIONS, changed(path, most))
    with pytest.raises(SchemaMismatch):
        validate_request("POST", SESSIONS, changed(path, too_much))


def test_a_missing_required_parameter_fails() -> None:
    request = a_request()
    del request["line_items"][0]["price_data"]["product_data"]["name"]
    with pytest.raises(SchemaMismatch, match="name"):
        validate_request("POST", SESSIONS, request)


CALLS: list[Callable[[stripe.StripeClient], object]] = [
    lambda c: c.v1.checkout.sessions.expire("cs_1"),
    lambda c: c.v1.checkout.sessions.retrieve("cs_1", {"expand": ["payment_intent"]}),
    lambda c: c.v1.checkout.sessions.list({"created": {"gte": 1, "lt": 2}, "limit": 100}),
    lambda c: c.v1.checkout.sessions.line_items.list("cs_1", {"limit": 100}),
    lambda c: c.v1.tax_rates.create(
        {"display_name": "TVA", "percentage": 5.5, "inclusive": True, "country": "FR"}
    ),
    lambda c: c.v1.tax_rates.update("txr_1", {"active": False}),
    lambda c: c.v1.refunds.create({"payment_intent": "pi_1", "amount": 1, "metadata": {"a": "b"}}),
    lambda c: c.v1.events.list({"created": {"gt": 5}, "types": ["charge.refunded"]}),
    lambda c: c.v1.events.list({"created": 5, "delivery_success": False}),
    lambda c: c.v1.webhook_endpoints.create(
        {
            "url": "https://shop.example/stripe",
            "enabled_events": ["*"],
            "api_version": "2026-10-28.endive",
        }
    ),
    lambda c: c.v1.webhook_endpoints.delete("we_1"),
    lambda c: c.v1.payment_intents.retrieve("pi_1", {"expand": ["latest_charge"]}),
    lambda c: c.v1.payment_intents.search({"query": "status:'succeeded'"}),
    lambda c: c.v1.charges.list({"payment_intent": "pi_1"}),
    lambda c: c.v1.balance.retrieve(),
]


@pytest.mark.parametrize("call", CALLS)
def test_every_call_of_a_shop_passes_and_no_call_takes_an_unknown_key(
    call: Callable[[stripe.StripeClient], object],
) -> None:
    method, path, params = as_sent(call)
    validate_request(method, path, params)
    with pytest.raises(SchemaMismatch, match="no_such_key"):
        validate_request(method, path, {**params, "no_such_key": "1"})


@pytest.mark.parametrize(
    ("method", "path", "params"),
    [
        ("GET", "/v1/events", {"created": {"since": "5"}}),
        ("POST", "/v1/tax_rates", {"display_name": "TVA", "percentage": "20"}),
        ("POST", "/v1/tax_rates/txr_1", {"percentage": "20"}),
        ("POST", "/v1/refunds", {"payment_intent": "pi_1", "reason": "regret"}),
        ("POST", "/v1/webhook_endpoints", {"url": "https://shop.example", "enabled_events": ["x"]}),
    ],
)
def test_other_endpoints_are_as_strict(method: str, path: str, params: Params) -> None:
    with pytest.raises(SchemaMismatch):
        validate_request(method, path, params)


def test_an_empty_text_unsets_only_what_can_be_unset() -> None:
    for description in ("", "The shop"):
        validate_request("POST", "/v1/webhook_endpoints/we_1", {"description": description})
    with pytest.raises(SchemaMismatch, match=r"\$\.url"):
        validate_request("POST", "/v1/webhook_endpoints/we_1", {"url": ""})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", SESSIONS),
        ("GET", f"{SESSIONS}/cs_1/expire"),
        ("POST", f"{SESSIONS}/cs_1/expire/now"),
        ("POST", "/v1/payment_pages/cs_1/confirm"),
    ],
)
def test_an_endpoint_the_sdk_lacks_fails(method: str, path: str) -> None:
    with pytest.raises(SchemaMismatch, match="the SDK has no"):
        validate_request(method, path, {})
