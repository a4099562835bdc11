"""Adoption: a session that Stripe made for an attempt of ours, but whose row we lost."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from commande.core.command import AttemptState
from commande.core.payment import PaymentReport
from commande.core.pricing import adopt_total
from commande.db.attempts import change_attempt, lock_attempt
from commande.db.journal import record
from commande.db.pairs import knows_session


def adopt_session(
    conn: Connection,
    session_id: str,
    metadata: Mapping[str, str],
    report: PaymentReport,
    now: datetime,
) -> bool:
    """Give the attempt that the sealed metadata names its session; whether the session is ours.

    The caller has verified the seal. Repeat-safe. An attempt that already has another session is
    left alone, and so is a session whose attempt is gone.
    """
    if knows_session(conn, session_id):
        return True
    attempt = lock_attempt(conn, metadata["attempt_id"])
    if attempt is None or attempt.command_id != metadata["command_id"]:
        return False
    if attempt.stripe_session_id not in (None, session_id):
        return False
    values: dict[str, Any] = {"stripe_session_id": session_id, "url": report.url}
    values["opening_until"] = None
    if attempt.state is AttemptState.CREATING:
        values["state"] = AttemptState.OPEN
        values["opened_at"] = now
        adopted = adopt_total(attempt.quote, report.amount_minor or 0)
        if adopted is not None:
            # Stripe rounds tax in its own way; any other total is a mismatch, for a person.
            values |= {"quote": adopted.to_dict(), "amount_minor": adopted.total_minor}
    change_attempt(conn, attempt, **values)
    record(
        conn, attempt.command_id, now, "session_adopted", "stripe",
        once=session_id, session=session_id, number=attempt.number,
    )  # fmt: skip
    return True
