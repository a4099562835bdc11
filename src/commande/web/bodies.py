"""Request bodies: strict JSON, read once, never trusted."""

import asyncio
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request

from commande.errors import FieldError, InputInvalid

# Nobody needs more than {items: [{…}]}; what nests deeper is an attack on some parser.
DEEPEST: Final = 20
# A body of 64 KiB takes a second on the worst line; a client slower than this holds a socket.
PATIENCE: Final = 15.0


async def read_body(request: Request, patience: float = PATIENCE) -> bytes:
    """The raw body; the middleware limits its size. HTTPException 408 after so many seconds."""
    try:
        async with asyncio.timeout(patience):
            return await request.body()
    except TimeoutError:
        raise HTTPException(408, headers={"Connection": "close"}) from None


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object in the body. Raises InputInvalid, or HTTPException 415 for another type.

    Strict: UTF-8, no NaN or infinity, no lone surrogates, no NUL, at most 20 levels. Of repeated
    keys the last one counts.
    """
    if not _may_be_json(request.headers.get("content-type")):
        raise HTTPException(415)
    return parse_object(await read_body(request))


def _may_be_json(content_type: str | None) -> bool:
    """No type at all is taken for JSON; a form or text/plain, as browsers send freely, is not."""
    if not content_type:
        return True
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )


def parse_object(raw: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises InputInvalid, never quoting what was sent."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        where = f" (line {error.lineno}, column {error.colno})" if raw else ""
        detail = f"The body is not JSON in UTF-8{where}."
        raise InputInvalid(FieldError("", "invalid_json", detail)) from None
    if not isinstance(document, dict):
        raise InputInvalid(FieldError("", "invalid_type", "The body must be a JSON object."))
    _check_depth(document)
    if b"\\u0000" in raw:
        _refuse_nul(document, ())
    return document


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(DEEPEST):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    detail = f"The body is nested deeper than {DEEPEST} levels."
    raise InputInvalid(FieldError("", "too_deep", detail))


def _refuse_nul(value: Any, path: tuple[str, ...]) -> None:
    """PostgreSQL takes no NUL in texts, and nobody has one in a name."""
    if isinstance(value, str) and "\0" in value:
        detail = "The text holds a character that nobody types."
        raise InputInvalid(FieldError(".".join(path), "forbidden_character", detail))
    if isinstance(value, dict):
        for key, each in value.items():
            _refuse_nul(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _refuse_nul(each, (*path, str(index)))
