"""The way back from the form encoding in which the SDK sends parameters."""

import re
from typing import Any
from urllib.parse import parse_qsl

from .mismatch import SchemaMismatch

KEY = re.compile(r"(?P<name>[^\[\]]+)(?P<rest>(?:\[[^\[\]]+\])*)")


def decode_form(body: bytes) -> dict[str, Any]:
    """Turn `line_items[0][quantity]=2` into `{"line_items": [{"quantity": "2"}]}`.

    Every value stays a string, because a form has no other type; a query string decodes the same
    way. Maps whose keys are 0, 1, 2 … become lists, except `metadata`, where such keys are ours.
    Raises `SchemaMismatch` on a malformed, repeated or contradictory key and on a gap in a list.
    Source: `stripe._encode._api_encode`, which always writes indexes.
    """
    tree: dict[str, Any] = {}
    pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body))
    for key, value in pairs:
        match = KEY.fullmatch(key)
        if match is None:
            raise SchemaMismatch(f"{key!r} is no key of the SDK's form encoding")
        *parents, leaf = [match["name"], *re.findall(r"\[([^\[\]]+)\]", match["rest"])]
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise SchemaMismatch(f"{key!r} goes into {parent!r}, which has a value already")
        if leaf in node:
            raise SchemaMismatch(f"{key!r} is given twice")
        node[leaf] = value
    return {key: _listed(value, key) for key, value in tree.items()}


def _listed(value: Any, key: str) -> Any:
    """Replace maps of consecutive indexes by lists, from the inside out."""
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(item, name) for name, item in value.items()}
    if key == "metadata" or not all(name.isdecimal() for name in inner):
        return inner
    try:
        return [inner[str(index)] for index in range(len(inner))]
    except KeyError as gap:
        raise SchemaMismatch(f"the list {key!r} has no item {gap}") from None
