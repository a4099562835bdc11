"""Stripe's contract as strict JSON Schema, derived from the annotations of the installed SDK.

What we send and what the stand-in answers is held against the SDK's own parameter TypedDicts and
resource classes, which Stripe generates from its OpenAPI description. Unknown keys, unknown
enumeration values (the SDK's `Literal[…] | str` is closed again), missing keys, wrong types and
misplaced nulls all raise `SchemaMismatch`, with the JSON path of every place.

Added where the SDK says nothing: metadata 50 keys of 40 and values of 500 characters,
`client_reference_id` 200, 100 line items, no empty string where a value cannot be unset; and
`presence.py`, which keys of an answer may be missing.

What it cannot see, and why:
- Other lengths and ranges (URLs, names, positive amounts, charge limits per currency): annotations
  carry none, and guessed ones would refuse what Stripe takes.
- Rules between fields (`expires_at` 30 min to 24 h ahead, a price *or* price_data, `cancel_url`
  only when hosted) and with the account's state: they need a clock or a shop, not a type.
- In a form, text that looks like a number is a number, and the reverse: forms have no types.
- 29.0 passes for an integer: JSON Schema counts by value.
- Whether an `expand` path exists, or was honoured: they are strings to the SDK.
- Presence follows the previous API version's typings (see `presence.py`), and resources without
  an entry there must show all their keys, which is stricter than Stripe.
- Undocumented endpoints (`/v1/payment_pages/…`) are unknown here, so they are refused.
- `previous_attributes` of an event is any object: it holds parts of resources.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

import jsonschema_rs
import stripe
from stripe._object_classes import OBJECT_CLASSES

from .annotations import schema_of_params, schema_of_resource
from .forms import decode_form
from .mismatch import SchemaMismatch, check, json_path
from .routes import find_endpoint

__all__ = ["SchemaMismatch", "decode_form", "validate_error", "validate_object", "validate_request"]

# Below these keys stand no whole resources: our own texts, and parts of changed objects.
NO_RESOURCES_BELOW = {"metadata", "previous_attributes"}


def validate_request(method: str, path: str, params: dict[str, Any]) -> None:
    """Check a request's parameters (body or query) against the SDK's, unknown keys refused.

    `path` is the whole API path, without host or query: `/v1/checkout/sessions/cs_1/expire`.
    `params` may come from `decode_form` (numbers and booleans as text) or be what the SDK is given.
    Raises `SchemaMismatch`, also when the SDK has no such endpoint.
    """
    endpoint = find_endpoint(method, path)
    what = f"{endpoint.method} {endpoint.template}"
    check(_params_validator(endpoint.params), params, what)


def validate_object(answer: dict[str, Any]) -> None:
    """Check an answer, by its `object` key, and every resource in it: list items, `event.data`.

    `answer` is plain JSON (`StripeObject.to_dict(for_json=True)`). Raises `SchemaMismatch`.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("object"), str):
        raise SchemaMismatch(f"$.object: a resource names its kind, this does not: {answer!r:.200}")
    _check_resources(answer)


def validate_error(body: dict[str, Any]) -> None:
    """Check the JSON body of an answer with a 4xx or 5xx status. Raises `SchemaMismatch`."""
    check(_error_validator(), body, "an error")
    _check_resources(body)


def _check_resources(answer: dict[str, Any]) -> None:
    for steps, resource in _resources(answer, ()):
        name = resource["object"]
        if name not in OBJECT_CLASSES:
            raise SchemaMismatch(f"{json_path(steps)}.object: the SDK knows no {name!r}")
        check(_resource_validator(name), resource, name, steps)


def _resources(
    value: Any, steps: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    if isinstance(value, dict):
        if isinstance(value.get("object"), str):
            yield steps, value
        for key, item in value.items():
            if key not in NO_RESOURCES_BELOW:
                yield from _resources(item, (*steps, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _resources(item, (*steps, index))


@cache
def _params_validator(params: type | None) -> Any:
    return jsonschema_rs.validator_for(schema_of_params(params))


@cache
def _resource_validator(name: str) -> Any:
    module, class_name = OBJECT_CLASSES[name]
    resource = getattr(import_module(module), class_name)
    return jsonschema_rs.validator_for(schema_of_resource(resource, name))


@cache
def _error_validator() -> Any:
    # The same description as an error answer's, but with its types and codes spelled out.
    error = schema_of_resource(stripe.PaymentIntent.LastPaymentError, "error")
    body = {"type": "object", "required": ["error"], "properties": {"error": error}}
    return jsonschema_rs.validator_for(body | {"additionalProperties": False})
