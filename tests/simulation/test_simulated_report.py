"""The report and the verb."""

import re
from html import escape
from pathlib import Path

import pytest
from typer.testing import CliRunner

from commande.cli.main import assemble
from commande.simulation.campaign import Totals
from commande.simulation.ground import Ground
from commande.simulation.mutants import Catch, Hunt
from commande.simulation.mutations import MUTANTS
from commande.simulation.points import POINTS
from commande.simulation.profile import draw_profile
from commande.simulation.report import mutant_markdown, write_report
from commande.simulation.run import Outcome, run_world
from commande.simulation.watch import Violation


@pytest.fixture
def totals(ground: Ground) -> Totals:
    found = Totals(12, seconds=1.0)
    found.add(run_world(draw_profile(12, checkouts=8), ground))
    return found


def test_the_report_stands_alone_and_names_every_point(totals: Totals) -> None:
    page = write_report(totals)
    assert not re.search(r"(src|href)\s*=|@import|url\(", page)
    assert all(f"<td>{point}<td>" in page for point in POINTS)
    assert "No invariant broke." in page
    assert page.count("<svg") > 3


def test_the_report_shows_what_broke_and_how_to_see_it_again(totals: Totals) -> None:
    totals.add(Outcome(77, 20, 5, "abc", [Violation("I1", "<b>money</b> was lost")]))
    page = write_report(totals)
    assert "1 of 2 worlds broke an invariant." in page
    assert "commande simulate --world 77" in page
    assert "&lt;b&gt;" in page


@pytest.fixture
def caught() -> list[Catch]:
    three = tuple(Hunt(True, n, 40 * n, "I7: taken", 1001) for n in (3, 1, 2))
    return [Catch(MUTANTS[0], three), Catch(MUTANTS[1], (three[0], Hunt(False, 60, 2400)))]


def test_the_report_lists_seeded_bugs(caught: list[Catch]) -> None:
    page = write_report(Totals(1), caught=caught)
    assert "1 of 2 were caught." in page
    assert "3 of 3<td class=n>2<td class=n>80<td class=n>1001<td>I7: taken" in page
    assert "1 of 2<td class=n>–" in page


def test_the_table_for_the_document_has_a_row_for_each_bug(caught: list[Catch]) -> None:
    lines = mutant_markdown(caught).splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {10}
    assert lines[2].startswith(f"| {MUTANTS[0].name.replace('_', ' ')} |")
    assert "| 3 of 3 | 2 | 80 | 1001 | I7: taken |" in lines[2]


def test_the_document_names_exactly_the_seeded_bugs_and_none_got_away() -> None:
    document = Path(__file__).parents[2] / "docs" / "simulation.md"
    rows = {}
    for line in document.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 9:
            rows[cells[0]] = cells
    del rows["bug"], rows["---"]
    known = {mutant.name.replace("_", " "): mutant for mutant in MUTANTS}
    assert list(rows) == list(known), "run: commande simulate --mutants --markdown"
    for name, (_, breaks, layers, _, found, *_) in rows.items():
        assert (breaks, layers) == (known[name].breaks, str(known[name].layers))
        caught, _, searches = found.partition(" of ")
        assert caught == searches, f"{name} was not caught in every search"


def test_the_report_says_what_each_count_means(totals: Totals) -> None:
    page = write_report(totals)
    assert all(f"<td class=muted>{escape(point.counted)}<" in page for point in POINTS.values())


def test_the_verb_writes_a_report_and_ends_well(tmp_path: Path, ground: Ground) -> None:
    report = tmp_path / "simulation.html"
    ran = CliRunner().invoke(
        assemble(), ["simulate", "--checkouts", "20", "--seed", "9", "--report", str(report)]
    )
    assert ran.exit_code == 0, ran.output
    assert "No invariant broke." in ran.output
    assert report.read_text().startswith("<!doctype html>")


def test_the_verb_tells_the_story_of_one_world(ground: Ground) -> None:
    without = ",".join(f"customer-{number}" for number in range(2, 80))
    ran = CliRunner().invoke(assemble(), ["simulate", "--world", "9", "--without", without])
    assert ran.exit_code == 0, ran.output
    assert "open_command" in ran.output
    assert re.search(r"Seed 9: \d+ checkouts, [\d,]+ steps, trace [0-9a-f]{24}\.", ran.output)
