"""The API's description: what each route takes, answers and refuses, with an example of each."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from commande import errors
from commande.errors import CommandeError, FieldError
from commande.flows.checkout import OpeningDelayed
from commande.web import answers, examples
from commande.web.problems import MEDIA_TYPE, REFUSALS, document_of, kind_of
from commande.web.schemas import CheckoutRequest, ConfirmRequest, RetryRequest

SUMMARY: Final = "The checkout backend: a cart becomes a command, is paid on Stripe, once."
DESCRIPTION: Final = """\
JSON in and out. Errors are problem documents (RFC 9457) with a stable `code` and, for wrong input,
the path of each wrong field. Amounts are exact JSON numbers with integer minor units beside them,
times are ISO 8601 in UTC. In answers all keys are always there, `null` when empty."""

_REQUESTS: Final = (CheckoutRequest, ConfirmRequest, RetryRequest)
_REF: Final = "#/components/schemas/{model}"
# Every route that takes a body may refuse it for these.
_BODY: Final = (413, 415)
_NULL: Final = "\0null"

_DELAYED: Final = OpeningDelayed(
    errors.StripeUnavailable("Stripe did not answer in time."),
    examples.OPENED["commandId"], examples.OPENED["ref"], examples.OPENED["token"],
)  # fmt: skip
_WRONG: Final = errors.InputInvalid(
    FieldError("items.0.quantity", "out_of_range", "Give a whole number from 1 to 999.")
)
_TOTAL: Final = errors.TotalOutOfRange(
    FieldError("items", "total_out_of_range", "The total is 0.20 EUR; Stripe takes 0.50 EUR up.")
)
_UNKNOWN: Final = errors.CommandNotFound("There is no such command, or this link does not open it.")
_BUSY: Final = errors.DatabaseBusy("")
_NO_MODULE: Final = errors.CommandsModuleMissing("The shop has no module of type “commands”.")
_REFUSED: Final = errors.StripeRefused("")
_MISMATCH: Final = errors.QuoteMismatch(
    "Stripe computed another total than we quoted. Nothing can be paid."
)
_SILENT: Final = errors.StripeUnavailable("Stripe did not answer in time.")
_CLOSED: Final = errors.CommandExpired("This command was closed. Please order again.")


def _veiled(value: object) -> object:
    """An example whose nulls survive: FastAPI leaves everything out that is None."""
    if isinstance(value, dict):
        return {key: _veiled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_veiled(each) for each in value]
    return _NULL if value is None else value


def _unveiled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unveiled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_unveiled(each) for each in value]
    return None if value == _NULL else value


def _good(model: type[BaseModel], example: object, what: str) -> dict[str, Any]:
    content = {"application/json": {"example": _veiled(example)}}
    return {"model": model, "description": what, "content": content}


def _answers(
    good: dict[int | str, Any], *found: CommandeError, statuses: tuple[int, ...] = ()
) -> dict[int | str, Any]:
    """The answers of a route; refusals by status, each with its code as its example's name."""
    grouped: dict[int | str, dict[str, Any]] = {}
    for error in found:
        status = kind_of(error).status
        grouped.setdefault(status, {})[error.code] = {"value": document_of(error)}
    for status in statuses:
        code, title, detail = REFUSALS[status]
        value = {"title": title, "status": status, "code": code, "detail": detail}
        grouped.setdefault(status, {})[code] = {"value": value}
    refusals = {status: _refusal(named) for status, named in grouped.items()}
    # "default" also keeps FastAPI from describing its own 422, which never leaves this house.
    return good | refusals | {"default": _refusal({}, "Any other problem.")}


def _refusal(named: dict[str, Any], what: str | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(model="Problem")}}
    if named:
        content["examples"] = named
    words = what or ", ".join(f"`{code}`" for code in named)
    return {"description": words, "content": {MEDIA_TYPE: content}}


def _body(model: type[BaseModel], example: object) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=model.__name__)}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _route(
    name: str, summary: str, responses: dict[int | str, Any], tag: str = "Checkout", **extra: Any
) -> dict[str, Any]:
    return {
        "operation_id": name,
        "summary": summary,
        "responses": responses,
        "response_model": None,
        "tags": [tag],
        "openapi_extra": extra or None,
    }


def _parameter(where: str, name: str, what: str, *, required: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "required": required,
        "description": what,
        "schema": {"type": "string"},
    }


