"""Hostile requests: raw bodies and frames that no front end sends, drawn by Hypothesis.

Bodies are put together as text, because most of what is wrong here no JSON library would write.
"""

import copy
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

from tests.support.fuzz.wire import Sent

CHECKOUT = "/api/checkout"
POSTED = ("create-stripe-checkout-session", "confirm-payment", "retry-payment", "webhook")
JSON = (b"Content-Type", b"application/json")
_PLACE = "\0place\0"

# S-12 and S-42, as the very bytes of a JSON value.
RAW_VALUES = [
    "0", "-1", "-0", "1e0", "1.0", "1.5", '"1"', "true", "null", "NaN", "Infinity", "-Infinity",
    "1e400", "-1e400", "1e-400", "2147483648", "9007199254740993", "9223372036854775808",
    "36893488147419103232", "9" * 5000, "0." + "9" * 400, "01", "+1", "0x10", "1_000", ".5", "5.",
    '""', '" "', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udfff\\ud800"', '"\\uFFFF"', '"\x00"',
    '"\x1f"', '"\u202e"', '"\ufeff"', '"\u200b"', '"' + "A" * 300 + '"', '"' + "é" * 20000 + '"',
    '"<script>alert(1)</script>"', "\"'; DROP TABLE commands;--\"", '"{{7*7}}"', '"%s%n${x}"',
    '"=cmd|\' /C calc\'!A0"', '"4242 4242 4242 4242"', '"a@b"', '"\\r\\nBcc: x@y.z"', "[]", "{}",
    "[[]]", "[null]", '{"$ne": null}', '{"__proto__": {"paid": true}}', "[" * 30 + "]" * 30,
    '{"a":' * 30 + "1" + "}" * 30, '"507f1f77bcf86cd79943901z"', '"../../etc/passwd"',
    '"0000-00-00T00:00:00Z"', '"9999-12-31T23:59:60Z"', '"2026-13-45T99:99"', '"+33 6"',
    '"２０２７-０１-０１T10:00"', '"2027-01-01T10:00:00+99:99"', "'single'",
    "undefined", "", ",", "]",
]  # fmt: skip
EXTRA_KEYS = ["price", "total", "amount", "currency", "status", "paid", "paidAt", "id",
              "commandId", "discount", "isAdmin", "__proto__", "constructor", "a" * 300, "\ud800",
              "", "é"]  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
).map(lambda value: json.dumps(value, default=str))
raw_values = st.sampled_from(RAW_VALUES) | json_values


@st.composite
def spoiled_documents(draw: st.DrawFn, documents: list[Any]) -> bytes:
    """A good document in which one to three values are not."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    values: list[Any] = []
    for _ in range(draw(st.integers(1, 3))):
        holders = list(_holders(document))
        parent, key = draw(st.sampled_from(holders))
        if isinstance(parent, dict) and draw(st.integers(0, 4)) == 0:
            key = draw(st.sampled_from(EXTRA_KEYS) | st.text(max_size=10))
        parent[key] = f"{_PLACE}{len(values)}"
        values.append(draw(raw_values))
    text = json.dumps(document)
    for number, value in enumerate(values):
        text = text.replace(json.dumps(f"{_PLACE}{number}"), value)
    return text.encode("utf-8", "surrogatepass")


def _holders(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a value."""
    for key, value in list(document.items() if isinstance(document, dict) else enumerate(document)):
        yield document, key
        if isinstance(value, dict | list):
            yield from _holders(value)


def _doubled_key(text: str) -> bytes:
    return text.replace('"customer"', '"customer": 7, "customer"', 1).encode()


def _broken_forms(good: bytes) -> list[Callable[[int], bytes]]:
    """What can be wrong with a body as a whole; each takes a size."""
    text = good.decode()
    return [
        lambda n: good[: n % len(good)],
        lambda n: good + b"\0" * (n % 9),
        lambda n: b"\xef\xbb\xbf" + good,
        lambda n: text.encode("utf-16"),
        lambda n: good.replace(b"a", b"\xff", 1 + n % 3),
        lambda n: b"[" * n,
        lambda n: b"[" * n + b"]" * n,
        lambda n: b'{"a":' * n + b"1" + b"}" * n,
        lambda n: b"{" + b",".join(b'"k%d":1' % i for i in range(n)) + b"}",
        lambda n: b"{" + b'"items":[],' * (n % 500) + good[1:],
        lambda n: _doubled_key(text),
        lambda n: b'{"items":[' + b",".join([b"{}"] * (n % 9000)) + b"]}",
        lambda n: b" " * n + good,
        lambda n: b"9" * n,
        lambda n: b'"' + b"\\u0000" * (n % 9000) + b'"',
        lambda n: b"\x1f\x8b" + b"\0" * (n % 300),
        lambda n: b"",
        lambda n: b"null",
    ]


