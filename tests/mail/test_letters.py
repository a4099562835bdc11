"""What the letters say, in both languages, whoever ordered whatever."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from commande.core.command import Status, take_snapshot
from commande.core.document import Command
from commande.core.pricing import PricedLine, quote
from commande.core.tax import TaxRate
from commande.format import typeset
from commande.letters import Links, render_letter
from commande.letters.wording import WORDING
from commande.mail import open_mail
from commande.settings import Settings

LINKS = Links(
    command="https://shop.example/commande/terminee?command_id=c1&token=t1",
    payment="https://shop.example/commande/annulee?command_id=c1&token=t1",
)
TEN = TaxRate("FR", Decimal(10), inclusive=True)
TWENTY_ON_TOP = TaxRate("FR", Decimal(20), inclusive=False)
BOUQUET = PricedLine("a" * 24, "Bouquet de saison", "standard", 2, 2999, TEN)
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def settings(**given):
    wanted = {"STRIPE_SECRET_KEY": "sk_test_x", "COMMANDE_SITE_URL": "https://shop.example",
              "COMMANDE_SHOP_NAME": "Le Petit Passage"}  # fmt: skip
    return Settings(_env_file=None, **wanted | given)


def command(*lines, name="Camille", **changes):
    values = {
        "id": "c" * 24, "ref": "#K7QX2M9D", "status": Status.PAID, "module_id": "m",
        "currency": "eur", "cart": [], "note": None, "locale": "fr", "paid_at": NOW,
        "customer": {"firstName": name, "lastName": "Dupont", "email": "camille@example.org"},
        "appointment_at": datetime(2026, 11, 26, 13, 0, tzinfo=UTC),
        "snapshot": take_snapshot(quote(list(lines or (BOUQUET,)), "eur")),
        "paid_session_id": "cs_1", "refunded_minor": 0, "attention": None, "created_at": NOW,
        "updated_at": NOW,
    }  # fmt: skip
    return Command(**values | changes)


def render(kind, ordered, key=None, **given):
    return render_letter(kind, ordered, settings(**given), LINKS, key)


def plain(text):
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def test_a_paid_letter_says_what_was_paid_and_when_to_come():
    letter = render("paid", command())
    assert letter.to == "camille@example.org"
    assert letter.subject == "Votre commande #K7QX2M9D est payée"
    for body in (plain(letter.text), plain(letter.html)):
        for fact in ("Le Petit Passage", "Merci Camille, c’est payé", "Nous vous attendons :",
                     "jeudi 26 novembre 2026 à 14 h", "2 × Bouquet de saison", "59,98 €",
                     "standard, 29,99 € pièce", "dont TVA 10 %", "5,45 €",
                     "commandé le 23 novembre 2026"):  # fmt: skip
            assert fact in body
    assert LINKS.command in letter.text
    assert LINKS.command.replace("&", "&amp;") in letter.html


def test_a_paid_letter_in_english():
    letter = render("paid", command(locale="en"))
    assert letter.subject == "Your order #K7QX2M9D is paid"
    for body in (plain(letter.text), plain(letter.html)):
        for fact in ("Thank you Camille, it’s paid", "Thursday, November 26, 2026 at 2:00 PM",
                     "standard, €29.99 each", "includes VAT 10%", "€5.45"):  # fmt: skip
            assert fact in body
    assert '<html lang="en">' in letter.html


@pytest.mark.parametrize(
    ("locale", "facts"),
    [
        ("fr", ("Rien n’a été prélevé.", "Vous pouvez payer à nouveau", "Payer ma commande",
                "#K7QX2M9D, pour le jeudi 26 novembre 2026 à 14 h")),
        ("en", ("No money was taken.", "You can pay again", "Pay for my order",
                "#K7QX2M9D, for Thursday, November 26, 2026 at 2:00 PM")),
    ],
)  # fmt: skip
def test_c21_a_failed_payment_says_what_happened_and_what_to_do(locale, facts):
    letter = render("payment_failed", command(snapshot=None, paid_at=None, locale=locale))
    for body in (plain(letter.text), plain(letter.html)):
        assert all(fact in body for fact in facts)
    assert LINKS.payment in letter.text
    assert LINKS.command not in letter.text


def test_tax_on_top_stands_before_the_total_and_tax_within_after_it():
    card = PricedLine("b" * 24, "Carte", "simple", 1, 1000, TWENTY_ON_TOP)
    text = plain(render("paid", command(BOUQUET, card)).text)
    places = [text.index(part) for part in
              ("TVA 20 % : 2,00 €", "Payé : 71,98 €", "dont TVA 10 % : 5,45 €")]  # fmt: skip
    assert places == sorted(places)


def test_no_tax_and_zero_tax_leave_no_line():
    free = PricedLine("b" * 24, "Livre", "simple", 1, 1000)
    zero = PricedLine("c" * 24, "Timbre", "simple", 1, 1000, TaxRate("FR", Decimal(0), True))
    letter = render("paid", command(free, zero))
    assert "TVA" not in letter.text
    assert "TVA" not in letter.html


def test_a_nameless_customer_is_thanked_all_the_same():
    assert "Merci, c’est payé" in render("paid", command(name="")).text


def test_an_answer_is_invited_only_where_somebody_reads_it():
    assert "Répondez" not in render("paid", command()).text
    letter = render("paid", command(), COMMANDE_MAIL_FROM="hello@shop.example")
    assert "Répondez" in letter.text
    assert "Répondez" in letter.html


def test_an_unknown_language_falls_back_to_the_shops():
    assert render("paid", command(locale="de"), COMMANDE_LOCALE="en").subject.startswith("Your")


def test_the_shops_zone_tells_the_hour():
    letter = render("paid", command(), COMMANDE_TIMEZONE="America/Montreal")
    assert "à 8 h" in plain(letter.text)


def test_nobody_writes_to_an_erased_customer():
    with pytest.raises(ValueError, match="erased"):
        render("paid", command(customer=None))


def test_c40_the_message_id_follows_from_kind_and_key():
    ordered = command()
    assert render("paid", ordered).message_id == f"paid.{ordered.id}@shop.example"
    assert render("paid", ordered).message_id == render("paid", ordered).message_id
    first = render("payment_failed", ordered, "payment_failed:a1").message_id
    assert first == "payment_failed.a1@shop.example"
    assert first != render("payment_failed", ordered, "payment_failed:a2").message_id


ATTACKS = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}{% raw %}",
           "{ref} {0} {name.__class__} %s", "a\r\nBcc: m@example.org", "--\n\nSpam",
           "javascript:alert(1)"]  # fmt: skip


class Tags(HTMLParser):
    """Which elements and addresses a letter has."""

    def __init__(self, html):
        super().__init__()
        self.names, self.addresses = set(), set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.addresses |= {value for name, value in attrs if name in ("href", "src", "background")}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("kind", ["paid", "payment_failed"])
async def test_s31_names_and_titles_are_text_and_nothing_else(kind, attack, tmp_path):
    line = PricedLine("a" * 24, attack, attack, 2, 2999, TEN)
    harmless, letter = (
        render(kind, command(item, name=name), COMMANDE_SHOP_NAME=name)
        for item, name in ((BOUQUET, "Camille"), (line, attack))
    )
    before, after = Tags(harmless.html), Tags(letter.html)
    assert after.names == before.names
    assert after.addresses == before.addresses
    assert letter.text.count("\n") == harmless.text.count("\n"), "no line is added"
    words = " ".join(attack.split())
    assert words in letter.text
    if kind == "paid":
        assert f"Merci {words}, c’est payé" in letter.text
    # And it can be sent.
    await open_mail(settings(COMMANDE_MAIL_URL=tmp_path.as_uri())).send(letter)


@pytest.mark.parametrize("kind", ["paid", "payment_failed"])
def test_a_letter_loads_nothing_from_anywhere(kind):
    html = render(kind, command()).html
    assert Tags(html).addresses == {LINKS.command if kind == "paid" else LINKS.payment}
    assert not re.search(r"url\(|@import|<(img|link|script|iframe|style)\b", html)


def test_both_languages_say_the_same_things():
    assert WORDING["fr"].keys() == WORDING["en"].keys()
    for key, french in WORDING["fr"].items():
        fields = set(re.findall(r"{(\w+)}", french))
        assert fields == set(re.findall(r"{(\w+)}", WORDING["en"][key])), key
        assert typeset(french, "fr") == french
        assert not re.search(r"[ \u00a0][:;!?%€»]", french), key