_OPENED: Final = _good(answers.OpenedAnswer, examples.OPENED, "The command can be paid at `url`.")
_COMMAND: Final = _good(answers.CommandAnswer, examples.PAID, "The command.")
_WAITING: Final = _good(
    answers.CommandAnswer, examples.PROCESSING, "A delayed payment is under way."
)

CREATE: Final = _route(
    "createStripeCheckoutSession",
    "Order: open a command and get the address where it is paid",
    _answers(
        {200: _OPENED},
        _WRONG, _TOTAL, errors.IdempotencyConflict("This Idempotency-Key came with another body."),
        _REFUSED, _DELAYED, _MISMATCH, _NO_MODULE, _BUSY, statuses=_BODY,
    ),
    parameters=[
        _parameter("header", "Idempotency-Key", "1–255 characters, new for each order."),
    ],
    **_body(CheckoutRequest, examples.ORDER),
)  # fmt: skip
CONFIRM: Final = _route(
    "confirmPayment",
    "After Stripe: was it paid?",
    _answers(
        {200: _COMMAND, 202: _WAITING},
        errors.PaymentNotCompleted("Stripe says that this session is not paid."),
        errors.SessionInvalid("This is no session of ours."),
        errors.SessionMismatch("This session belongs to another command."),
        _WRONG, errors.CommandNotFound("There is no such command."), _REFUSED, _SILENT, _BUSY,
        statuses=_BODY,
    ),
    **_body(ConfirmRequest, examples.CONFIRM),
)  # fmt: skip
RETRY: Final = _route(
    "retryPayment",
    "Pay an unpaid command again",
    _answers(
        {200: _OPENED},
        _WRONG, _UNKNOWN, errors.AlreadyPaid("This command is paid."),
        errors.PaymentProcessing("A payment of this command is under way."), _CLOSED,
        errors.PriceChanged(5998, 6398, "eur"), _REFUSED, _DELAYED, _MISMATCH, _BUSY,
        statuses=_BODY,
    ),
    **_body(RetryRequest, examples.RETRY),
)  # fmt: skip
STATUS: Final = _route(
    "showCommand",
    "One’s own command",
    _answers({200: _COMMAND}, _UNKNOWN, _BUSY),
    parameters=[
        _parameter("path", "command_id", "The commandId of create.", required=True),
        _parameter("query", "token", "The token of create.", required=True),
    ],
)
WEBHOOK: Final = _route(
    "receiveWebhook",
    "Stripe’s events",
    _answers(
        {200: _good(answers.Received, {"received": True}, "Stored, now or before.")},
        errors.SignatureInvalid("The webhook's signature is missing or does not match."),
        errors.EventForeign("This checkout session is none of ours."),
        errors.WebhookUnconfigured(
            "STRIPE_WEBHOOK_SECRET is not set: no event can be believed."
        ),
        _BUSY, statuses=_BODY,
    ),
    parameters=[_parameter("header", "Stripe-Signature", "As Stripe signs.", required=True)],
    requestBody={
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "example": examples.EVENT}},
    },
)  # fmt: skip
PRODUCTS: Final = _route(
    "listProducts",
    "The catalogue",
    _answers({200: _good(answers.Products, examples.PRODUCTS, "All products on sale.")}, _BUSY),
)
HEALTH: Final = _route(
    "healthz",
    "Alive?",
    {200: _good(answers.Health, {"status": "ok"}, "Alive.")},
    "Operations",
)
READINESS: Final = _route(
    "readyz",
    "Able to sell?",
    {
        200: _good(answers.Readiness, examples.READY, "Ready."),
        503: _good(answers.Readiness, examples.NOT_READY, "Not ready, and the mend."),
    },
    "Operations",
)
_FIGURES: Final = {"text/plain": {"example": examples.METRICS}}
METRICS: Final = _route(
    "metrics",
    "Figures for Prometheus",
    {200: {"description": "Prometheus text format.", "content": _FIGURES}},
    "Operations",
) | {"response_class": PlainTextResponse}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the application's routes; made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _describe(app)
    return app.openapi_schema


def _describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
    )
    known = [(model, "validation") for model in (*_REQUESTS, answers.Problem)]
    _, made = models_json_schema(known, ref_template=_REF)  # type: ignore[arg-type]
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(made["$defs"])
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    described: dict[str, Any] = _unveiled(document)
    return described
