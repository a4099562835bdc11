"""Logs: one line per fact, for people or for machines, without secrets and personal data.

Nothing personal is handed to the log in the first place; what stands here is the second line of
defence, also for what foreign packages write.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from typing import Any, Final, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

Format = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]

HIDDEN: Final = "•••"

# Names under which a secret or a person could come; whatever stands there is hidden whole.
_PRIVATE: Final = frozenset(
    "address api_key authorization body city cookie customer customer_email customer_name email "
    "fax first_name firstname last_name lastname note params password payload phone postal_code "
    "postalcode query secret set_cookie signature stripe_signature token url".split()
)
# What gives itself away by its form, in whatever text: keys, session ids, tokens in addresses,
# passwords in addresses, e-mail addresses, phone numbers, card numbers.
_TELLTALE: Final = re.compile(
    r"""
    \b(?:sk|rk|pk)_(?:test|live)_\w+ | \bwhsec_[\w+/=]+ | \bcs_(?:test|live)_\w+
    | (?<=token=)[^\s&"'<>]+ | (?<=password=)[^\s&"'<>]+ | (?<=://)[^\s/@"'<>]+(?=@)
    | (?<![^\s@"'<>(),:;=])[^\s@"'<>(),:;=]+@[^\s@"'<>(),:;=]+\.[^\s@"'<>(),:;=]+
    | (?<![\w.])\+\d[\d .()-]{7,20}\d | (?<![\w.-])0\d(?:[ .-]?\d\d){4}(?![\w.-])
    | (?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w.-])
    """,
    re.VERBOSE,
)
# Their messages name things of the program, not what passed through it.
_HARMLESS: Final = (
    AssertionError,
    AttributeError,
    ImportError,
    NameError,
    RecursionError,
    TypeError,
)


def configure_logs(
    log_format: Format,
    level: Level,
    *,
    stream: TextIO | None = None,
    whole_process: bool = True,
) -> None:
    """Send the log to ``stream`` (standard error), as lines for people or as JSON.

    ``whole_process`` takes over the standard library's logging too; an application that is mounted
    in another program leaves that to its host. May be repeated: the last call counts.
    """
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    render = _renderer(log_format, out)
    structlog.configure(
        processors=[*_COMMON, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    if whole_process:
        _take_over(out, number, render)


def _renderer(log_format: Format, out: TextIO) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(serializer=_to_json)
    return structlog.dev.ConsoleRenderer(colors=out.isatty(), sort_keys=False)


def _to_json(event: EventDict, **_options: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def _take_over(out: TextIO, level: int, render: Processor) -> None:
    """Let uvicorn, asyncio and every other package write through the same processors."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_from_elsewhere, *_COMMON],
            processors=[render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(max(level, least))


# uvicorn's own access log holds query strings, and with them tokens; ours replaces it.
_NOISY: Final = {
    "uvicorn.access": logging.CRITICAL,
    "aiohttp": logging.WARNING,
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "stripe": logging.WARNING,
}


def _from_elsewhere(logger: Any, _method: str, event: EventDict) -> EventDict:
    """A foreign line: its first line only, for asyncio repeats whole exceptions below it."""
    record = event.get("_record")
    event["logger"] = record.name if record is not None else str(logger)
    event["event"] = str(event.get("event", "")).partition("\n")[0]
    return event


def tell_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Put a traceback into the event: files, lines, our own code; never a value."""
    given = event.pop("exc_info", None)
    if isinstance(given, tuple):
        given = given[1]
    elif given is True or (given and not isinstance(given, BaseException)):
        given = sys.exc_info()[1]
    if isinstance(given, BaseException):
        event["exception"] = "\n".join(_describe(given))
    return event


def _describe(error: BaseException, deep: int = 5) -> Iterator[str]:
    """The frames and the class of an error and of what caused it, the cause first."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and deep:
        yield from _describe(cause, deep - 1)
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  {_short(frame.filename)}:{frame.lineno} in {frame.name}"
    yield f"{type(error).__module__}.{type(error).__qualname__}: {_message(error)}"
    if isinstance(error, BaseExceptionGroup) and deep:
        for each in error.exceptions:
            yield from _describe(each, deep - 1)


def _short(path: str) -> str:
    """The path without what tells where this machine keeps its programs."""
    for mark in ("/site-packages/", "/src/", "/lib/"):
        _, found, rest = path.rpartition(mark)
        if found:
            return rest
    return path.rpartition("/")[2]


def _message(error: BaseException) -> str:
    """An error's own words, where they cannot repeat what somebody sent.

    Ours never do; a foreign ValueError or database error may quote a whole row.
    """
    ours = type(error).__module__.partition(".")[0] == "commande"
    if ours or isinstance(error, _HARMLESS):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return HIDDEN


def hide_private(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Hide what must not be in a log, by its name or by its form."""
    return _hidden_in(event)


def _hidden_in(given: MutableMapping[str, Any]) -> EventDict:
    return {
        key: HIDDEN if key.lower() in _PRIVATE and value is not None else _hidden(value)
        for key, value in given.items()
        if not key.startswith("_")
    }


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        # The shortest e-mail address has six characters, and most values are shorter.
        return _TELLTALE.sub(HIDDEN, value) if len(value) > 5 else value
    if isinstance(value, dict):
        return _hidden_in(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _TELLTALE.sub(HIDDEN, str(value))


_COMMON: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    tell_exception,
    hide_private,
)