@st.composite
def broken_bodies(draw: st.DrawFn, documents: list[Any]) -> bytes:
    """A body that is wrong as a whole: cut off, endless, deep, doubled, in another encoding."""
    good = json.dumps(draw(st.sampled_from(documents))).encode()
    form = draw(st.sampled_from(_broken_forms(good)))
    return form(draw(st.sampled_from([0, 1, 2, 19, 20, 21, 40, 1000, 30_000, 100_000])))


content_types = st.sampled_from([
    None, b"", b"application/json", b"application/json; charset=utf-8", b"APPLICATION/JSON",
    b"application/json; charset=utf-16", b"application/merge-patch+json", b"text/plain",
    b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"text/html",
    b"application/octet-stream", b"application/jsonp", b"json", b"\xff", b";", b"a" * 2000,
])  # fmt: skip
odd_headers = st.sampled_from([
    (b"Content-Encoding", b"gzip"), (b"Content-Encoding", b"identity"),
    (b"Content-Encoding", b"br"),
    (b"Idempotency-Key", b""), (b"Idempotency-Key", b"a" * 300), (b"Idempotency-Key", b"\xff\xfe"),
    (b"Idempotency-Key", b"k1"), (b"X-Forwarded-Host", b"evil.example"), (b"Origin", b"null"),
    (b"Forwarded", b"host=evil.example"), (b"Accept", b"text/html"), (b"Cookie", b"a=b; c"),
    (b"Stripe-Signature", b"t=1,v1=00"), (b"Range", b"bytes=0-0"), (b"Expect", b"100-continue"),
    (b"X-HTTP-Method-Override", b"DELETE"), (b"Authorization", b"Bearer x"),
])  # fmt: skip


@st.composite
def posts(draw: st.DrawFn, documents: list[Any]) -> Sent:
    """A POST to the checkout: spoiled, broken, oddly framed, or all of it."""
    body = draw(
        st.one_of(
            spoiled_documents(documents),
            spoiled_documents(documents),
            broken_bodies(documents),
            st.binary(max_size=200),
        )
    )
    headers = [JSON]
    chunks: tuple[int, ...] = ()
    if draw(st.integers(0, 3)) == 0:
        kind = draw(content_types)
        headers = [] if kind is None else [(b"Content-Type", kind)]
    if draw(st.integers(0, 3)) == 0:
        headers += draw(st.lists(odd_headers, min_size=1, max_size=3))
        if (b"Content-Encoding", b"gzip") in headers and draw(st.booleans()):
            body = gzip.compress(body)
    if draw(st.integers(0, 5)) == 0:
        chunks = tuple(draw(st.lists(st.sampled_from([1, 7, 100, 5000, 65_536]), min_size=1,
                                     max_size=3)))  # fmt: skip
        if chunks[-1] < 100 and len(body) > 5000:
            chunks = (*chunks, 1000)  # a server is not tested by our own slowness
    return Sent("POST", f"{CHECKOUT}/{POSTED[0]}", body, tuple(headers), chunks)


_odd_text = st.sampled_from([
    "%00", "%ff", "%C0%AF", "..%2f..", "a" * 3000, "%ED%A0%80", "0" * 24, "f" * 24, "F" * 24, "%20",
    "%0d%0aX: y", "507f1f77bcf86cd799439011'--", "null", "~", "%F0%9F%98%80", "-1", "+",
])  # fmt: skip


@st.composite
def gets(draw: st.DrawFn, command_ids: list[str]) -> Sent:
    """A look at somebody's command, at the catalogue, or at nothing, by any method."""
    command = draw(st.sampled_from(command_ids) | _odd_text)
    tokens = st.lists(_odd_text, max_size=2).map(lambda ts: "&".join(f"token={t}" for t in ts))
    target = draw(
        st.sampled_from([
            f"{CHECKOUT}/commands/{command}", f"{CHECKOUT}/commands/", f"{CHECKOUT}//commands",
            "/api/products", "/api/products/", "/healthz", "/readyz", f"/{command}",
            "/openapi.json",
            f"{CHECKOUT}/webhook", f"{CHECKOUT}/confirm-payment", "*", "//evil.example/%2f..",
        ])
    )  # fmt: skip
    query = draw(tokens)
    method = draw(st.sampled_from(["GET", "GET", "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH",
                                   "TRACE", "QUERY"]))  # fmt: skip
    headers = tuple(draw(st.lists(odd_headers, max_size=2)))
    return Sent(method, f"{target}?{query}" if query else target, b"", headers)
