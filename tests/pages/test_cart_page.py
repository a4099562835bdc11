"""The basket: references in a cookie, prices in the database."""

from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from commande.db.catalogue import upsert_products
from tests.pages.street import BOUQUET, Street


def test_an_empty_basket_says_what_will_appear_and_what_to_do(street: Street) -> None:
    page = street.visitor().get("/panier")
    assert page.title == "Votre panier est vide"
    assert "Voir la boutique" in page.text


def test_adding_twice_makes_one_line_of_two(street: Street) -> None:
    visitor = street.visitor()
    visitor.buy()
    page = visitor.buy()
    assert page.url.endswith(f"/#p-{BOUQUET.id}")
    assert "Panier, 2 articles" in page.text and "59,98\u202f€" in page.text


def test_a_quantity_is_changed_and_kept_when_the_visitor_goes_on(street: Street) -> None:
    visitor = street.visitor()
    visitor.buy()
    form = visitor.get("/panier").form("/panier") | {"quantity": "3"}
    assert "89,97\u202f€" in visitor.post("/panier", form | {"action": "update"}).text
    onward = visitor.post("/panier", form | {"quantity": "4", "action": "next"})
    assert onward.url.endswith("/commande")
    assert "119,96\u202f€" in onward.text


@pytest.mark.parametrize(
    ("typed", "kept"), [("0", None), ("-2", 1), ("", 1), ("1e9", 1), ("5000", 999), ("²", 1)]
)
def test_s12_odd_quantities_never_become_odd_orders(
    street: Street, typed: str, kept: int | None
) -> None:
    visitor = street.visitor()
    visitor.buy()
    form = visitor.get("/panier").form("/panier") | {"quantity": typed}
    page = visitor.post("/panier", form | {"action": "update"})
    if kept is None:
        assert page.title == "Votre panier est vide"
    else:
        assert page.form("/panier")["quantity"] == str(kept)


def test_the_remove_button_takes_its_own_line_away(street: Street) -> None:
    visitor = street.visitor()
    visitor.buy()
    visitor.buy("grand")
    fields = [
        ("product_id", BOUQUET.id), ("type", "standard"), ("quantity", "1"),
        ("product_id", BOUQUET.id), ("type", "grand"), ("quantity", "2"), ("remove", "0"),
    ]  # fmt: skip
    page = visitor.post("/panier", fields)
    assert "89,80\u202f€" in page.text and "29,99" not in page.text


@pytest.mark.parametrize(
    "cookie",
    ["x", "%00", "W10", "bnVsbA==", "W1sxLDIsM11d", "A" * 5000,
     urlsafe_b64encode(b'[["507f1f77bcf86cd799439011","standard",-5]]').decode(),
     urlsafe_b64encode(b'[["507f1f77bcf86cd799439011","standard",true]]').decode(),
     urlsafe_b64encode(b'[["<script>","standard",1]]').decode()],
)  # fmt: skip
def test_a_cookie_that_is_no_basket_is_an_empty_one(street: Street, cookie: str) -> None:
    visitor = street.visitor()
    visitor.cookies["panier"] = cookie
    assert visitor.get("/panier").title == "Votre panier est vide"


def test_s11_a_price_in_the_cookie_has_no_meaning(street: Street) -> None:
    visitor = street.visitor()
    rows = f'[["{BOUQUET.id}","standard",1,0.01]]'.encode()
    visitor.cookies["panier"] = urlsafe_b64encode(rows).decode()
    assert visitor.get("/panier").title == "Votre panier est vide"


def test_what_left_the_catalogue_is_shown_and_stands_in_the_way(street: Street) -> None:
    visitor = street.visitor()
    rare = replace(BOUQUET, id="d" * 24, title="Lys rare")
    street.read(upsert_products, [rare], datetime.now(UTC))
    visitor.post("/panier", {"product_id": rare.id, "type": "grand", "action": "add"})
    street.read(upsert_products, [replace(rare, active=False)], datetime.now(UTC))
    page = visitor.get("/panier")
    assert "Lys rare" in page.text and "n’est plus en vente" in page.text
    assert "Choisir un rendez-vous" not in page.text
    assert visitor.get("/commande").url.endswith("/panier")


def test_a_total_that_stripe_would_refuse_is_told_before_the_order(street: Street) -> None:
    visitor = street.visitor()
    dear = replace(
        BOUQUET, id="f" * 24, prices=(replace(BOUQUET.prices[0], amount_minor=99_999_999),)
    )
    street.read(upsert_products, [dear], datetime.now(UTC))
    for _ in range(2):
        visitor.post("/panier", {"product_id": dear.id, "type": "standard", "action": "add"})
    assert "Stripe n’accepte pas ce total" in visitor.get("/panier").text
    street.read(upsert_products, [replace(dear, active=False)], datetime.now(UTC))


def test_a_basket_larger_than_a_cookie_is_refused_in_words(street: Street) -> None:
    visitor = street.visitor()
    fields = [
        pair
        for n in range(99)
        for pair in (("product_id", f"{n:024x}"), ("type", "t" * 40), ("quantity", "1"))
    ]
    page = visitor.post("/panier", [*fields, ("action", "update")])
    assert page.status == 400
    assert "Le panier est plein" in page.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Content_Type": "text/plain"},
        {"Content_Type": "multipart/form-data; boundary=x"},
    ],
)
def test_s27_a_form_of_another_site_changes_nothing(
    street: Street, headers: dict[str, str]
) -> None:
    visitor = street.visitor()
    fields = {"product_id": BOUQUET.id, "type": "standard", "action": "add"}
    page = visitor.post("/panier", fields, **headers)
    assert page.status == 403
    assert page.title == "Ce formulaire n’est pas accepté"
    assert "panier" not in visitor.cookies


def test_our_own_form_is_taken_whatever_the_browser_says_of_its_origin(street: Street) -> None:
    # Under Referrer-Policy: no-referrer browsers send "Origin: null" even from our own page.
    fields = {"product_id": BOUQUET.id, "type": "standard", "action": "add"}
    for headers in ({"Sec_Fetch_Site": "same-origin", "Origin": "null"}, {"Origin": street.url}):
        visitor = street.visitor()
        visitor.post("/panier", fields, **headers)
        assert "panier" in visitor.cookies
