"""Problems: the one table from what went wrong to what is answered (RFC 9457)."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import orjson
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from commande import errors
from commande.core.money import to_number
from commande.errors import CommandeError
from commande.flows.checkout import OpeningDelayed

MEDIA_TYPE: Final = "application/problem+json"

log = structlog.get_logger("commande.web")


class Kind(NamedTuple):
    """How one kind of error is answered."""

    status: int
    title: str
    public: str | None = None
    """Said instead of the error's own detail, where that is for the operator's eyes."""
    retry_after: int | None = None
    """Seconds."""


_PROVIDER: Final = "The payment provider refused this. No money was taken; the shop has been told."

# Subclasses are looked up first (see ``kind_of``), so the order does not matter.
PROBLEMS: Final[dict[type[CommandeError], Kind]] = {
    CommandeError: Kind(500, "Internal error", "Something went wrong on our side."),
    errors.InputInvalid: Kind(400, "Invalid input"),
    errors.TotalOutOfRange: Kind(400, "Total out of range"),
    errors.CommandsModuleMissing: Kind(503, "The shop is not set up"),
    errors.CommandNotFound: Kind(404, "Command not found"),
    errors.PaymentNotCompleted: Kind(400, "Payment not completed"),
    errors.SessionInvalid: Kind(400, "Invalid session"),
    errors.SessionMismatch: Kind(400, "Session of something else"),
    errors.AlreadyPaid: Kind(409, "Already paid"),
    errors.PaymentProcessing: Kind(409, "Payment under way"),
    errors.CommandExpired: Kind(409, "Command closed"),
    errors.PriceChanged: Kind(409, "Price changed"),
    errors.FormRefused: Kind(403, "Form refused"),
    errors.IdempotencyConflict: Kind(409, "Idempotency-Key used before"),
    errors.StripeUnavailable: Kind(503, "Stripe unavailable", retry_after=5),
    errors.StripeRefused: Kind(502, "Refused by Stripe", _PROVIDER),
    errors.StripeObjectMissing: Kind(502, "Unknown to Stripe", _PROVIDER),
    errors.QuoteMismatch: Kind(503, "Totals differ", retry_after=60),
    errors.WebhookUnconfigured: Kind(503, "Webhook not configured"),
    errors.SignatureInvalid: Kind(400, "Invalid signature"),
    errors.EventForeign: Kind(400, "Foreign event"),
    errors.MailUnavailable: Kind(503, "Mail unavailable", "The letter will be sent later."),
    errors.DatabaseBusy: Kind(503, "Database busy", "Please try again.", 1),
    errors.DatabaseNotMigrated: Kind(
        503, "Database not migrated", "The shop is being set up. Please try again.", 5
    ),
    errors.OutcomeUnknown: Kind(503, "Outcome unknown", "Please look again before repeating.", 1),
    errors.SettingInvalid: Kind(500, "Wrong setting", "The shop is not configured correctly."),
    errors.CatalogueInvalid: Kind(400, "Invalid catalogue"),
    errors.RefundRefused: Kind(409, "Refund refused"),
}

# What HTTP itself refuses, by status: stable code, title, sentence.
REFUSALS: Final[dict[int, tuple[str, str, str]]] = {
    400: ("bad_request", "Bad request", "The request cannot be read."),
    404: ("not_found", "Not found", "There is nothing at this address."),
    405: ("method_not_allowed", "Method not allowed", "This address takes another method."),
    408: ("body_too_slow", "Body too slow", "The body did not arrive in time."),
    413: ("body_too_large", "Body too large", "The body is larger than this address takes."),
    415: (
        "media_type_unsupported",
        "Media type not supported",
        "Send JSON, uncompressed: Content-Type: application/json.",
    ),
}


def kind_of(error: CommandeError) -> Kind:
    """How the error is answered: the entry of its class or of the nearest one above."""
    return next(PROBLEMS[each] for each in type(error).__mro__ if each in PROBLEMS)


def document_of(error: CommandeError) -> dict[str, Any]:
    """The problem document of a fact of ours."""
    kind = kind_of(error)
    detail = kind.public or error.detail
    return _document(kind.status, error.code, kind.title, detail) | _members(error)


def _document(status: int, code: str, title: str, detail: str) -> dict[str, Any]:
    """The same problem gives the same bytes: nothing of the request is in it."""
    return {"title": title, "status": status, "code": code, "detail": detail}


def _answer(document: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    body = orjson.dumps(document)
    return Response(body, document["status"], dict(headers or {}), media_type=MEDIA_TYPE)


async def answer_error(request: Request, error: Exception) -> Response:
    """The answer to a fact of ours."""
    assert isinstance(error, CommandeError)  # noqa: S101 – registered for this class
    kind = kind_of(error)
    request.scope["commande.problem"] = error.code
    if kind.status >= 500:
        log.warning("request_failed", code=error.code, detail=error.detail)
    wait = getattr(error, "retry_after", kind.retry_after) if kind.status == 503 else None
    return _answer(document_of(error), None if wait is None else {"Retry-After": str(wait)})


def _members(error: CommandeError) -> dict[str, Any]:
    """What one kind of problem says besides."""
    match error:
        case errors.InputInvalid():
            return {
                "errors": [
                    {"field": each.field, "code": each.code, "detail": each.detail}
                    for each in error.errors
                ]
            }
        case errors.PriceChanged():
            return {
                "oldTotal": to_number(error.old_minor, error.currency),
                "newTotal": to_number(error.new_minor, error.currency),
                "oldTotalMinor": error.old_minor,
                "newTotalMinor": error.new_minor,
                "currency": error.currency,
            }
        case OpeningDelayed():
            return {"commandId": error.command_id, "ref": error.ref, "token": error.token}
    return {}


async def answer_refusal(request: Request, error: Exception) -> Response:
    """The answer to what HTTP or the router refuses."""
    assert isinstance(error, HTTPException)  # noqa: S101 – registered for this class
    return refusal(request.scope, error.status_code, error.headers)


def refusal(
    scope: Any, status: int, headers: Mapping[str, str] | None = None, detail: str | None = None
) -> Response:
    """The problem document of a plain HTTP refusal."""
    code, title, sentence = REFUSALS.get(status) or _plain(status)
    scope["commande.problem"] = code
    return _answer(_document(status, code, title, detail or sentence), headers)


def _plain(status: int) -> tuple[str, str, str]:
    phrase = HTTPStatus(status).phrase
    return re.sub(r"\W+", "_", phrase.lower()), phrase, f"{phrase}."


def internal_error(scope: Any) -> Response:
    """The answer to what should not have happened: says nothing but where to look."""
    scope["commande.problem"] = CommandeError.code
    detail = "Something went wrong on our side. The log has it under this answer's X-Request-Id."
    title = PROBLEMS[CommandeError].title
    return _answer(_document(500, CommandeError.code, title, detail))
