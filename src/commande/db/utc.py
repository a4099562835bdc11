"""Times as columns: aware UTC on both databases."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, TypeDecorator
from sqlalchemy.engine import Dialect


class Utc(TypeDecorator[datetime]):
    """Aware UTC on both databases: TIMESTAMPTZ, or SQLite's sortable text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Any:
        """Refuse naive times; SQLite stores them without an offset, always UTC."""
        return _to_text if dialect.name == "sqlite" else _to_utc

    def result_processor(self, dialect: Dialect, _coltype: object) -> Any:
        """Give aware UTC back."""
        return _from_text if dialect.name == "sqlite" else _to_utc


def _to_utc(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a time without a zone")
    return value.astimezone(UTC)


def _to_text(value: datetime | None) -> str | None:
    at = _to_utc(value)
    return at.replace(tzinfo=None).isoformat(" ", "microseconds") if at else None


def _from_text(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored).replace(tzinfo=UTC)
