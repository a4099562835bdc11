"""How amounts, dates and sentences look: French as a French printer sets it."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from string import ascii_lowercase
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commande.core.money import GRANULARITY, exponent, is_currency
from commande.format import date, day, hour, moment, money, number, percent, short_day, typeset

PARIS = ZoneInfo("Europe/Paris")
NNBSP, NBSP, MINUS = "\u202f", "\u00a0", "\u2212"


def at(*parts):
    return datetime(*parts, tzinfo=PARIS)


@pytest.mark.parametrize(
    ("minor", "currency", "french", "english"),
    [
        (5998, "eur", f"59,98{NNBSP}€", "€59.98"),
        (123450, "eur", f"1{NNBSP}234,50{NNBSP}€", "€1,234.50"),
        (123456789, "eur", f"1{NNBSP}234{NNBSP}567,89{NNBSP}€", "€1,234,567.89"),
        (0, "eur", f"0,00{NNBSP}€", "€0.00"),
        (5, "eur", f"0,05{NNBSP}€", "€0.05"),
        (-500, "eur", f"{MINUS}5,00{NNBSP}€", f"{MINUS}€5.00"),
        (5000, "jpy", f"5{NNBSP}000{NNBSP}JPY", "¥5,000"),
        (12340, "kwd", f"12,340{NNBSP}KWD", f"KWD{NBSP}12.340"),
        (50000, "isk", f"500{NNBSP}ISK", f"ISK{NBSP}500"),
        (1250, "rsd", f"12,50{NNBSP}RSD", f"RSD{NBSP}12.50"),
        (5998, "chf", f"59,98{NNBSP}CHF", f"CHF{NBSP}59.98"),
        (5998, "usd", f"59,98{NNBSP}$US", "$59.98"),
    ],
)
def test_money(minor, currency, french, english):
    assert money(minor, currency, "fr") == french
    assert money(minor, currency, "en") == english


CODES = [code for letters in product(ascii_lowercase, repeat=3)
         if is_currency(code := "".join(letters))]  # fmt: skip


@given(st.integers(0, 10**12), st.sampled_from(CODES), st.sampled_from(["fr", "en"]))
def test_money_shows_every_digit_that_stripe_charges(minor, currency, locale):
    minor -= minor % GRANULARITY.get(currency, 1)
    shown = "".join(c for c in money(minor, currency, locale) if c.isdigit())
    hidden = "00" if GRANULARITY.get(currency) == 100 else ""
    assert shown.lstrip("0") + hidden == (str(minor) if minor else hidden)
    assert " " not in money(minor, currency, locale), "an amount never breaks over two lines"
    assert exponent(currency) in (0, 2, 3)


def test_numbers_and_percentages():
    assert number(12500, "fr") == f"12{NNBSP}500"
    assert number(-12500, "en") == f"{MINUS}12,500"
    assert percent(Decimal("5.5"), "fr") == f"5,5{NNBSP}%"
    assert percent(20, "fr") == f"20{NNBSP}%"
    assert percent(8.1, "en") == "8.1%"
    assert percent(Decimal("20.00"), "en") == "20%"


def test_days_in_french():
    late = at(2026, 11, 26, 14, 0)
    assert day(late, PARIS, "fr") == f"jeudi 26{NBSP}novembre 2026"
    assert day(late, PARIS, "fr", year=False) == f"jeudi 26{NBSP}novembre"
    assert date(late, PARIS, "fr") == f"26{NBSP}novembre 2026"
    assert short_day(late, PARIS, "fr") == f"jeu.{NBSP}26{NBSP}nov."
    assert day(at(2026, 12, 1), PARIS, "fr") == f"mardi 1er{NBSP}décembre 2026"
    assert date(at(2026, 8, 21), PARIS, "fr") == f"21{NBSP}août 2026"


def test_days_in_english():
    late = at(2026, 11, 26, 14, 0)
    assert day(late, PARIS, "en") == f"Thursday, November{NBSP}26, 2026"
    assert day(late, PARIS, "en", year=False) == f"Thursday, November{NBSP}26"
    assert date(at(2026, 12, 1), PARIS, "en") == f"December{NBSP}1, 2026"
    assert short_day(late, PARIS, "en") == f"Thu, Nov{NBSP}26"


@pytest.mark.parametrize(
    ("clock", "french", "english"),
    [
        ((14, 0), f"14{NNBSP}h", f"2:00{NBSP}PM"),
        ((14, 30), f"14{NNBSP}h{NNBSP}30", f"2:30{NBSP}PM"),
        ((9, 5), f"9{NNBSP}h{NNBSP}05", f"9:05{NBSP}AM"),
        ((0, 0), f"0{NNBSP}h", f"12:00{NBSP}AM"),
        ((12, 0), f"12{NNBSP}h", f"12:00{NBSP}PM"),
        ((23, 59), f"23{NNBSP}h{NNBSP}59", f"11:59{NBSP}PM"),
    ],
)
def test_hours(clock, french, english):
    assert hour(at(2026, 11, 26, *clock), PARIS, "fr") == french
    assert hour(at(2026, 11, 26, *clock), PARIS, "en") == english


def test_times_are_told_in_the_shops_zone():
    midnight = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert moment(midnight, PARIS, "fr") == (
        f"vendredi 1er{NBSP}janvier 2027 à{NBSP}0{NNBSP}h{NNBSP}30"
    )
    assert moment(midnight, ZoneInfo("America/New_York"), "en", year=False) == (
        f"Thursday, December{NBSP}31 at{NBSP}6:30{NBSP}PM"
    )
    summer = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    assert hour(summer, PARIS, "fr") == f"14{NNBSP}h"


@pytest.mark.parametrize(
    ("typed", "set_"),
    [
        ("Une question ?", f"Une question{NNBSP}?"),
        ("Attention !", f"Attention{NNBSP}!"),
        ("Payé : 5 % ; 3 €", f"Payé{NNBSP}: 5{NNBSP}%{NNBSP}; 3{NNBSP}€"),
        ("« Bonjour »", f"«{NNBSP}Bonjour{NNBSP}»"),
        ("«Bonjour»", f"«{NNBSP}Bonjour{NNBSP}»"),
        ("c'est l'heure", "c’est l’heure"),
        ("https://shop.example?a=1", "https://shop.example?a=1"),
        ("à 14:30", "à 14:30"),
        ("Vraiment\u00a0?", f"Vraiment{NNBSP}?"),
        ("Quoi ?!", f"Quoi{NNBSP}?!"),
    ],
)
def test_french_sentences(typed, set_):
    assert typeset(typed, "fr") == set_
    assert typeset(set_, "fr") == set_
    assert typeset(typed, "en") == typed
