"""API keys: any test key will do, or one; a live key never."""

import base64
import binascii
import hashlib
from typing import Any

from commande.sandbox.errors import Refusal

_SECRET = ("sk_test_", "rk_test_")
_PUBLISHABLE = "pk_test_"
_LIVE = ("sk_live_", "rk_live_", "pk_live_")


def refuse_live(key: str | None) -> None:
    """Refuse to start with a live key. Raises ValueError without repeating the key."""
    if key is None:
        return
    if key.startswith(_LIVE):
        raise ValueError("the stand-in takes test keys only: this is a live key")
    if not key.startswith(_SECRET):
        raise ValueError("the stand-in takes keys that begin with sk_test_ or rk_test_")


def check_key(headers: dict[str, str], wanted: str | None, params: Any, *, public: bool) -> str:
    """Who asks: a name for the key, safe to keep. Raises Refusal (401) as Stripe does.

    `public` addresses also take a publishable key (header or `key` parameter) or none: they are
    what the buyer's browser calls.
    """
    key = _key_in(headers)
    if public and not key:
        given = params.get("key") if isinstance(params, dict) else None
        key = given if isinstance(given, str) else ""
        if not key:
            return "public"
    if not key:
        raise Refusal(
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            status=401,
        )
    if public and key.startswith(_PUBLISHABLE):
        return "public"
    if key.startswith(_LIVE):
        raise Refusal(f"Invalid API Key provided: {_masked(key)}. This is a stand-in for tests: it "
                      "takes no live key.", status=401)  # fmt: skip
    if not key.startswith(_SECRET) or (wanted is not None and key != wanted):
        raise Refusal(f"Invalid API Key provided: {_masked(key)}", status=401)
    return hashlib.blake2b(key.encode(), digest_size=6).hexdigest()


def _key_in(headers: dict[str, str]) -> str:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _masked(key: str) -> str:
    return f"{key[:8]}{'*' * min(max(len(key) - 12, 0), 40)}{key[-4:] if len(key) > 12 else ''}"
