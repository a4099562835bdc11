"""What a failed request to Stripe means: every foreign error becomes one of ours here."""

import re
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, Literal

import aiohttp
import stripe

from commande.errors import (
    CommandeError,
    StripeObjectMissing,
    StripeRefused,
    StripeUnavailable,
)

# Whatever the SDK and its transport let through: its own errors, a stalled or cut body, a refused
# connection (OSError), and bodies that are no Stripe answer (ValueError, TypeError, AttributeError:
# the SDK looks into ``error`` before it knows that it is an object).
FOREIGN: Final = (
    stripe.StripeError,
    aiohttp.ClientError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
)

Kind = Literal["limited", "silent", "failing", "refused", "missing"]
Retry = Literal["never", "some", "patient"]

_SECRET: Final = re.compile(r"\b(?:sk|rk|pk|whsec)_[\w*.•…-]+|[^\s@:'\"]+@[^\s@'\"]+")


@dataclass(frozen=True, slots=True)
class Call:
    """One request to Stripe, repeatable: what is asked, and under which key."""

    operation: str
    method: Literal["get", "post"]
    path: str
    """A template such as ``/v1/refunds/{id}``; what is logged."""
    params: dict[str, Any]
    id: str | None = None
    key: str | None = None
    addressed: str | None = None
    """Parameter that names the addressed object, when the path does not."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A request that failed: what it means, and whether asking again may help."""

    kind: Kind
    detail: str
    retry: Retry = "never"
    answered: bool | None = True
    """Whether Stripe itself spoke; None when it was not even asked."""
    unsure: bool = False
    """A 5xx: the call may have been executed."""
    status: int | None = None
    retry_after: float | None = None
    stripe_code: str | None = None
    param: str | None = None
    request_id: str | None = None

    def as_error(self, *, unsure: bool) -> CommandeError:
        """The error that a flow sees; ``unsure`` when any try of the call was."""
        if self.kind == "missing":
            return StripeObjectMissing(self.detail)
        if self.kind == "refused":
            return StripeRefused(self.detail, stripe_code=self.stripe_code, param=self.param)
        wait = max(1, min(ceil(self.retry_after or 5), 600))
        return StripeUnavailable(self.detail, retry_after=wait, indeterminate=unsure)


def judge(error: Exception, call: Call) -> Trouble:
    """What the error of one try means."""
    status = getattr(error, "http_status", None)
    if isinstance(error, stripe.StripeError) and isinstance(status, int):
        return judge_answer(error, status, call)
    if isinstance(error, TimeoutError):
        return Trouble("silent", "Stripe did not answer in time.", "some", answered=False)
    if isinstance(error, (OSError, aiohttp.ClientError)):
        name = type(error).__name__
        return Trouble("silent", f"Stripe cannot be reached ({name}).", "some", answered=False)
    return unreadable(None)


def unreadable(status: int | None) -> Trouble:
    """An answer that is not JSON as Stripe writes it: a proxy, or a cut body."""
    detail = "Stripe's answer cannot be read."
    unsure = status is not None and status >= 500
    return Trouble("failing", detail, "some", answered=False, unsure=unsure, status=status)


def judge_answer(error: stripe.StripeError, status: int, call: Call) -> Trouble:
    """What an answer with an error status means; looks at JSON body, headers and request id."""
    said = error.json_body.get("error") if isinstance(error.json_body, dict) else None
    said = said if isinstance(said, dict) else {}
    code = _text(said.get("code")) or (
        "idempotency_error" if said.get("type") == "idempotency_error" else None
    )
    param = _text(said.get("param"))
    kind, retry = _kind_and_retry(status, code, param, said, call)
    if not said and (status < 300 or status >= 500):
        return unreadable(status)
    headers = error.headers or {}
    advice = headers.get("stripe-should-retry")
    if advice in ("true", "false") and kind != "missing":
        retry = "never" if advice == "false" else ("some" if retry == "never" else retry)
    return Trouble(
        kind,
        _detail(kind, status, said, call, code, param),
        retry,
        unsure=status >= 500,
        status=status,
        retry_after=_seconds(headers.get("retry-after")),
        stripe_code=code,
        param=param,
        request_id=error.request_id,
    )


def _kind_and_retry(
    status: int, code: str | None, param: str | None, said: dict[str, Any], call: Call
) -> tuple[Kind, Retry]:
    if status == 429 or code in ("rate_limit", "lock_timeout"):
        return "limited", "patient"
    if status == 409:
        # The same call is under way elsewhere; its answer becomes ours.
        return "limited", "patient"
    if status >= 500 or status == 408:
        return "failing", "some"
    by_path = status == 404 and call.id is not None and _is_about_object(said)
    if by_path or (code == "resource_missing" and call.addressed and param == call.addressed):
        return "missing", "never"
    return "refused", "never"


def _is_about_object(said: dict[str, Any]) -> bool:
    # A wrong STRIPE_API_BASE answers 404 to everything: that must never read "session unknown".
    message = _text(said.get("message")) or ""
    return bool(said) and not message.startswith("Unrecognized request URL")


def _detail(
    kind: Kind, status: int, said: dict[str, Any], call: Call, code: str | None, param: str | None
) -> str:
    if kind == "limited":
        return "Stripe is busy with too many requests of this account."
    if kind == "failing":
        return f"Stripe answered with an error of its own ({status})."
    if kind == "missing":
        return f"Stripe does not know the object ({call.operation})."
    if status in (401, 403):
        word = "key" if status == 401 else "key's permissions"
        return f"Stripe refused {call.operation}: check the {word} in STRIPE_SECRET_KEY."
    if not said:
        where = "check STRIPE_API_BASE"
        return f"What answered {call.operation} with {status} is not Stripe: {where}."
    words = ", ".join(word for word in (code, param) if word)
    reason = scrub(_text(said.get("message")) or "no reason given", call.params)
    return f"Stripe refused {call.operation}{f' ({words})' if words else ''}: {reason}"


def scrub(message: str, params: dict[str, Any]) -> str:
    """Stripe's words without keys, addresses and whatever texts we sent (names, e-mails)."""
    for text in sorted(_texts(params), key=len, reverse=True):
        message = message.replace(text, "…")
    return _SECRET.sub("…", message)[:500]


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, (list, tuple)):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) and len(value) > 3 else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(value: str | None) -> float | None:
    return float(value) if value and value.isascii() and value.isdigit() else None
