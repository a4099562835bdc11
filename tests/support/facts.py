"""What the code offers, read off the code: the pages in docs/ must name each of these."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperGroup
from typer.main import get_command

from commande import errors
from commande.settings import Settings
from tests.support.house import sources

METRIC_TYPES = {"Counter", "Gauge", "Histogram", "Summary", "Info"}
VARIABLE = re.compile(r"\b(?:COMMANDE|STRIPE)_[A-Z][A-Z_]*[A-Z]\b")


def settings_variables() -> set[str]:
    """The environment variables that Settings reads."""
    return {str(field.validation_alias) for field in Settings.model_fields.values()}


def error_codes(root: Path) -> set[str]:
    """Every code that an answer can carry: of an error, and of a single wrong field."""

    def tree(kind: type[errors.CommandeError]) -> Iterator[type[errors.CommandeError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from tree(child)

    return {kind.code for kind in tree(errors.CommandeError)} | field_codes(root)


def field_codes(root: Path) -> set[str]:
    found = set()
    for source in sources(root, "src"):
        for node in source.nodes(ast.Call):
            match node:
                case ast.Call(
                    func=ast.Name(id="FieldError"), args=[_, ast.Constant(value=str(code)), *_]
                ):
                    found.add(code)
    return found


def metrics(root: Path) -> set[str]:
    """The names under which Prometheus finds the numbers."""
    found = set()
    for source in sources(root, "src"):
        for node in source.nodes(ast.Call):
            match node:
                case ast.Call(
                    func=ast.Name(id=kind) | ast.Attribute(attr=kind),
                    args=[ast.Constant(value=str(name)), *_],
                ) if kind in METRIC_TYPES:
                    counts = kind == "Counter" and not name.endswith("_total")
                    found.add(f"{name}_total" if counts else name)
    return found


def verbs(app: typer.Typer) -> dict[str, set[str]]:
    """Each verb of the command line (`products import`) with its long options."""

    def walk(group: TyperGroup, prefix: str) -> Iterator[tuple[str, set[str]]]:
        for name, command in group.commands.items():
            if isinstance(command, TyperGroup):
                yield from walk(command, f"{prefix}{name} ")
            else:
                options = {o for p in command.params for o in p.opts if o.startswith("--")}
                yield f"{prefix}{name}", options - {"--help"}

    root = get_command(app)
    assert isinstance(root, TyperGroup), "The command line has one verb only"
    return dict(walk(root, ""))


def missing_words(words: set[str], text: str) -> list[str]:
    """Those that do not stand in the text as words of their own."""
    return sorted(
        word for word in words if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)
    )


def variables_in(text: str) -> set[str]:
    return set(VARIABLE.findall(text))
