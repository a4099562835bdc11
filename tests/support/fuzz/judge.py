"""Holds answers against what the server says of itself: never a 5xx, never another shape."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema_rs

from tests.support.fuzz.wire import Heard, Sent, Wire

API = Path(__file__).parents[3] / "docs" / "api.md"
PROBLEM = "application/problem+json"
NO_HTTP = b"Invalid HTTP request received."


def is_no_http(sent: Sent) -> bool:
    """Whether blanks in the target or control characters in a header make it no request at all."""
    texts = [value for _, value in sent.headers]
    return b" " in sent.target.encode() or any(
        (byte < 32 and byte != 9) or byte == 127 for text in texts for byte in text
    )


def is_page(sent: Sent, heard: Heard) -> bool:
    """Whether somebody who asked for a page, where pages are, was told so on a page."""
    wanted = (b"Accept", b"text/html") in sent.headers
    return wanted and not sent.target.startswith("/api/") and heard.kind == "text/html"


def documented_codes() -> frozenset[str]:
    """The codes of docs/api.md."""
    table = API.read_text(encoding="utf-8").partition("## Problems")[2]
    return frozenset(re.findall(r"^\| \d{3} \| `(\w+)` \|", table, re.MULTILINE))


@dataclass
class Judge:
    """Reads the server's own description once, and every answer against it."""

    description: dict[str, Any]
    statuses: Counter[int] = field(default_factory=Counter)
    codes: frozenset[str] = field(default_factory=documented_codes)
    _known: dict[str, jsonschema_rs.Draft202012Validator] = field(default_factory=dict, init=False)

    @classmethod
    def of(cls, wire: Wire) -> "Judge":
        """The judge of the server at the other end."""
        return cls(wire.ask(Sent("GET", "/openapi.json")).json)

    def faults(self, sent: Sent, heard: Heard) -> list[str]:
        """Everything that is wrong with an answer."""
        self.statuses[heard.status] += 1
        found: list[str] = []
        if is_no_http(sent):  # the server's own words, before there is a request to name
            words = b"" if sent.method == "HEAD" else NO_HTTP
            return [] if heard.body == words else [f"no HTTP, yet answered {heard.body[:80]!r}"]
        if heard.status >= 500:
            found.append(f"{heard.status} {heard.body[:200]!r}")
        if not re.fullmatch(r"r[0-9a-f]{16}", heard.headers.get("x-request-id", "")):
            found.append("no X-Request-Id")
        if sent.method == "HEAD":
            return found + (["HEAD with a body"] if heard.body else [])
        if heard.status >= 400 and not is_page(sent, heard):
            return found + self._problem(heard)
        if sent.method != "OPTIONS" and heard.kind == "application/json":
            found += self._shape(sent, heard)
        return found

    def _problem(self, heard: Heard) -> list[str]:
        if heard.kind != PROBLEM:
            return [f"{heard.status} as {heard.headers.get('content-type')}: {heard.body[:80]!r}"]
        document = heard.json
        found = [
            f"a problem that is none: {error.message}"
            for error in self._validator("Problem").iter_errors(document)
        ]
        if document.get("status") != heard.status:
            found.append(f"says {document.get('status')}, is {heard.status}")
        if document.get("code") not in self.codes:
            found.append(f"undocumented code {document.get('code')!r}")
        if (document.get("code") == "invalid_input") != bool(document.get("errors")):
            total = document.get("code") == "total_out_of_range"
            found += [] if total else [f"errors do not go with {document.get('code')}"]
        return found

    def _shape(self, sent: Sent, heard: Heard) -> list[str]:
        described = self._described(sent, heard.status)
        if described is None:
            return [f"undocumented {heard.status} of {sent.method} {sent.target[:60]}"]
        name = described.get("$ref", "").rpartition("/")[2]
        if not name:
            return []
        return [
            f"{name}: {error.message[:200]} at {list(error.instance_path)}"
            for error in self._validator(name).iter_errors(heard.json)
        ]

    def _described(self, sent: Sent, status: int) -> dict[str, Any] | None:
        path = sent.target.partition("?")[0]
        if path == "/openapi.json":
            return {}
        for template, methods in self.description["paths"].items():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and sent.method.lower() in methods:
                answer = methods[sent.method.lower()]["responses"].get(str(status))
                if answer is None:
                    return None
                schema: dict[str, Any] = answer["content"]["application/json"]["schema"]
                return schema
        return None

    def _validator(self, name: str) -> Any:
        if name not in self._known:
            components = self.description["components"]
            schema = {"$ref": f"#/components/schemas/{name}", "components": components}
            self._known[name] = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        return self._known[name]
