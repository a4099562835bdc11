"""The shelf: prices from the database, both languages, nothing executed that a product says."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from commande.db.catalogue import set_price, upsert_products
from tests.pages.street import BOUQUET, BRIOCHE, Street


def test_the_shelf_shows_every_product_with_the_prices_of_the_database(street: Street) -> None:
    shown = street.visitor().get("/").text
    assert "Bouquet de saison" in shown
    assert "29,99\u202f€" in shown and "44,90\u202f€" in shown
    street.read(set_price, BOUQUET.id, "grand", 4590, datetime.now(UTC))
    assert "45,90\u202f€" in street.visitor().get("/").text


def test_what_is_sold_out_stays_in_its_place_with_the_word_and_cannot_be_added(
    street: Street,
) -> None:
    visitor = street.visitor()
    assert "Épuisé" in visitor.get("/").text
    fields = {"product_id": BRIOCHE.id, "type": "standard", "action": "add"}
    refused = visitor.post("/panier", fields)
    assert refused.status == 400
    assert "n’est plus en vente" in refused.text
    assert "panier" not in visitor.cookies


@pytest.mark.parametrize(
    ("path", "accepted", "word"),
    [
        ("/", "fr-FR,en;q=0.5", "Ajouter"),
        ("/", "en-GB,en;q=0.9,fr;q=0.2", "Add"),
        ("/", "de;q=0.9,en;q=0.1", "Add"),
        ("/", "de", "Ajouter"),
        ("/", "en;q=0", "Ajouter"),
        ("/", "en;q=bad", "Ajouter"),
        ("/?lang=en", "fr", "Add"),
        ("/?lang=xx", "en", "Add"),
    ],
)
def test_a_visitor_reads_the_language_they_ask_for(
    street: Street, path: str, accepted: str, word: str
) -> None:
    page = street.visitor(**{"Accept-Language": accepted}).get(path)
    assert word in page.text
    assert f'lang="{page.headers["content-language"]}"' in page.body


def test_a_chosen_language_is_kept_for_the_next_page(street: Street) -> None:
    visitor = street.visitor()
    visitor.get("/?lang=en")
    assert "Your basket is empty" in visitor.get("/panier").text


def test_s26_a_product_cannot_slip_markup_into_the_page(street: Street) -> None:
    evil = replace(
        BOUQUET, id="e" * 24, title='"><script>alert(1)</script>',
        description="<img src=x onerror=alert(1)>", image="https://evil.example/x.png",
    )  # fmt: skip
    street.read(upsert_products, [evil], datetime.now(UTC))
    body = street.visitor().get("/").body
    assert "<script>alert" not in body and "<img src=x" not in body
    assert "evil.example" not in body
    street.read(upsert_products, [replace(evil, active=False)], datetime.now(UTC))
    assert "alert(1)" not in street.visitor().get("/").body


def test_every_page_is_strict_about_what_a_browser_may_do(street: Street) -> None:
    page = street.visitor().get("/")
    policy = page.headers["content-security-policy"]
    for directive in (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:",
        "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'",
        f"form-action 'self' https://checkout.stripe.com {street.url};",
    ):  # fmt: skip
        assert f"{directive.rstrip(';')};" in f"{policy};"
    assert page.headers["x-content-type-options"] == "nosniff"


def test_a_head_request_is_answered_like_a_get_without_its_body(street: Street) -> None:
    page = street.visitor().get("/", method="HEAD")
    assert (page.status, page.body) == (200, "")


def test_static_files_are_kept_by_browsers_and_nothing_else_is_served(street: Street) -> None:
    visitor = street.visitor()
    address = visitor.get("/").body.split('rel="stylesheet" href="')[1].split('"')[0]
    found = visitor.get(address)
    assert "immutable" in found.headers["cache-control"]
    again = visitor.get(address, if_none_match=found.headers["etag"])
    assert (again.status, again.body) == (304, "")
    assert visitor.get("/static/commande.css").headers["cache-control"] == "no-cache"
    for name in ("nothing.css", "../wording.toml", "%2e%2e/wording.toml", "img/../../press.py"):
        assert visitor.get(f"/static/{name}").status == 404


def test_an_address_that_leads_nowhere_is_a_page_for_people_and_a_problem_for_programs(
    street: Street,
) -> None:
    page = street.visitor().get("/nowhere", Accept="text/html")
    assert page.status == 404
    assert "Cette page n’existe pas" in page.text
    problem = street.visitor().get("/nowhere", Accept="application/json")
    assert (problem.status, '"not_found"' in problem.text) == (404, True)
