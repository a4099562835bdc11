"""What all pages share: receipts, the story of a command, amounts of time."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from commande.core.command import Status
from commande.core.pricing import PricedLine, quote
from commande.core.tax import TaxRate
from commande.db.journal import Fact
from commande.stationery import Press, read_wording, tell, tell_by_day, write_receipt
from commande.stationery.wording import ATTENTION

ROOT = Path(__file__).parents[2]
PRESS = Press(Path(__file__).parent, {}, ZoneInfo("Europe/Paris"))
FRENCH, ENGLISH = PRESS.voice("fr"), PRESS.voice("en")
AT = datetime(2026, 11, 23, 13, 2, 11, tzinfo=UTC)


def fact(kind: str, source: str = "webhook", **detail: object) -> Fact:
    return Fact(AT, kind, source, detail)


def test_a_receipt_adds_up_with_several_rates_within_and_on_top() -> None:
    within, on_top = TaxRate("FR", Decimal("5.5"), True), TaxRate("FR", Decimal(20), False)
    receipt = write_receipt(
        quote(
            [PricedLine("a", "Pain", "entier", 2, 680, within),
             PricedLine("b", "Monture", "seule", 1, 10000, on_top)],
            "eur",
        ),
        FRENCH,
    )  # fmt: skip
    assert [line.title for line in receipt.lines] == ["2 × Pain", "1 × Monture"]
    assert receipt.lines[0].detail == "entier, 6,80\u202f€ pièce"
    assert receipt.on_top == [("TVA 20\u202f%", "20,00\u202f€")]
    assert receipt.within == [("dont TVA 5,5\u202f%", "0,71\u202f€")]
    assert (receipt.total, receipt.net) == ("133,60\u202f€", "112,89\u202f€")


@pytest.mark.parametrize("code", sorted(ATTENTION))
def test_every_reason_to_look_has_words_and_advice_in_both_languages(code: str) -> None:
    for voice in (FRENCH, ENGLISH):
        assert voice.say(f"attention.{code}") != code
        assert len(voice.say(f"attention.{code}.do")) > 30
    line = tell([fact(code)], FRENCH, "eur", customer=False)[0]
    assert line.title[0].isupper() and "_" not in line.title and line.mark == "odd"


def test_the_reasons_with_words_are_those_that_the_documents_name() -> None:
    document = (ROOT / "docs" / "cart-management.md").read_text(encoding="utf-8")
    section = document.split("## When a person must look")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == ATTENTION


def test_every_fact_that_the_shop_records_has_words() -> None:
    sources = [f for room in ("db", "flows") for f in (ROOT / "src/commande" / room).glob("*.py")]
    code = "\n".join(file.read_text(encoding="utf-8") for file in sources)
    kinds = set(re.findall(r'\brecord\(\s*conn, [^"()]*"(\w+)"', code))
    kinds |= set(re.findall(r'\brecord, [^"()]*"(\w+)"', code))
    kinds |= set(re.findall(r'\.note\(conn, "(\w+)"', code))
    assert {"opened", "paid", "refunded", "confirmed", "price_moved"} <= kinds
    kinds |= {f"mail_{state}" for state in ("sent", "skipped", "failed", "held")}
    kinds |= {f"refund_{s}" for s in ("creating", "pending", "succeeded", "failed", "canceled")}
    kinds |= {"late", "duplicate", *ATTENTION}
    assert {kind for kind in kinds if not FRENCH.knows(f"fact.{kind}")} == set()


def test_every_state_that_a_row_can_have_has_words() -> None:
    # Read off the constraints of the tables, so that a new state is not forgotten here.
    code = (ROOT / "src/commande/db/tables.py").read_text(encoding="utf-8")
    desk = read_wording(ROOT / "src/commande/admin/wording.toml")
    outcomes = re.search(r'_one_of\("outcome", ([^)]*)\)', code)
    states = re.search(r'_one_of\("state", ("creating"[^)]*"closed")\)', code)
    assert outcomes is not None and states is not None
    for family, found in (("outcome", outcomes), ("attempt", states)):
        for word in re.findall(r'"(\w+)"', found[1]):
            assert f"{family}.{word}" in desk
    for status in Status:
        assert FRENCH.knows(f"status.{status.value}")


def test_a_fact_of_a_later_version_is_shown_readably_and_not_hidden() -> None:
    line = tell(
        [fact("stock_held", "warehouse", pieces=3, until_minor=250, gone=None, tags=["a", "b"])],
        FRENCH, "eur", customer=False,
    )[0]  # fmt: skip
    assert (line.title, line.source) == ("Stock held", "warehouse")
    assert line.more == "pieces: 3, until: 2,50\u202f€, tags: a, b"


def test_a_fact_that_lacks_a_detail_is_told_without_it() -> None:
    line = tell([fact("paid")], FRENCH, "eur", customer=False)[0]
    assert (line.title, line.more) == ("Payée", "")
    own = tell([fact("paid")], FRENCH, "eur", customer=True)[0]
    assert own.title == "Payée"


def test_customers_read_what_concerns_them_in_their_words() -> None:
    story = [
        fact("opened", "browser", total_minor=5998),
        fact("event_repeated"),
        fact("paid", total_minor=5998, session="cs_1"),
        fact("mail_sent", letter="paid"),
    ]
    told = tell(story, FRENCH, "eur", customer=True)
    assert [line.title for line in told] == [
        "Commande ouverte", "Payée, 59,98\u202f€", "E-mail parti\u202f: confirmation",
    ]  # fmt: skip
    assert {line.code for line in told} == {""}


def test_the_catalogue_that_moved_is_told_with_both_prices() -> None:
    moved = fact("price_moved", "catalogue", title="Bouquet", type="grand", charged_minor=4490,
                 current_minor=4590)  # fmt: skip
    gone = fact("price_moved", "catalogue", title="Bouquet", type="grand", charged_minor=4490,
                current_minor=None)  # fmt: skip
    first, second = tell([moved, gone], ENGLISH, "eur", customer=False)
    assert "€45.90 in the catalogue" in first.more and "keeps €44.90" in first.more
    assert "no longer in the catalogue" in second.more


def test_stripes_long_ids_stand_only_where_they_come_up_first() -> None:
    lines = tell(
        [fact("session_opened", session="cs_1"), fact("paid", session="cs_1"),
         fact("paid_twice", session="cs_2")],
        FRENCH, "eur", customer=False,
    )  # fmt: skip
    assert [line.code for line in lines] == ["cs_1", "", "cs_2"]


def test_a_story_of_several_days_is_told_by_day_in_the_shops_zone() -> None:
    late = Fact(datetime(2026, 11, 23, 23, 30, tzinfo=UTC), "expired", "worker", {})
    days = tell_by_day(tell([fact("opened"), late], FRENCH, "eur", customer=False), FRENCH)
    assert [day for day, _ in days] == [
        "lundi 23\u00a0novembre 2026",
        "mardi 24\u00a0novembre 2026",
    ]


@pytest.mark.parametrize(
    ("seconds", "french", "english"),
    [(-5, "à l’instant", "just now"), (59, "à l’instant", "just now"),
     (180, "il y a 3 min", "3 min ago"), (7200, "il y a 2 h", "2 h ago"),
     (200_000, "il y a 2 j", "2 d ago")],
)  # fmt: skip
def test_how_long_ago(seconds: int, french: str, english: str) -> None:
    now = AT + timedelta(seconds=seconds)
    assert FRENCH.ago(AT, now).replace("\u202f", " ") == french
    assert ENGLISH.ago(AT, now) == english
