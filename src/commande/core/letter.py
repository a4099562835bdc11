"""A letter: what the outbox sends."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["paid", "payment_failed"]
"""What letters there are."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to one person, rendered."""

    message_id: str
    """Stable across repeats, so that a receiver can drop the second one."""
    to: str
    subject: str
    text: str
    html: str
