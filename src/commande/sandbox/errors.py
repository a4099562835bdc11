"""Errors in Stripe's shape."""

from typing import Any

_DOCUMENTED = "https://docs.stripe.com/error-codes#"


class Refusal(Exception):
    """An answer of Stripe's that is an error: status, type, code, parameter and sentence.

    `before_execution` tells the idempotency layer that nothing was begun, so nothing is kept.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",  # noqa: A002 - Stripe's own word
        code: str | None = None,
        param: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.more = more

    def body(self, request_id: str) -> dict[str, Any]:
        error: dict[str, Any] = {}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = _DOCUMENTED + self.code.replace("_", "-")
        error["message"] = self.message
        if self.param:
            error["param"] = self.param
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        error["type"] = self.type
        return {"error": error | self.more}


def missing(kind: str, id_: str, param: str = "id", status: int = 404) -> Refusal:
    """No such object. Stripe answers 404 when the id is the address, 400 when it is a parameter."""
    return Refusal(f"No such {kind}: '{id_}'", status=status, code="resource_missing", param=param)
