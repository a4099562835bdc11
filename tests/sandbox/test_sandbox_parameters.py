"""Strict parameters: what Stripe refuses, in Stripe's shapes."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from commande.sandbox.parameters import parse_form
from tests.support.stand import Stand, a_line, an_order


def changed(**changes: Any) -> dict[str, Any]:
    order = an_order(**changes)
    return {name: value for name, value in order.items() if value is not None}


def line_with(**changes: Any) -> dict[str, Any]:
    line = a_line()
    line["price_data"] = {
        name: value
        for name, value in {**line["price_data"], **changes}.items()
        if value is not None
    }
    return line


REFUSED: list[tuple[str, dict[str, Any], str | None, str | None]] = [
    ("an unknown parameter", changed(colour="red"), "parameter_unknown", "colour"),
    (
        "payment_method_types, which endive removed",
        changed(payment_method_types=["card"]),
        "parameter_unknown",
        "payment_method_types",
    ),
    (
        "an unknown nested parameter",
        changed(line_items=[line_with(colour="red")]),
        "parameter_unknown",
        "line_items[0][price_data][colour]",
    ),
    ("no mode", changed(mode=None), "parameter_missing", "mode"),
    ("no success_url", changed(success_url=None), "parameter_missing", "success_url"),
    ("no line", changed(line_items=None), "parameter_missing", "line_items"),
    ("101 lines", changed(line_items=[a_line() for _ in range(101)]), None, "line_items"),
    (
        "no quantity",
        changed(line_items=[{"price_data": a_line()["price_data"]}]),
        "parameter_missing",
        "line_items[0][quantity]",
    ),
    (
        "a quantity of zero",
        changed(line_items=[a_line(100, 0)]),
        "parameter_invalid_integer",
        "line_items[0][quantity]",
    ),
    (
        "half a unit",
        changed(line_items=[line_with(unit_amount="12.5")]),
        "parameter_invalid_integer",
        "line_items[0][price_data][unit_amount]",
    ),
    (
        "a negative amount",
        changed(line_items=[line_with(unit_amount=-1)]),
        "parameter_invalid_integer",
        "line_items[0][price_data][unit_amount]",
    ),
    (
        "no amount",
        changed(line_items=[line_with(unit_amount=None)]),
        "parameter_missing",
        "line_items[0][price_data][unit_amount]",
    ),
    (
        "two amounts",
        changed(line_items=[line_with(unit_amount_decimal="1")]),
        "parameters_exclusive",
        "line_items[0][price_data][unit_amount]",
    ),
    (
        "a product without a name",
        changed(line_items=[line_with(product_data={})]),
        None,
        None,
    ),
    (
        "an unknown currency",
        changed(line_items=[line_with(currency="xxx")]),
        None,
        "line_items[0][price_data][currency]",
    ),
    (
        "two currencies",
        changed(line_items=[a_line(), line_with(currency="usd")]),
        None,
        "line_items[1][price_data][currency]",
    ),
    ("under the minimum", changed(line_items=[a_line(49, 1)]), "amount_too_small", None),
    (
        "over twelve digits",
        changed(line_items=[a_line(999_999_999_999, 2)]),
        "amount_too_large",
        None,
    ),
    (
        "an unknown tax rate",
        changed(line_items=[a_line(tax_rates=["txr_nobody"])]),
        "resource_missing",
        "line_items[0][tax_rates][0]",
    ),
    (
        "a price this account does not have",
        changed(line_items=[{"price": "price_1", "quantity": 1}]),
        "resource_missing",
        "line_items[0][price]",
    ),
    ("a relative address", changed(success_url="/done"), "url_invalid", "success_url"),
    ("a script as address", changed(cancel_url="javascript:1"), "url_invalid", "cancel_url"),
    ("a broken mail address", changed(customer_email="a@b"), "email_invalid", "customer_email"),
    ("a long reference", changed(client_reference_id="x" * 201), None, "client_reference_id"),
    (
        "an empty reference",
        changed(client_reference_id=""),
        "parameter_invalid_empty",
        "client_reference_id",
    ),
    ("51 metadata", changed(metadata={f"k{n}": "v" for n in range(51)}), None, "metadata"),
    ("a long key", changed(metadata={"k" * 41: "v"}), None, f"metadata[{'k' * 41}]"),
    ("a long value", changed(metadata={"k": "v" * 501}), None, "metadata[k]"),
    ("metadata that is text", changed(metadata="text"), None, "metadata"),
    ("an unknown language", changed(locale="xx"), None, "locale"),
    ("a text as boolean", changed(automatic_tax={"enabled": "yes"}), None, None),
    (
        "a customer of another account",
        changed(customer="cus_1"),
        "resource_missing",
        "customer",
    ),
    ("lines that are text", changed(line_items="x"), None, "line_items"),
    (
        "a mode that the stand-in does not play",
        changed(mode="subscription"),
        None,
        "mode",
    ),
]


@pytest.mark.parametrize(("what", "params", "code", "param"), REFUSED, ids=lambda v: str(v)[:40])
def test_stripe_refuses(
    stand: Stand, what: str, params: dict[str, Any], code: str | None, param: str | None
) -> None:
    status, body, headers = stand.send("POST", "/v1/checkout/sessions", params)
    error = json.loads(body)["error"]
    assert status == 400, what
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert error["request_log_url"].endswith(headers["request-id"])
    if code:
        assert error["code"] == code
        assert error["doc_url"].endswith(code.replace("_", "-"))
    if param:
        assert error["param"] == param
    assert not stand.engine.state.rows["session"]


def test_the_control_of_these_refusals_passes(stand: Stand) -> None:
    assert stand.ask("POST", "/v1/checkout/sessions", an_order())[0] == 200


def test_the_limits_themselves_pass(stand: Stand) -> None:
    status, _ = stand.ask(
        "POST",
        "/v1/checkout/sessions",
        an_order(
            line_items=[a_line(50, 1) for _ in range(100)],
            client_reference_id="x" * 200,
            metadata={f"{n:040}": "v" * 500 for n in range(50)},
        ),
    )
    assert status == 200


@pytest.mark.parametrize(
    ("seconds", "fits"), [(1795, False), (1802, True), (86_399, True), (86_410, False)]
)
def test_expiry_lies_between_half_an_hour_and_a_day(stand: Stand, seconds: int, fits: bool) -> None:
    expires = stand.engine.world.now + seconds
    status, answer = stand.ask("POST", "/v1/checkout/sessions", an_order(expires_at=expires))
    assert (status == 200) == fits
    assert answer.get("expires_at") == (expires if fits else None)


@pytest.mark.parametrize(
    ("currency", "amount", "fits"),
    [
        ("EUR", 50, True),
        ("gbp", 30, True),
        ("gbp", 29, False),
        ("jpy", 50, True),
        ("jpy", 49, False),
        ("czk", 1499, False),
        ("huf", 17500, True),
        ("kwd", 1230, True),
        ("kwd", 1231, False),
        ("isk", 500, True),
        ("isk", 510, False),
    ],
)
def test_each_currency_has_its_smallest_charge_and_its_digits(
    stand: Stand, currency: str, amount: int, fits: bool
) -> None:
    line = line_with(currency=currency, unit_amount=amount) | {"quantity": 1}
    status, _ = stand.ask("POST", "/v1/checkout/sessions", an_order(line_items=[line]))
    assert (status == 200) == fits


def test_an_archived_tax_rate_is_refused(stand: Stand) -> None:
    rate = stand.v1.tax_rates.create({"display_name": "T", "percentage": 5.5, "inclusive": True})
    stand.v1.tax_rates.update(rate.id, {"active": False})
    order = an_order(line_items=[a_line(tax_rates=[rate.id])])
    assert stand.ask("POST", "/v1/checkout/sessions", order)[0] == 400
    assert [r.id for r in stand.v1.tax_rates.list({"active": False}).data] == [rate.id]
    status, error = stand.ask("POST", f"/v1/tax_rates/{rate.id}", {"percentage": 6})
    assert (status, error["error"]["code"]) == (400, "parameter_unknown")


def test_keys_are_test_keys(stand: Stand) -> None:
    for key, status in [
        ("", 401),
        ("Bearer sk_live_0123456789", 401),
        ("Bearer pk_test_0123456789", 401),
        ("Bearer nonsense", 401),
        ("Bearer rk_test_0123456789", 200),
        ("Basic c2tfdGVzdF8wMTIzOg==", 200),
    ]:
        answered, body, _ = stand.send("GET", "/v1/balance", Authorization=key)
        assert answered == status, key
        assert b"sk_live_0123456789" not in body


def test_an_unknown_address_is_a_404(stand: Stand) -> None:
    status, answer = stand.ask("GET", "/v1/nonsense")
    assert status == 404
    assert "Unrecognized request URL" in answer["error"]["message"]
    assert stand.ask("GET", "/v1/charges/ch_nobody")[1]["error"]["code"] == "resource_missing"


def test_another_version_of_the_api_is_refused(stand: Stand) -> None:
    _, _, headers = stand.send("GET", "/v1/balance", Stripe_Version="2026-10-28.endive")
    assert headers["stripe-version"] == "2026-10-28.endive"
    assert stand.send("GET", "/v1/balance", Stripe_Version="2025-03-31.basil")[0] == 400


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff=1",
        b"a[b=1&a=2&a[b][c]=3",
        b"[" * 5000,
        b"&".join([b"a=1"] * 20_000),
        b"\x00",
        b"mode=%ff",
    ],
)
def test_a_hostile_form_is_refused_and_nothing_breaks(stand: Stand, raw: bytes) -> None:
    request = urllib.request.Request(
        f"{stand.url}/v1/checkout/sessions", raw, {"Authorization": "Bearer sk_test_0123456789"}
    )
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request, timeout=10)
    with refusal.value:
        assert refusal.value.code == 400


def test_a_form_becomes_nested_parameters() -> None:
    assert parse_form("a[0][b]=1&a[1][b]=2&e[]=x&e[]=y&s=%7BID%7D") == {
        "a": {"0": {"b": "1"}, "1": {"b": "2"}},
        "e": ["x", "y"],
        "s": "{ID}",
    }
