"""Every text exists in both languages, every text that a page asks for exists, none is idle."""

import re
import string
from pathlib import Path

import pytest

import commande
from commande.format import typeset
from commande.stationery.wording import SHARED, Texts, read_wording

ROOT = Path(commande.__file__).parent
ROOMS = {
    "web": (ROOT / "web" / "pages", ROOT / "web" / "templates"),
    "admin": (ROOT / "admin", ROOT / "admin" / "templates"),
}
SHARED_TEMPLATES = ROOT / "stationery" / "templates"
# Built from a value: status, fault, state of an attempt …
FAMILIES = re.compile(
    r"(status|attention|reason|fact|source|letter|error|drawing|failure|attempt|outcome|language"
    r"|tab|empty|tongue|ago)[.]|cart[.]\w+[.]note|form[.](stripe_down|closed|\w*(Name|Code)|email|phone|address|city|fax)|done[.]mail[.]"
    r"|done[.](title[.])?(paid|refunded|partially_refunded)$|(price|gone|paid|expired)[.](title|lead)$"
    r"|unpaid[.]title$|panel[.](lost|doubled|kill)"
)
ASKED = re.compile(r"""(?:say|many|knows)\(\s*["']([\w.]+)["']\s*[,)]""")


def texts(room: str) -> Texts:
    return {**SHARED, **read_wording(ROOMS[room][0] / "wording.toml")}


def source(room: str) -> str:
    folder, templates = ROOMS[room]
    files = [*folder.glob("*.py"), *templates.glob("*.html"), *SHARED_TEMPLATES.glob("*.html")]
    files += (ROOT / "stationery").glob("*.py")
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def braces(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("room", ROOMS)
def test_both_languages_fill_in_the_same_facts(room: str) -> None:
    odd = [
        key for key, (french, english) in texts(room).items() if braces(french) != braces(english)
    ]
    assert odd == []


def test_a_text_in_one_language_only_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "wording.toml"
    for line in ('"a" = ["oui"]', '"a" = "oui"', '"a" = ["oui", 1]'):
        file.write_text(line, encoding="utf-8")
        with pytest.raises(ValueError, match="needs a French and an English text"):
            read_wording(file)


@pytest.mark.parametrize("room", ROOMS)
def test_every_text_that_a_page_asks_for_exists(room: str) -> None:
    known = texts(room)
    asked = set(ASKED.findall(source(room)))
    assert asked
    missing = {k for k in asked if k not in known and f"{k}.one" not in known}
    assert missing == set()


@pytest.mark.parametrize("room", ROOMS)
def test_no_text_is_idle(room: str) -> None:
    asked = set(ASKED.findall(source(room)))
    quoted = set(re.findall(r'"([a-z]\w*(?:\.\w+)+|[a-z]+)"', source(room)))
    own = read_wording(ROOMS[room][0] / "wording.toml")
    idle = {
        key
        for key in own
        if key not in asked | quoted
        and key.removesuffix(".one").removesuffix(".other") not in asked
        and not FAMILIES.match(key)
    }
    assert idle == set()


@pytest.mark.parametrize("room", ROOMS)
def test_french_is_written_so_that_it_can_be_set_by_a_printer(room: str) -> None:
    for key, (french, _) in texts(room).items():
        shown = typeset(french, "fr")
        assert "'" not in shown, key
        # A mark that nothing separates from its word was forgotten (a time or an address aside).
        assert not re.search(r"[^\W\d_][;!?]", shown), key


def test_every_wrong_field_of_the_form_has_words() -> None:
    fields = (ROOT / "web" / "fields.py").read_text(encoding="utf-8")
    codes = set(re.findall(r'refuse\(\s*"(\w+)"', fields))
    # What a form of ours cannot send: other types, products, quantities, countries, locales.
    unreachable = {
        "invalid_type", "not_an_integer", "out_of_range", "invalid_id", "unknown_country",
        "nonexistent_time", "too_far",
    }  # fmt: skip
    known = texts("web")
    assert {code for code in codes - unreachable if f"error.{code}" not in known} == set()


@pytest.mark.parametrize("room", ROOMS)
def test_no_page_carries_style_or_script_within_itself(room: str) -> None:
    for file in [*ROOMS[room][1].glob("*.html"), *SHARED_TEMPLATES.glob("*.html")]:
        body = file.read_text(encoding="utf-8")
        assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:|\|\s*safe", body), file.name
        assert not re.search(r"<script(?![^>]*\ssrc=)", body), file.name
        assert not re.search(r"""(href|src|action)=["']https?:""", body), file.name
