"""Which parameters an endpoint takes, read from the SDK's own service classes."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import stripe

from .mismatch import SchemaMismatch


class Endpoint(NamedTuple):
    """One call of the SDK: `params` is its TypedDict, or None when it takes no parameters."""

    method: str
    template: str
    params: type | None


def find_endpoint(method: str, path: str) -> Endpoint:
    """Return the endpoint behind a method and a path; raises `SchemaMismatch` when none is."""
    # A literal segment (`/search`) wins over a placeholder (`/{intent}`).
    matching = sorted(
        (endpoint.template.count("{"), endpoint.template)
        for endpoint in _endpoints(_family(path)).values()
        if endpoint.method == method.upper() and _pattern(endpoint.template).fullmatch(path)
    )
    if not matching:
        raise SchemaMismatch(f"the SDK has no {method.upper()} {path}")
    return _endpoints(_family(path))[method.upper(), matching[0][1]]


def _family(path: str) -> str:
    return "/".join(path.split("/")[:3])


@cache
def _pattern(template: str) -> re.Pattern[str]:
    literal = (re.escape(part) for part in re.split(r"\{\w+\}", template))
    return re.compile("[^/]+".join(literal))


@cache
def _endpoints(family: str) -> dict[tuple[str, str], Endpoint]:
    """Read the endpoints below e.g. `/v1/checkout` from the services that mention it."""
    found = {}
    for file in Path(stripe.__file__).parent.rglob("_*_service.py"):
        source = file.read_text("utf-8")
        if f'"{family}' in source:
            for endpoint in _read_service(ast.parse(source)):
                found[endpoint.method, endpoint.template] = endpoint
    return found


def _read_service(tree: ast.Module) -> Iterator[Endpoint]:
    modules = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = [
            node.value
            for argument in function.args.args
            if argument.arg == "params" and argument.annotation is not None
            for node in ast.walk(argument.annotation)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        params = getattr(import_module(modules[names[0]]), names[0]) if names else None
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "_request":
                method, template = (_text(argument) for argument in call.args[:2])
                yield Endpoint(method.upper(), template, params)


def _text(node: ast.expr) -> str:
    """Return the string an argument holds, whether plain or as `"…".format(…)`."""
    return next(
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )
