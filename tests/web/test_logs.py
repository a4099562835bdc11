"""The log: one line per fact; what is private is hidden, whoever writes it."""

import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from commande.errors import StripeUnavailable
from commande.logs import HIDDEN, configure_logs, hide_private


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """The whole process's log, as JSON."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    configure_logs("json", "info", stream=written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


PRIVATE = [
    "ada@example.com", "sk_live_51Habc", "rk_test_x1", "whsec_a+b/c=", "cs_live_a1B2",
    "4242 4242 4242 4242", "4000056655665556", "+33 6 12 34 56 78", "06 12 34 56 78",
    "token=pJ3vXx0aYqk1nLr8", "postgresql://shop:pass@db/x", "Bcc: é.x@exa-mple.fr",
]  # fmt: skip


def test_what_gives_itself_away_is_hidden(stream: io.StringIO) -> None:
    for text in PRIVATE:
        structlog.get_logger().info(f"event {text}", note_of=text, deep={"list": [text, (text,)]})
        logging.getLogger("foreign").warning("said %s", text)
    for text in PRIVATE:
        assert text not in stream.getvalue(), text
    assert len(lines(stream)) == 2 * len(PRIVATE)


def test_what_is_no_secret_is_told(stream: io.StringIO) -> None:
    for text in (
        "evt_1a2B3c", "6744f3a09b1c2d3e4f506172", "2026-11-23T07:00:23.123456Z",
        "/api/checkout/commands/{command_id}", "127.0.0.1:8000", "re: 59.98 EUR",
    ):  # fmt: skip
        structlog.get_logger().info("fact", value=text, count=1234567890123456)
        assert lines(stream)[-1]["value"] == text
    assert lines(stream)[-1]["count"] == 1234567890123456


def test_names_of_private_things_hide_their_values(stream: io.StringIO) -> None:
    structlog.get_logger().info(
        "fact", email="x", Token="y", customer={"city": "Z"}, password=None, name="host:7"
    )
    (line,) = lines(stream)
    assert (line["email"], line["Token"], line["customer"]) == (HIDDEN, HIDDEN, HIDDEN)
    assert line["password"] is None and line["name"] == "host:7"


def crash(value: str) -> None:
    try:
        int(value)
    except ValueError as error:
        raise KeyError(value) from error


def test_a_traceback_tells_where_and_what_but_no_value(stream: io.StringIO) -> None:
    try:
        crash("Canarina")
    except KeyError:
        structlog.get_logger().exception("crashed")
        logging.getLogger("foreign").exception("crashed with Task exception\nCanarina\nCanarina")
    assert "Canarina" not in stream.getvalue()
    ours, foreign = lines(stream)
    for line in (ours, foreign):
        assert "in crash" in line["exception"] and "test_logs.py" in line["exception"]
        assert f"builtins.ValueError: {HIDDEN}" in line["exception"]
        assert f"builtins.KeyError: {HIDDEN}" in line["exception"]
        assert "/home/" not in line["exception"] and "/root/" not in line["exception"]
    assert foreign["logger"] == "foreign"
    assert foreign["event"] == "crashed with Task exception"


def test_our_own_words_and_those_of_the_program_are_told(stream: io.StringIO) -> None:
    for error in (
        StripeUnavailable("Stripe did not answer in time."),
        AttributeError("no attr"),
        ConnectionRefusedError(111, "Connection refused"),
        ExceptionGroup("all", [ValueError("Canarina"), TypeError("not callable")]),
    ):
        structlog.get_logger().error("failed", exc_info=error)
    told = stream.getvalue()
    for words in ("Stripe did not answer in time.", "no attr", "Connection refused",
                  "not callable"):  # fmt: skip
        assert words in told
    assert "Canarina" not in told


@pytest.mark.parametrize(
    "piece", ["a", "a@", "a.", "1 ", "+1", "://", "token=", "0 1", "é@é.", "-"]
)
def test_s44_no_text_takes_long_to_search(piece: str) -> None:
    began = time.thread_time()  # what the machine does besides does not count
    hide_private(None, "", {"event": piece * (50_000 // len(piece))})
    assert time.thread_time() - began < 2


def test_levels_and_forms(stream: io.StringIO) -> None:
    structlog.get_logger().debug("silent")
    logging.getLogger("sqlalchemy.engine").info("SELECT silent")
    logging.getLogger("uvicorn.access").info('"GET /?token=secret"')
    assert stream.getvalue() == ""
    console = io.StringIO()
    configure_logs("console", "debug", stream=console)
    structlog.get_logger().debug("spoken", count=3)
    assert "spoken" in console.getvalue() and "count=3" in console.getvalue()
    assert "\x1b[" not in console.getvalue(), "no colours where no terminal is"


def test_a_host_keeps_its_own_logging() -> None:
    before = logging.getLogger().handlers[:]
    stream = io.StringIO()
    configure_logs("json", "info", stream=stream, whole_process=False)
    try:
        assert logging.getLogger().handlers == before
        structlog.get_logger().info("ours")
        assert "ours" in stream.getvalue()
    finally:
        structlog.reset_defaults()
