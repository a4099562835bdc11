"""What is raised when a request or an answer is not what Stripe's SDK describes."""

from collections.abc import Iterable
from typing import Any

# One mistake often shows as several complaints; more than this many is noise.
SHOWN = 8


class SchemaMismatch(AssertionError):
    """Something differs from the SDK's annotations; the message says where and how."""


def json_path(steps: Iterable[str | int]) -> str:
    """Write steps into a document as `$.line_items[0].quantity`."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def check(validator: Any, instance: Any, what: str, root: tuple[str | int, ...] = ()) -> None:
    """Raise `SchemaMismatch` naming every place where `instance` breaks the compiled schema."""
    if validator.is_valid(instance):
        return
    errors = list(validator.iter_errors(instance))
    lines = [f"{json_path((*root, *error.instance_path))}: {_said(error)}" for error in errors]
    if len(lines) > SHOWN:
        lines[SHOWN:] = [f"… and {len(lines) - SHOWN} more"]
    raise SchemaMismatch("\n  ".join([f"{what} is not what the SDK describes", *lines]))


def _said(error: Any) -> str:
    message = str(error.message)
    # A whole object quoted in front of the complaint would bury it.
    return message if len(message) <= 400 else f"… {message[-400:]}"
