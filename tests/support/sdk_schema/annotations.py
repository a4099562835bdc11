"""From the SDK's annotations to JSON Schema: parameters as sent, resources as answered."""

import ast
import types
import typing
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import stripe
import typing_extensions
from stripe._request_options import RequestOptions
from stripe._stripe_object import UntypedStripeObject

from .presence import rule_for

Schema = dict[str, Any]

# What a form can say for each scalar: everything arrives as text. An empty string is how Stripe
# unsets a value, and an error where the annotation has no `Literal[""]`.
SENT: dict[object, Schema] = {
    bool: {"enum": [True, False, "true", "false"]},
    int: {"type": ["integer", "string"], "pattern": r"^-?[0-9]+$"},
    float: {"type": ["number", "string"], "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
    Decimal: {"type": ["number", "string"], "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
    str: {"type": ["string"], "minLength": 1},
}
ANSWERED: dict[object, Schema] = {
    bool: {"type": ["boolean"]},
    int: {"type": ["integer"]},
    float: {"type": ["number"]},
    Decimal: {"type": ["string"], "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
    str: {"type": ["string"]},
    type(None): {"type": ["null"]},
}
UNIONS = (typing.Union, types.UnionType)
# The SDK has no lengths; these are the documented limits of what we send and get back.
LIMITS: dict[str, Schema] = {
    "metadata": {
        "maxProperties": 50,
        "propertyNames": {"minLength": 1, "maxLength": 40},
        "additionalProperties": {"maxLength": 500},
    },
    "client_reference_id": {"maxLength": 200},
    "line_items": {"maxItems": 100},
}


def schema_of_params(params: type | None) -> Schema:
    """Return the schema of a request's parameters, after or before their form encoding."""
    return _typed_dict(params) if params is not None else {"type": ["object"], "maxProperties": 0}


def schema_of_resource(resource: type, path: str) -> Schema:
    """Return the schema of an answered object; `path` is where `presence` looks it up.

    Another resource inside it is only held to be an object of that kind: it has a schema of its
    own, and the caller walks on to it.
    """
    if resource is stripe.ListObject:
        return _listing(_a_resource(()))
    full = _inner_object(resource, path)
    if full["properties"].pop("deleted", None) is None:
        return full
    # The SDK folds what remains of a deleted object into the class of the living one.
    full["required"].remove("deleted")
    stub = {
        "id": {"type": "string"},
        "object": full["properties"]["object"],
        "deleted": {"enum": [True]},
    }
    tombstone = _object(stub, list(stub))
    return {"if": {"required": ["deleted"]}, "then": tombstone, "else": full}


def _typed_dict(params: type) -> Schema:
    required: frozenset[str] = params.__required_keys__  # type: ignore[attr-defined]
    keys = _annotations(params)
    properties = {key: _limited(key, _sent(annotation)) for key, annotation in keys.items()}
    return _object(properties, [key for key in properties if key in required])


def _inner_object(resource: type, path: str) -> Schema:
    rule, properties, required = rule_for(path), {}, []
    for key, annotation in _annotations(resource).items():
        if typing.get_origin(annotation) is typing.ClassVar:
            continue
        optional = type(None) in typing.get_args(annotation)
        by_star = optional and "*" in rule and f"-{key}" not in rule
        given = annotation
        if key in rule or by_star:
            given = _without_none(annotation)
        elif f"{key}?" not in rule:
            required.append(key)
        properties[key] = _limited(key, _answered(given, f"{path}.{key}"))
    return _object(properties, required)


def _sent(annotation: Any) -> Schema:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if (plain := _plain(annotation, SENT, _sent)) is not None:
        return plain
    if origin in UNIONS:
        return _either([_sent(branch) for branch in arguments])
    if origin in (dict, UntypedStripeObject):
        # Values may be empty here: that is how one key of metadata is unset.
        value = {"type": ["string"]} if arguments[-1] is str else _sent(arguments[-1])
        return {"type": ["object"], "additionalProperties": value}
    if typing_extensions.is_typeddict(annotation):
        return _typed_dict(annotation)
    raise TypeError(f"no schema for the parameter annotation {annotation!r}")


def _answered(annotation: Any, path: str) -> Schema:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if (plain := _plain(annotation, ANSWERED, lambda inner: _answered(inner, path))) is not None:
        return plain
    if origin in UNIONS:
        resources = tuple(branch for branch in arguments if _is_resource(branch))
        others = [_answered(branch, path) for branch in arguments if branch not in resources]
        return _either([*others, _a_resource(resources)] if resources else others)
    if origin is stripe.ListObject:
        return _listing(_answered(arguments[0], path))
    if origin in (dict, UntypedStripeObject):
        return {"type": ["object"], "additionalProperties": _answered(arguments[-1], path)}
    if _is_resource(annotation):
        return _a_resource((annotation,))
    if isinstance(annotation, type) and issubclass(annotation, stripe.StripeObject):
        return _inner_object(annotation, path)
    raise TypeError(f"no schema for the annotation {annotation!r} at {path}")


def _plain(
    annotation: Any, scalars: dict[object, Schema], recur: Callable[[Any], Schema]
) -> Schema | None:
    """Translate what reads the same in both directions."""
    if annotation in scalars:
        return scalars[annotation]
    if annotation is Any:
        return {}
    if typing.get_origin(annotation) is typing.Literal:
        return {"enum": list(typing.get_args(annotation))}
    if typing.get_origin(annotation) is list:
        return {"type": ["array"], "items": recur(typing.get_args(annotation)[0])}
    return None


def _either(branches: list[Schema]) -> Schema:
    """Join the branches of a Union so that a mismatch is blamed on the branch that was meant."""
    literals = [value for branch in branches for value in branch.get("enum", [])]
    typed = [branch for branch in branches if "type" in branch]
    strings = [branch for branch in typed if branch["type"] == ["string"]]
    if strings and literals == [""]:
        # "unset, or any text": the empty string is welcome.
        typed = [*(branch for branch in typed if branch not in strings), {"type": ["string"]}]
        literals = []
    elif strings and literals:
        # The SDK leaves every list of values open (`Literal[…] | str`); we close it.
        typed = [branch for branch in typed if branch not in strings]
    merged: Schema = {"type": []}
    # `Dict[str, str] | UntypedStripeObject[str]` says one thing twice.
    for branch in [branch for i, branch in enumerate(typed) if branch not in typed[:i]]:
        if set(branch["type"]) & set(merged["type"]):
            return {"anyOf": branches}
        # Sound because each keyword speaks about one type only.
        merged = merged | branch | {"type": [*merged["type"], *branch["type"]]}
    if not literals:
        return merged
    if set(merged["type"]) <= {"null"}:
        return {"enum": [*literals, *([None] if merged["type"] else [])]}
    if "string" in merged["type"]:
        return {"anyOf": [{"enum": literals}, merged]}
    return {"if": {"type": "string"}, "then": {"enum": literals}, "else": merged}


def _object(properties: dict[str, Schema], required: list[str]) -> Schema:
    return {
        "type": ["object"],
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _listing(item: Schema) -> Schema:
    properties: dict[str, Schema] = {
        "object": {"enum": ["list"]},
        "data": {"type": ["array"], "items": item},
        "has_more": {"type": ["boolean"]},
        "url": {"type": ["string"]},
    }
    return _object(properties, list(properties))


def _a_resource(classes: tuple[Any, ...]) -> Schema:
    names = [branch.OBJECT_NAME for branch in classes]
    kind: Schema = {"enum": names} if names else {"type": ["string"]}
    return {"type": ["object"], "required": ["object"], "properties": {"object": kind}}


def _is_resource(annotation: Any) -> bool:
    return isinstance(annotation, type) and hasattr(annotation, "OBJECT_NAME")


def _limited(key: str, schema: Schema) -> Schema:
    return {"allOf": [schema, LIMITS[key]]} if key in LIMITS else schema


def _without_none(annotation: Any) -> Any:
    kept = tuple(part for part in typing.get_args(annotation) if part is not type(None))
    return typing.Union[kept] if kept else annotation  # noqa: UP007 - built at run time


def _annotations(owner: type) -> dict[str, Any]:
    """Resolve a class's own annotations, names that only type checkers import included."""
    # `api_key`, `idempotency_key` … are inherited by the parameters, but travel as headers.
    inherited = RequestOptions.__annotations__ if typing_extensions.is_typeddict(owner) else {}
    own = {
        key: annotation
        for key, annotation in owner.__annotations__.items()
        if key not in inherited and not key.startswith("_")
    }
    bare = types.SimpleNamespace(__annotations__=own)
    return typing_extensions.get_type_hints(bare, _namespace(owner.__module__), dict(vars(owner)))


@cache
def _namespace(module_name: str) -> dict[str, Any]:
    module = import_module(module_name)
    names = dict(vars(module))
    assert module.__file__ is not None
    for block in ast.parse(Path(module.__file__).read_text("utf-8")).body:
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING":
            for line in block.body:
                # Parameters never appear in an answer, and are the bulk of the SDK.
                if isinstance(line, ast.ImportFrom) and ".params" not in (line.module or ""):
                    source = import_module(line.module or "")
                    names |= {a.asname or a.name: getattr(source, a.name) for a in line.names}
    return names
