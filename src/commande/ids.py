"""Identifiers: command ids, references, tokens and the seal that marks a Stripe session as ours.

Ids are random on purpose: after a failover or a restored backup a serial id would be issued again,
and an old paid session would settle a stranger's command.
"""

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Final

REF_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_SEALED: Final = ("command_id", "attempt_id", "total", "currency", "mac")
_OBJECT_ID: Final = re.compile(r"[0-9a-f]{24}")


class Ids:
    """Makes new identifiers from one source of random bytes (seeded in the simulation)."""

    def __init__(self, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._random_bytes = random_bytes

    def object_id(self, now: datetime) -> str:
        """24 hex digits in ObjectId form: 4 bytes of time, then 64 random bits."""
        return int(now.timestamp()).to_bytes(4, "big").hex() + self._random_bytes(8).hex()

    def ref(self) -> str:
        """``#`` and 8 of A–Z0–9, for people. Opens nothing; uniqueness is the table's business."""
        letters: list[str] = []
        while len(letters) < 8:
            for byte in self._random_bytes(12):
                # 252 = 7 × 36: the rejected rest keeps every letter equally likely.
                if byte < 252 and len(letters) < 8:
                    letters.append(REF_ALPHABET[byte % 36])
        return "#" + "".join(letters)


def is_object_id(value: str) -> bool:
    """Whether the text has the form of one of our ids (24 lower-case hex digits)."""
    return _OBJECT_ID.fullmatch(value) is not None


class Seal:
    """Derives what proves that something is ours: command tokens and session marks.

    Both are HMACs under the shop's secret, so nothing needs to be stored and nothing stored opens
    anything. Comparisons take constant time.
    """

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"commande:" + secret.encode()).digest()

    def _mac(self, *parts: str) -> bytes:
        return hmac.digest(self._key, "\x1f".join(parts).encode(errors="surrogatepass"), "sha256")

    def token(self, command_id: str) -> str:
        """The capability that opens one command's own data: 32 URL-safe characters, 192 bits."""
        return urlsafe_b64encode(self._mac("token", command_id)[:24]).decode()

    def opens(self, token: str | None, command_id: str) -> bool:
        """Whether the token is this command's."""
        given = (token or "").encode(errors="replace")
        return hmac.compare_digest(given, self.token(command_id).encode())

    def label(self, *parts: str) -> str:
        """A short text that only this shop derives, for keys that two of its processes share."""
        return self._mac("label", *parts).hex()[:16]

    def mark(self, command_id: str, attempt_id: str, amount_minor: int, currency: str) -> str:
        """The HMAC that goes into the metadata of a Stripe session and its payment intent."""
        return self._mac("session", command_id, attempt_id, str(amount_minor), currency).hex()

    def made(self, metadata: dict[str, str]) -> bool:
        """Whether metadata read back from Stripe was written by this shop."""
        texts = [text for key in _SEALED if isinstance(text := metadata.get(key), str)]
        if len(texts) < len(_SEALED):
            return False
        *named, given = texts
        mark = self._mac("session", *named).hex()
        return hmac.compare_digest(given.encode(errors="replace"), mark.encode())
