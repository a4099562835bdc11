"""/openapi.json and /docs: the API's description, for programs and for people.

The page is rendered here, so that it needs neither a script nor somebody else's server.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from commande.web.openapi import describe

_TICKS: Final = re.compile(r"`([^`]+)`")
_HERE: Final = Path(__file__).parent
# The page has one stylesheet of ours and nothing else.
_POLICY: Final = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"

pages: Final = APIRouter(include_in_schema=False)


@pages.get("/openapi.json")
async def openapi_json(request: Request) -> Response:
    """The description for programs. The server is wherever it was asked for."""
    document = describe(request.app) | {"servers": [{"url": request.scope.get("root_path") or "/"}]}
    return Response(orjson.dumps(document), media_type="application/json")


@pages.get("/docs")
async def docs(request: Request) -> Response:
    """The description for people."""
    document = describe(request.app)
    text = _template().render(api=document, groups=_groups(document), fields=_fields)
    return HTMLResponse(text, headers={"Content-Security-Policy": _POLICY})


@pages.get("/docs/reference.css")
async def style() -> Response:
    """The page's stylesheet."""
    return Response(_style(), media_type="text/css", headers={"Cache-Control": "max-age=3600"})


@cache
def _style() -> bytes:
    return (_HERE / "static" / "reference.css").read_bytes()


@cache
def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pretty"] = _pretty
    environment.filters["code"] = _code
    return environment.get_template("reference.html")


def _code(text: str) -> Markup:
    """Words between backticks as code."""
    return Markup(_TICKS.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 – escaped first


def _pretty(example: object) -> str:
    if isinstance(example, str):
        return example
    return orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()


def _groups(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The operations by tag, in the order of the routes."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            shown = operation | {"method": method.upper(), "path": path}
            groups.setdefault(operation["tags"][0], []).append(shown)
    return groups


def _fields(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The properties of an object, each with its kind in words."""
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "kind": _kind(each),
            "required": name in required,
            "description": each.get("description", ""),
        }
        for name, each in schema.get("properties", {}).items()
    ]


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words: "text", "list of Item", "number or null"."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(each) for each in schema["enum"])
    if "const" in schema:
        return str(orjson.dumps(schema["const"]).decode())
    if "allOf" in schema:
        return _kind(schema["allOf"][0])
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(str(_WORDS.get(each, each)) for each in kind)
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    words = str(schema.get("format") or _WORDS.get(kind, kind))
    least, most = schema.get("minLength"), schema.get("maxLength")
    return f"{words} of {least}–{most} characters" if least and most else words


_WORDS: Final = {"string": "text", "integer": "whole number"}
