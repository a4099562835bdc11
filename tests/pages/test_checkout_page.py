"""The checkout's form: what was typed is kept, errors stand at their field, money is safe."""

import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.requests import Request

import commande
from commande.db.catalogue import set_price
from commande.stationery import Press, Visit, read_wording
from commande.stationery.visit import Room
from commande.web.pages.checkout import leave
from tests.pages.street import BOUQUET, CAMILLE, Street

ROOT = Path(commande.__file__).parent / "web"
PAYLOADS = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'-alert(1)-'",
    "{{1234*4321}}", "{% raw %}", "</textarea><svg onload=alert(1)>", "javascript:alert(1)",
    '" autofocus onfocus="alert(1)', "&lt;b&gt;", "${1234*4321}",
]  # fmt: skip


def test_without_a_basket_there_is_no_form(street: Street) -> None:
    assert street.visitor().get("/commande").url.endswith("/panier")


@pytest.mark.parametrize(
    ("language", "button"),
    [("fr", "Commander et payer 29,99\u202f€"), ("en", "Order and pay €29.99")],
)
def test_the_button_says_that_it_costs_money_and_how_much(
    street: Street, language: str, button: str
) -> None:
    visitor = street.visitor(**{"Accept-Language": language})
    visitor.buy()
    assert button in visitor.get("/commande").text


def test_every_field_has_its_label_and_the_name_that_browsers_fill_in(street: Street) -> None:
    visitor = street.visitor()
    visitor.buy()
    body = visitor.get("/commande").body
    for name, autofill in {
        "firstName": "given-name", "lastName": "family-name", "email": "email", "phone": "tel",
        "address": "address-line1", "postalCode": "postal-code", "city": "address-level2",
        "fax": "fax tel",
    }.items():  # fmt: skip
        assert f'<label for="{name}">' in body
        field = re.search(rf'<input[^>]*id="{name}"[^>]*>', body)
        assert field is not None
        assert f'autocomplete="{autofill}"' in field[0]


def test_an_order_opens_an_unpaid_command_and_leads_to_stripe(street: Street) -> None:
    answer = street.visitor().order()
    assert answer.status == 303
    assert urlsplit(answer.headers["location"]).path.startswith("/sandbox/c/pay/")
    command = street.commands()[0]
    assert not command.paid
    assert command.customer is not None
    assert command.customer["phone"] == "+33612345678"
    assert command.locale == "fr"


def test_wrong_fields_are_named_at_the_field_and_in_the_summary_and_the_rest_is_kept(
    street: Street,
) -> None:
    visitor = street.visitor()
    visitor.buy()
    page = visitor.post("/commande", visitor.fill(phone="06 12", email="camille@", city=" "))
    assert page.status == 400
    assert "3 champs sont à corriger" in page.text
    assert "Rien n’a été envoyé ni débité" in page.text
    for name in ("phone", "email", "city"):
        assert f'href="#{name}"' in page.body and f'id="{name}-erreur"' in page.body
        field = re.search(rf'<input[^>]*id="{name}"[^>]*>', page.body)
        assert field is not None
        assert 'aria-invalid="true"' in field[0] and f"{name}-erreur" in field[0]
    kept = page.form("/commande")
    assert kept["firstName"] == "Camille" and kept["phone"] == "06 12"
    assert kept["appointment"]
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("language", "words"), [("fr", "Choisissez une heure libre."), ("en", "Choose a free hour.")]
)
@pytest.mark.parametrize("chosen", ["", "2020-01-01T09:00:00+01:00", "soon", "2999-01-01T09:00Z"])
def test_only_an_hour_that_is_offered_can_be_chosen(
    street: Street, language: str, words: str, chosen: str
) -> None:
    visitor = street.visitor(**{"Accept-Language": language})
    visitor.buy()
    page = visitor.post("/commande", visitor.fill(appointment=chosen))
    assert page.status == 400 and words in page.text


def test_another_day_is_shown_without_losing_what_was_typed(street: Street) -> None:
    visitor = street.visitor()
    visitor.buy()
    form = visitor.fill(firstName="Éloïse", email="not yet")
    days = re.findall(r'name="jour" value="([\d-]+)"', visitor.get("/commande").body)
    page = visitor.post("/commande", form | {"jour": days[3]})
    assert page.status == 200
    assert f'value="{days[3]}T' in page.body
    assert page.form("/commande")["firstName"] == "Éloïse"
    assert "à corriger" not in page.text


