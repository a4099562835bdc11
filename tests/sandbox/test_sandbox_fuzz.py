"""Whatever comes, the stand-in answers: in Stripe's shapes, and never with a 500 of its own."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from commande.sandbox import Engine, StandingClock
from commande.sandbox.routes import ROUTES
from tests.support.sdk_schema import validate_error, validate_object
from tests.support.stand import KEY, a_line, an_order

HEADERS = {"authorization": f"Bearer {KEY}"}
texts = st.text(max_size=12) | st.sampled_from(
    ["", "0", "1", "-1", "true", "²", "٣", "eur", "1e9", "NaN", "9" * 40, "4242424242424242",
     "https://x.example/", "https://[", "a@b.fr", "cs_test_1", "pm_card_visa", "FR", "data"]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def ask(engine: Engine, method: str, path: str, params: dict[str, Any]) -> int:
    status, _, body = engine.handle(method, path, params, HEADERS)
    answer = orjson.loads(body)
    if status == 200:
        validate_object(answer)
    elif answer["error"].get("code") != "not_played_by_the_stand_in":
        validate_error(answer)
    assert status < 500
    return status


def names_of(route_number: int) -> list[str]:
    return sorted(getattr(ROUTES[route_number].form, "names", ()))


def a_used_account() -> tuple[Engine, list[str]]:
    """One paid and refunded order and one open one; every id that there is."""
    engine = Engine(clock=StandingClock(), seed=1, endpoints=[("http://shop.example/", "whsec_1")])
    for _ in range(2):
        ask(engine, "POST", "/v1/checkout/sessions", an_order())
    paid = next(iter(engine.state.rows["session"]))
    intent = engine.dashboard.pay(paid)["payment_intent"]
    engine.dashboard.refund(intent, 100)
    engine.dashboard.advance(60)
    ids = [id_ for rows in engine.state.rows.values() for id_ in rows]
    return engine, ids


PLAUSIBLE = [
    1, 10, "5", True, "false", "open", "charge.*", {"gte": 0}, {"lt": "9999999999"}, ["*"],
    "https://x.example/", {"k": "v"}, ["data.charge"], ["payment_intent.latest_charge.refunds"],
    ["line_items.data.taxes"], {"email": "a@b.fr"}, "TVA", 5.5, "requested_by_customer",
]  # fmt: skip


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_any_parameters_at_any_address_are_answered(data: st.DataObject) -> None:
    engine, ids = a_used_account()
    number = data.draw(st.integers(0, len(ROUTES) - 1))
    route = ROUTES[number]
    path = ["some_id" if part == "*" else part for part in route.path]
    if "some_id" in path:
        kind = [id_ for id_ in ids if any(id_.startswith(p) for p in PREFIXES.get(path[-2], ""))]
        path[path.index("some_id")] = data.draw(st.sampled_from(kind or ids) | texts)
    likely = st.sampled_from([*PLAUSIBLE, *ids])
    chosen = data.draw(st.lists(st.sampled_from(names_of(number) or ["x"]), max_size=3))
    params = {name: data.draw(likely | values if len(chosen) > 2 else likely) for name in chosen}
    ask(engine, route.method, "/" + "/".join(path), params)


PREFIXES = {
    "sessions": ["cs_"], "payment_pages": ["cs_"], "refunds": ["re_"], "charges": ["ch_"],
    "payment_intents": ["pi_"], "events": ["evt_"], "webhook_endpoints": ["we_"],
    "balance_transactions": ["txn_"],
}  # fmt: skip


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_an_order_with_anything_anywhere_is_answered(data: st.DataObject) -> None:
    engine = Engine(clock=StandingClock(), seed=1)
    order = an_order(metadata={"k": data.draw(texts)}, line_items=[a_line(), a_line()])
    price = order["line_items"][1]["price_data"]
    place: dict[str, Any] = data.draw(
        st.sampled_from([order, order["line_items"][1], price, price["product_data"]])
    )
    names = st.sampled_from([*sorted(place), "description", "locale", "customer_email"])
    place[data.draw(names)] = data.draw(values | st.sampled_from(PLAUSIBLE))
    ask(engine, "POST", "/v1/checkout/sessions", order)
    for row in list(engine.state.rows["session"]):
        for method in (data.draw(texts), "pm_card_visa"):
            ask(engine, "POST", f"/v1/payment_pages/{row}/confirm", {"payment_method": method})
