"""Forged webhooks: what becomes of one rightly signed event under a forger's hands."""

import hashlib
import hmac
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from commande.errors import SignatureInvalid

TOLERANCE = 300
# A refusal costs microseconds; one that takes fifty times the median is a lever to pull.
SLOWEST = 50
Read = Callable[[bytes, str | None, datetime], Any]
"""``Gateway.read_event``, or a seeded bug in its place."""


@dataclass(frozen=True)
class Forgery:
    """What arrives, and how it was made."""

    how: tuple[str, ...]
    body: bytes
    header: str | None


def signature(body: bytes, stamp: int, secret: str) -> str:
    """Stripe's scheme v1, computed independently of the SDK."""
    return hmac.digest(secret.encode(), b"%d." % stamp + body, hashlib.sha256).hex()


class Forger:
    """Draws forgeries of one event from a seeded source; the same seed draws the same."""

    def __init__(self, seed: int, event: dict[str, Any], secret: str, now: datetime) -> None:
        self.random = random.Random(seed)
        self.secret, self.now = secret, now
        self.body = json.dumps(event).encode()
        self.stamp = int(now.timestamp()) - 1
        self.true = signature(self.body, self.stamp, secret)

    def draw(self) -> Forgery:
        """One forgery: body, header or both."""
        pick = self.random
        body, parts, how = self.body, [f"t={self.stamp}", f"v1={self.true}"], []
        touches = pick.choice(("body", "header", "header", "both"))
        if touches != "header":
            name, spoil = pick.choice(BODIES)
            body, how = spoil(self, body), [name]
        header: str | None = ",".join(parts)
        if touches != "body":
            for _ in range(pick.randint(1, 3)):
                name, change = pick.choice(HEADERS)
                parts = change(self, parts)
                how.append(name)
            header = pick.choice(JOINTS)(",".join(parts), pick)
        return Forgery(tuple(how), body, header)

    def may_pass(self, forgery: Forgery) -> bool:
        """Whether the forger changed nothing that counts: this body, signed lately by Stripe."""
        if forgery.body != self.body or forgery.header is None:
            return False
        # Stripe's SDK reads a part up to its second "=": what stands behind says nothing.
        parts = [[*part.split("=", 2), ""][:2] for part in forgery.header.split(",")]
        given = {value.strip() for name, value in parts if name.strip() == "v1"}
        stamps = [value.strip() for name, value in parts if name.strip() == "t"]
        for stamp in stamps:
            if re.fullmatch(r"[+0-9]\d{0,15}", stamp, re.ASCII):
                lately = int(stamp) >= self.now.timestamp() - TOLERANCE
                if lately and signature(self.body, int(stamp), self.secret) in given:
                    return True
        return False


def _flip(f: Forger, body: bytes) -> bytes:
    at = f.random.randrange(len(body))
    return body[:at] + bytes([body[at] ^ (1 << f.random.randrange(8))]) + body[at + 1 :]


def _cut(f: Forger, body: bytes) -> bytes:
    return body[: f.random.randrange(len(body))]


def _splice(f: Forger, body: bytes) -> bytes:
    at, end = sorted(f.random.sample(range(len(body)), 2))
    return body[:end] + body[at:end] + body[end:]


def _rewrite(f: Forger, body: bytes) -> bytes:
    """The same JSON in other bytes."""
    how: dict[str, Any] = f.random.choice([
        {"separators": (",", ":")}, {"indent": 1}, {"sort_keys": True, "indent": 2},
        {"ensure_ascii": False, "separators": (", ", " : ")},
    ])  # fmt: skip
    return json.dumps(json.loads(body), **how).encode()