def test_the_same_page_sent_twice_is_one_command(street: Street) -> None:
    visitor = street.visitor()
    visitor.buy()
    form = visitor.fill(lastName="Double")
    before = len(street.commands())
    first = visitor.post("/commande", form, follow=False)
    second = visitor.post("/commande", form, follow=False)
    assert first.headers["location"] == second.headers["location"]
    assert len(street.commands()) == before + 1


def test_a_corrected_page_is_another_order_and_no_conflict(street: Street) -> None:
    visitor = street.visitor()
    visitor.buy()
    form = visitor.fill(lastName="Corrigée")
    first = visitor.post("/commande", form, follow=False)
    second = visitor.post("/commande", form | {"city": "Lyon"}, follow=False)
    assert second.status == 303
    assert first.headers["location"] != second.headers["location"]


def test_c29_a_price_that_moved_since_the_page_was_shown_is_asked_about_first(
    street: Street,
) -> None:
    visitor = street.visitor()
    visitor.buy()
    form = visitor.fill()
    before = len(street.commands())
    street.read(set_price, BOUQUET.id, "standard", 3199, datetime.now(UTC))
    try:
        page = visitor.post("/commande", form, follow=False)
        assert page.status == 409
        assert "De 29,99\u202f€ à 31,99\u202f€" in page.text
        assert len(street.commands()) == before
        again = visitor.post("/commande", page.form("/commande"), follow=False)
        assert again.status == 303
    finally:
        street.read(set_price, BOUQUET.id, "standard", 2999, datetime.now(UTC))


def test_when_stripe_does_not_answer_nothing_is_lost_and_the_command_can_be_paid_later(
    street: Street,
) -> None:
    visitor = street.visitor()
    visitor.buy()
    form = visitor.fill(lastName="Patiente")
    street.engine.fail("500_before", method="POST", path="/v1/checkout/sessions", count=50)
    try:
        page = visitor.post("/commande", form)
    finally:
        street.engine.world.faults.remove()
    assert page.status == 503
    assert "Stripe ne répond pas" in page.text and "Rien n’a été débité" in page.text
    later = re.search(r'href="([^"]*annulee[^"]*)"', page.body)
    assert later is not None
    held = visitor.get(later[1].replace("&amp;", "&"))
    assert held.title == "Le paiement n’a pas été fait"
    resumed = visitor.post("/commande/annulee", held.form("/commande/annulee"), follow=False)
    assert resumed.status == 303


@pytest.mark.parametrize("name", [*CAMILLE, "appointment", "once", "total", "jour"])
def test_s26_whatever_is_typed_comes_back_as_text(street: Street, name: str) -> None:
    visitor = street.visitor()
    visitor.buy()
    form = visitor.fill(email="wrong")
    for payload in PAYLOADS:
        body = visitor.post("/commande", form | {name: payload}).body
        assert "<script>alert" not in body and "<img src=x" not in body
        assert "<svg onload" not in body
        assert '" autofocus onfocus="' not in body
        assert str(1234 * 4321) not in body


def test_a_card_number_is_never_taken(street: Street) -> None:
    visitor = street.visitor()
    visitor.buy()
    page = visitor.post("/commande", visitor.fill(address="4242 4242 4242 4242"))
    assert page.status == 400
    assert "numéro de carte" in page.text


def test_a_form_that_is_too_large_is_refused(street: Street) -> None:
    visitor = street.visitor()
    visitor.buy()
    assert visitor.post("/commande", visitor.fill(city="x" * 70_000)).status == 413
    many = [("field", "x")] * 500
    assert visitor.post("/commande", many).status == 403


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://checkout.stripe.com/c/pay/cs_1", 303),
        ("https://pay.shop.example/c/pay/cs_1", 200),
        ("https://checkout.stripe.com.evil.example/c/pay/cs_1", 200),
    ],
)
def test_a_payment_page_on_the_shops_own_domain_is_reached_by_a_link(
    street: Street, url: str, status: int
) -> None:
    # A browser judges the redirect that answers a form, and would stop there without a word.
    settings = street.shop.settings
    press = Press(ROOT / "templates", read_wording(ROOT / "pages/wording.toml"), settings.zone)
    scope = {"type": "http", "method": "POST", "path": "/commande", "headers": [],
             "query_string": b""}  # fmt: skip
    answer = leave(Visit(Room(settings, press, "/static/", ""), Request(scope)), url)
    assert answer.status_code == status
    assert (answer.headers.get("location") == url) is (status == 303)
    assert (f'href="{url}"' in bytes(answer.body).decode()) is (status == 200)
