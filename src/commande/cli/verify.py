"""``verify``: hold a running server, whoever wrote it, to the promises of a checkout."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from commande.cli.terminal import Exit, JsonOption, fail, out, print_json, progress, table
from commande.settings import parse_duration
from commande.verify import Refused, Result
from commande.verify import verify as verify_server

_COLOURS: Final = {"held": "green", "broken": "red", "not run": "yellow"}


def _seconds(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise fail(f"--patience: {error}") from None


def verify(
    url: Annotated[str, typer.Option(help="Address of the server, with its prefix.")],
    stripe: Annotated[
        str | None, typer.Option(help="Address of the stand-in for Stripe that it was given.")
    ] = None,
    mails: Annotated[
        Path | None,
        typer.Option(help="Folder of its letters (COMMANDE_MAIL_URL=file://…).", exists=True),
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="Bearer token, where a proxy before it asks for one.")
    ] = None,
    key: Annotated[str, typer.Option(help="Key of the stand-in.")] = "sk_test_verify",
    appointment: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it takes orders for, in ISO 8601.")
    ] = None,
    patience: Annotated[
        str, typer.Option(metavar="DURATION", help="For what it does by itself: 30s, 6m.")
    ] = "30s",
    as_json: JsonOption = False,
) -> None:
    """See from outside whether a test server keeps the promises of a checkout.

    It opens commands of verify@example.com, pays at the stand-in, loses and doubles webhooks, and
    leaves nothing that can be paid. Exit code 0: every check that was run holds.
    """
    for address in (url, stripe):
        if address is not None and not address.startswith(("http://", "https://")):
            raise fail(f"Give an absolute address such as http://127.0.0.1:8000, not {address}")
    try:
        with progress("Verifying", quiet=as_json) as bar:
            results = verify_server(
                url, stripe, token=token, key=key, mails=mails,
                appointment=appointment, patience=_seconds(patience), progress=bar,
            )  # fmt: skip
    except Refused as error:
        raise fail(str(error)) from None
    if as_json:
        print_json(_document(url, stripe, results))
    else:
        _print(results)
    if any(result.outcome == "broken" for result in results):
        raise typer.Exit(Exit.ATTENTION)


def _counts(results: list[Result]) -> dict[str, int]:
    return {word: sum(r.outcome == word for r in results) for word in _COLOURS}


def _document(url: str, stripe: str | None, results: list[Result]) -> dict[str, object]:
    counts = _counts(results)
    return {
        "url": url,
        "stripe": stripe,
        "held": counts["held"],
        "broken": counts["broken"],
        "notRun": counts["not run"],
        "checks": [
            {"name": result.check.name, "invariant": result.check.invariant or None,
             "sentence": result.check.sentence, "outcome": result.outcome,
             "evidence": result.evidence}
            for result in results
        ],
    }  # fmt: skip


def _print(results: list[Result]) -> None:
    shown = table("check", "invariant", "", "evidence", right=("invariant",))
    shown.columns[-1].no_wrap = False
    for result in results:
        colour = _COLOURS[result.outcome]
        number = str(result.check.invariant or "–")
        word = Text(result.outcome, colour)
        shown.add_row(result.check.name, number, word, result.evidence)
    out.print(shown)
    counts = _counts(results)
    out.print(", ".join(f"{count} {word}" for word, count in counts.items()) + ".")