def _blank(f: Forger, body: bytes) -> bytes:
    at = f.random.choice([0, len(body), body.find(b":") + 1])
    blank = f.random.choice([b" ", b"\n", b"\t", b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xc2\xa0"])
    return body[:at] + blank + body[at:]


def _escape(f: Forger, body: bytes) -> bytes:
    """One letter of the JSON as its \\u escape: the same JSON once more."""
    letters = [at for at, byte in enumerate(body) if chr(byte).isalpha() and byte != ord("u")]
    at = f.random.choice(letters)
    return body[:at] + b"\\u%04x" % body[at] + body[at + 1 :]


def _richer(f: Forger, body: bytes) -> bytes:
    event = json.loads(body)
    content = event["data"]["object"]
    field_ = f.random.choice(["amount_total", "payment_status", "id", "metadata", "livemode"])
    content[field_] = f.random.choice([1, "paid", True, None, {}, "cs_test_other", "é\ud800"])
    return json.dumps(event).encode()


def _other(f: Forger, _body: bytes) -> bytes:
    return f.random.choice([
        b"", b"{}", b"[1]", b"null", b"\xff\xfe", b"[" * 5000, b'{"a":' * 900, b"NaN", b"1e999",
        f.random.randbytes(f.random.randrange(1, 400)), b"9" * 4000,
    ])  # fmt: skip


BODIES: list[tuple[str, Callable[[Forger, bytes], bytes]]] = [
    ("bit flipped", _flip), ("cut off", _cut), ("piece doubled", _splice),
    ("written anew", _rewrite), ("blank added", _blank), ("escaped", _escape),
    ("field changed", _richer), ("another body", _other),
]  # fmt: skip


def _spoil_sign(f: Forger, parts: list[str]) -> list[str]:
    return [_spoil_text(f, part) if part.startswith("v1=") else part for part in parts]


def _spoil_text(f: Forger, text: str) -> str:
    at = f.random.randrange(3, len(text)) if len(text) > 3 else 0
    return f.random.choice([
        text[:at] + f.random.choice("0123456789abcdefg é\x00") + text[at + 1 :],
        text[:at], text + text[at:], text.upper(), text.replace("a", "а"), text + "=", text[::-1],
    ])  # fmt: skip


def _drop(f: Forger, parts: list[str]) -> list[str]:
    return [part for part in parts if f.random.random() < 0.6]


def _double(f: Forger, parts: list[str]) -> list[str]:
    return parts + [f.random.choice(parts)] * f.random.choice((1, 1, 2, 60)) if parts else parts


def _shuffle(f: Forger, parts: list[str]) -> list[str]:
    return f.random.sample(parts, len(parts))


def _old_scheme(f: Forger, parts: list[str]) -> list[str]:
    scheme = f.random.choice(("v0=", "v2=", "V1=", "v1 =", "v=", "v1:", "=v1"))
    if f.random.random() < 0.5:
        return [*parts, scheme + f.true]
    return [part.replace("v1=", scheme) for part in parts]


def _other_time(f: Forger, parts: list[str]) -> list[str]:
    seconds = f.random.choice((0, 1, -1, 60, -299, -301, 10**6, -(10**9), 10**11))
    stamp = f.random.choice([
        str(f.stamp + seconds), f"0{f.stamp}", f"+{f.stamp}", f"{f.stamp}.0", "", "now", "-1",
        "١٢٣", f" {f.stamp}", "9" * 40, f"{f.stamp}e0", f"0x{f.stamp:x}", f"{f.stamp}_0",
    ])  # fmt: skip
    return [f"t={stamp}" if part.startswith("t=") else part for part in parts]


def _stale(f: Forger, _parts: list[str]) -> list[str]:
    """Truly signed, long ago."""
    stamp = f.stamp - TOLERANCE - f.random.choice((2, 60, 86_400, 10**8))
    return [f"t={stamp}", f"v1={signature(f.body, stamp, f.secret)}"]


def _stale_and_new(f: Forger, parts: list[str]) -> list[str]:
    """A true old signature under a new time, or beside it."""
    old = _stale(f, parts)
    return f.random.choice([[parts[0], old[1]] if parts else old, [*old, f"t={f.stamp}"]])


def _other_secret(f: Forger, _parts: list[str]) -> list[str]:
    secret = f.random.choice(["", "whsec_", "whsec_guess", f.secret[:-1], f.secret.upper(), " "])
    return [f"t={f.stamp}", f"v1={signature(f.body, f.stamp, secret)}"]


def _other_bodys(f: Forger, _parts: list[str]) -> list[str]:
    # None that a changed body could turn out to be: with the secret that would be no forgery.
    other = f.random.choice(
        [b"#", b'{"id": "evt_2"}', f.body + b"#", f.body.replace(b"5998", b"1")]
    )
    return [f"t={f.stamp}", f"v1={signature(other, f.stamp, f.secret)}"]


def _company(f: Forger, parts: list[str]) -> list[str]:
    odd = f.random.choice(["", "=", "t", "v1", "v1=", "x=y", "v1=0", "\x00", "é=1", "v1=\ud800"])
    at = f.random.randint(0, len(parts))
    return [*parts[:at], odd, *parts[at:]]


HEADERS: list[tuple[str, Callable[[Forger, list[str]], list[str]]]] = [
    ("signature spoiled", _spoil_sign), ("part dropped", _drop), ("part doubled", _double),
    ("reordered", _shuffle), ("another scheme", _old_scheme), ("another time", _other_time),
    ("stale", _stale), ("old under new", _stale_and_new), ("another secret", _other_secret),
    ("another body's", _other_bodys), ("odd company", _company),
]  # fmt: skip
JOINTS: list[Callable[[str, random.Random], str | None]] = [
    *[lambda text, _: text] * 8,
    lambda text, _: text.replace(",", ", "),
    lambda text, _: text.replace(",", ";"),
    lambda text, _: f" {text} ",
    lambda text, pick: text[: pick.randrange(len(text) + 1)],
    lambda text, _: None,
    lambda text, _: f"{text},{text}",
]


@dataclass
class Tally:
    """What became of the forgeries."""

    drawn: int = 0
    refused: int = 0
    unchanged: int = 0
    """Accepted, and rightly so: nothing that counts had been touched."""
    how: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    median_us: float = 0.0
    slowest_us: float = 0.0


def unseen(_cases: int) -> None:
    """Nobody watches."""


def judge(read: Read, forger: Forger, count: int, tick: Callable[[int], None] = unseen) -> Tally:
    """Hand ``count`` forgeries to ``read``; nothing but an untouched event may pass, or be slow."""
    tally, spent = Tally(), []
    slow: list[tuple[int, Forgery]] = []
    for _ in range(count):
        forgery = forger.draw()
        tally.drawn += 1
        tally.how.update(forgery.how)
        took, outcome = _attempt(read, forger, forgery)
        spent.append(took)
        if len(spent) > 200 and took > SLOWEST * median(spent[:200]):
            slow.append((took, forgery))
        _count(tally, forger, forgery, outcome)
        tick(1)
    tally.median_us = median(spent) / 1000
    for took, forgery in sorted(slow, key=lambda pair: -pair[0])[:50]:
        # Once more: what stays slow is slow, the rest was the machine.
        again = min(took, *(_attempt(read, forger, forgery)[0] for _ in range(5))) / 1000
        tally.slowest_us = max(tally.slowest_us, again)
        if again > SLOWEST * tally.median_us:
            tally.broken.append(f"slow: {again:.0f} µs for {forgery.how}")
    return tally


def _attempt(read: Read, forger: Forger, forgery: Forgery) -> tuple[int, str]:
    began = time.thread_time_ns()  # of this thread alone: the machine's other work does not count
    try:
        read(forgery.body, forgery.header, forger.now)
        outcome = "accepted"
    except SignatureInvalid:
        outcome = "refused"
    except Exception as error:  # noqa: BLE001 – any other error is what we are looking for
        outcome = f"{type(error).__name__}: {error}"
    return time.thread_time_ns() - began, outcome


def _count(tally: Tally, forger: Forger, forgery: Forgery, outcome: str) -> None:
    if outcome == "refused":
        tally.refused += 1
    elif outcome == "accepted" and forger.may_pass(forgery):
        tally.unchanged += 1
    elif len(tally.broken) < 20:
        tally.broken.append(f"{outcome}: {forgery.how} {forgery.header!r} {forgery.body[:80]!r}")


def an_event(now: datetime) -> dict[str, Any]:
    """A completed session as Stripe tells it."""
    created = int((now - timedelta(seconds=2)).timestamp())
    return {
        "id": "evt_1Forged", "object": "event", "type": "checkout.session.completed",
        "api_version": "2026-10-28.endive", "created": created, "livemode": False,
        "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None},
        "data": {"object": {
            "id": "cs_test_a1", "object": "checkout.session", "amount_total": 5998,
            "currency": "eur", "livemode": False, "mode": "payment", "payment_intent": "pi_1",
            "payment_status": "paid", "status": "complete", "expires_at": created + 3600,
            "customer_details": {"email": "zoé@example.com", "name": "Zoé Ünal"},
            "metadata": {"command_id": "6" * 24, "attempt_id": "7" * 24, "total": "5998",
                         "currency": "eur", "mac": "0" * 64},
        }},
    }  # fmt: skip
