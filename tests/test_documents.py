"""The documents tell the truth: what they show runs, what exists is told, links lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.support import documents, facts

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def names(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(*pages: str) -> str:
    return "\n".join((ROOT / page).read_text(encoding="utf-8") for page in pages)


RUNNABLE = [page for page in PAGES if documents.blocks(page.read_text(encoding="utf-8"))]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=names)
def test_what_a_document_shows_runs(page: Path, tmp_path: Path) -> None:
    documents.run_blocks(page.read_text(encoding="utf-8"), ROOT, tmp_path)


def test_the_readme_shows_something_that_runs() -> None:
    assert ROOT / "README.md" in RUNNABLE


def test_the_readme_names_its_two_commands() -> None:
    readme = text_of("README.md")
    assert "scripts/demo" in readme
    assert "scripts/test" in readme


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert documents.broken_links(page) == []


def test_every_setting_is_documented_and_none_that_is_not_there() -> None:
    settings = text_of("docs/settings.md")
    assert facts.missing_words(facts.settings_variables(), settings) == []
    everywhere = text_of(*[names(page) for page in PAGES])
    assert facts.variables_in(everywhere) - facts.settings_variables() == set()


def test_every_error_code_is_documented() -> None:
    assert facts.missing_words(facts.error_codes(ROOT), text_of("docs/api.md")) == []


def test_every_metric_is_documented() -> None:
    metrics = facts.metrics(ROOT)
    assert metrics, "no metric was found in the source: is there still one?"
    assert facts.missing_words(metrics, text_of("docs/operating.md")) == []


def test_every_verb_and_option_is_documented() -> None:
    from commande.cli.main import assemble  # here: the other tests of this file run without it

    manual = text_of("docs/operating.md")
    verbs = facts.verbs(assemble())
    assert {"demo", "serve", "init", "products import"} <= verbs.keys()
    assert facts.missing_words({f"commande {verb}" for verb in verbs}, manual) == []
    assert facts.missing_words({o for options in verbs.values() for o in options}, manual) == []


def test_the_changelog_names_the_version() -> None:
    version = re.search(r'"(.+)"', text_of("src/commande/version.py"))
    assert version is not None
    changelog = text_of("CHANGELOG.md")
    assert "## [Unreleased]" in changelog or f"## [{version[1]}]" in changelog


def test_a_block_that_fails_is_told_with_its_output(tmp_path: Path) -> None:
    page = "<!-- run -->\n```sh\necho first; false; echo second\n```\n"
    with pytest.raises(RuntimeError, match=r"ended with 1:\nfirst\n$"):
        documents.run_blocks(page, tmp_path, tmp_path / "copy")


def test_blocks_run_in_order_beside_a_server_and_unmarked_ones_do_not(tmp_path: Path) -> None:
    page = """
```sh
exit 1
```
<!-- run -->
```sh
mkdir healthz && echo Bonjour > healthz/index.html
```
<!-- run in the background -->
```sh
python -m http.server --bind 127.0.0.1 8000
```
<!-- run -->
```python
from urllib.request import urlopen
print(urlopen("http://127.0.0.1:8000/healthz/").read().decode())
```
"""
    (tmp_path / "origin").mkdir()
    printed = documents.run_blocks(page, tmp_path / "origin", tmp_path)
    assert printed == ["", "Bonjour\n\n"]


def test_a_mark_before_no_block_is_refused() -> None:
    with pytest.raises(ValueError, match="run mark"):
        documents.blocks("<!-- run -->\nSome words.\n")


def test_a_dead_link_and_a_dead_anchor_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A title\n[a](#a-title) [b](#b) [c](gone.md) [d](https://example.org) `[e](f)`\n"
    )
    assert documents.broken_links(page) == ["page.md: #b", "page.md: gone.md"]


def test_a_missing_word_is_found() -> None:
    assert facts.missing_words({"too_long", "too"}, "`too_long`, to") == ["too"]
    assert facts.missing_words({"--json", "--js"}, "use `--json`") == ["--js"]
