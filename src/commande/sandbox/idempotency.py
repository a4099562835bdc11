"""Idempotency keys as Stripe keeps them.

The first answer to a key is kept for 24 hours, a 500 included, once execution began; refused
parameters keep nothing. The same key with another request is an error; while the first is still
running, a conflict. Source: docs.stripe.com/api/idempotent_requests.
"""

import hashlib
from typing import Any

import orjson

from commande.sandbox.errors import Refusal
from commande.sandbox.store import Row
from commande.sandbox.world import World

KEPT_SECONDS = 24 * 3600
_LONGEST_KEY = 255


class Keys:
    """The keys in use and the answers kept."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: set[str] = set()

    def begin(self, scope: str, key: str, request: str, params: Any) -> Row | None:
        """Take a key for a request; the kept answer if there is one.

        Raises Refusal: key too long, other parameters (400), still running (409).
        """
        if len(key) > _LONGEST_KEY:
            raise Refusal(f"Idempotency key must be at most {_LONGEST_KEY} characters long.",
                          type="idempotency_error")  # fmt: skip
        self._forget_old()
        kept = self._world.state.get("idempotency", f"{scope}/{key}")
        if kept is not None and kept["print"] != _fingerprint(request, params):
            what = "parameters" if kept["request"] == request else "endpoint"
            raise Refusal(
                f"Keys for idempotent requests can only be used with the same {what} they were "
                f"first used with. Try using a key other than '{key}' if you meant to execute a "
                "different request.",
                type="idempotency_error",
            )
        if kept is None:
            if f"{scope}/{key}" in self._running:
                raise Refusal(
                    "There is currently another in-progress request using this Idempotent Key "
                    f"({key}). Please try again later.",
                    status=409,
                    type="idempotency_error",
                    code="idempotency_key_in_use",
                )
            self._running.add(f"{scope}/{key}")
        return kept

    def keep(
        self, scope: str, key: str, request: str, params: Any, answer: tuple[int, bytes], id_: str
    ) -> None:
        """Keep the answer of an executed request."""
        row = {"print": _fingerprint(request, params), "request": request, "status": answer[0],
               "body": answer[1].decode(), "at": self._world.now, "id": id_}  # fmt: skip
        self._world.state.put("idempotency", f"{scope}/{key}", row)

    def release(self, scope: str, key: str) -> None:
        self._running.discard(f"{scope}/{key}")

    def _forget_old(self) -> None:
        rows = self._world.state.rows["idempotency"]
        while rows:
            name, oldest = next(iter(rows.items()))
            if oldest["at"] >= self._world.now - KEPT_SECONDS:
                return
            self._world.state.drop("idempotency", name)


def _fingerprint(request: str, params: Any) -> str:
    digest = hashlib.blake2b(request.encode(), digest_size=16)
    digest.update(orjson.dumps(params, option=orjson.OPT_SORT_KEYS, default=str))
    return digest.hexdigest()
