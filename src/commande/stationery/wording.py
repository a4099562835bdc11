"""What pages say, from files that hold French and English side by side."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

Texts = Mapping[str, tuple[str, str]]
"""By key: French, then English. Braces are filled in when a page is printed."""


def read_wording(path: Path) -> Texts:
    """The texts of a file. Raises ValueError for a text that is missing in one language."""
    texts: dict[str, tuple[str, str]] = {}
    for key, pair in tomllib.loads(path.read_text(encoding="utf-8")).items():
        match pair:
            case [str(french), str(english)]:
                texts[key] = (french, english)
            case _:
                raise ValueError(f"{path.name}: {key} needs a French and an English text")
    return texts


_FILE: Final = read_wording(Path(__file__).with_name("wording.toml"))

ATTENTION: Final = frozenset(
    key.split(".")[1] for key in _FILE if key.startswith("attention.") and key.endswith(".do")
)
"""The reasons that have words of their own."""


def _reasons() -> Texts:
    """The same reasons as lines of the history and within them."""
    found: dict[str, tuple[str, str]] = {}
    for code in ATTENTION:
        french, english = _FILE[f"attention.{code}"]
        # A fact may have words of its own; the reason to look is then another thing.
        found[f"fact.{code}"] = (_sentence(french), _sentence(english))
        found[f"reason.{code}"] = (french, english)
    return found


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


SHARED: Final[Texts] = {**_reasons(), **_FILE}
