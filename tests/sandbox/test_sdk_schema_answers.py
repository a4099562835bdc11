"""Answers against the schema of the SDK's resource classes."""

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from stripe._object_classes import OBJECT_CLASSES

from tests.support.sdk_schema import SchemaMismatch, validate_error, validate_object
from tests.support.sdk_schema.examples import Json, a_list, a_session, an_event

Steps = tuple[str | int, ...]

# What the example shows though it is not always sent; taking one of these away must pass.
FREE = {
    ("line_items",),
    ("phone_number_collection",),
    ("total_details", "breakdown"),
    ("line_items", "data", 0, "taxes"),
    ("payment_method_options", "card"),
    ("payment_method_options", "card", "setup_future_usage"),
    ("custom_fields", 0, "text"),
}


def places(value: Any, steps: Steps = ()) -> Iterator[Steps]:
    """Walk every key and index, but not into metadata, whose keys are ours."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in items:
        yield (*steps, step)
        if isinstance(inner, dict | list) and step != "metadata":
            yield from places(inner, (*steps, step))


def at(document: Json, steps: Steps) -> Any:
    node: Any = document
    for step in steps:
        node = node[step]
    return node


def refused(document: Json) -> str:
    with pytest.raises(SchemaMismatch) as failure:
        validate_object(document)
    return str(failure.value)


@cache
def keys_of_a_session() -> list[Steps]:
    return [steps for steps in places(a_session()) if isinstance(steps[-1], str)]


def named(steps: Steps) -> str:
    return ".".join(map(str, steps))


def test_a_realistic_session_passes() -> None:
    validate_object(a_session())


@pytest.mark.parametrize("steps", keys_of_a_session(), ids=named)
def test_a_key_that_stripe_always_sends_cannot_be_missing(steps: Steps) -> None:
    session = a_session()
    del at(session, steps[:-1])[steps[-1]]
    if steps in FREE:
        validate_object(session)
    else:
        assert str(steps[-1]) in refused(session)


@pytest.mark.parametrize("steps", [(), *places(a_session())], ids=named)
def test_no_value_can_be_something_else_altogether(steps: Steps) -> None:
    session = a_session()
    if not steps or isinstance(at(session, steps), dict):
        at(session, steps)["no_such_key"] = {}
    else:
        at(session, steps[:-1])[steps[-1]] = {"no_such_key": [[]]}
    refused(session)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", None),
        ("created", "1795000000"),
        ("amount_total", "2500"),
        ("amount_total", 25.5),
        ("livemode", 0),
        ("status", "completed"),
        ("payment_status", None),
        ("locale", "xx"),
        ("payment_method_types", "card"),
        ("phone_number_collection", None),
        ("payment_intent", {"object": "charge"}),
        ("metadata", {"attempt": 1}),
        ("metadata", {"k": "v" * 501}),
        ("client_reference_id", "x" * 201),
    ],
)
def test_a_wrong_value_fails_at_its_place(path: str, value: Any) -> None:
    assert f"$.{path}" in refused(a_session() | {path: value})


def test_resources_inside_are_held_to_their_own_schema() -> None:
    session = a_session()
    del session["line_items"]["data"][0]["price"]["unit_amount"]
    assert "$.line_items.data[0].price:" in refused(session)
    assert "$.data.object.line_items.data[0].price:" in refused(an_event(session))
    assert "$.data[1].line_items.data[0].price:" in refused(
        a_list("/v1/checkout/sessions", a_session(), session)
    )


def test_events_lists_and_deleted_objects_pass() -> None:
    validate_object(an_event(a_session()))
    validate_object(a_list("/v1/checkout/sessions", a_session()))
    validate_object({"id": "we_1", "object": "webhook_endpoint", "deleted": True})


@pytest.mark.parametrize(
    "answer",
    [
        {"id": "x_1"},
        {"object": "checkout.sessions"},
        an_event(a_session()) | {"type": "checkout.session.paid"},
        an_event({"object": "nothing"}),
        a_list("/v1/events", {"id": "evt_1"}),
        {"id": "we_1", "object": "webhook_endpoint", "deleted": False},
        {"id": "we_1", "object": "webhook_endpoint", "deleted": True, "url": "https://x.example"},
    ],
)
def test_what_is_no_answer_of_stripe_fails(answer: Json) -> None:
    refused(deepcopy(answer))


def test_an_error_answer_passes_and_a_made_up_one_fails() -> None:
    error = {"type": "invalid_request_error", "code": "resource_missing", "message": "No such …"}
    validate_error({"error": error})
    for wrong in ({"code": "lost"}, {"type": "oops"}, {"detail": "…"}, {"message": None}):
        with pytest.raises(SchemaMismatch, match=r"\$\.error"):
            validate_error({"error": error | wrong})


@pytest.mark.parametrize("name", sorted(set(OBJECT_CLASSES) - {"search_result"}))
def test_every_resource_of_the_sdk_has_a_schema(name: str) -> None:
    assert "is not what the SDK describes" in refused({"object": name, "no_such_key": 1})
