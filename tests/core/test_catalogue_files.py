"""Catalogue files: what a merchant may write, and what is refused with its place."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import strategies as st

from commande.core.product import Price, Product, name_products, read_catalogue
from commande.core.tax import TaxRate
from commande.errors import CatalogueInvalid
from tests.support.properties import forall

BREAD: dict[str, Any] = {
    "_id": "507f1f77bcf86cd799439011",
    "title": "Brioche",
    "description": "Pur beurre",
    "active": True,
    "taxRate": 5.5,
    "taxInclusive": True,
    "stock": None,
    "prices": [
        {"type": "standard", "price": 29.99, "default": True},
        {"type": "grande", "price": 45},
    ],
}
CSV = '''\
_id,title,description,taxRate,type,price,default,stock
507f1f77bcf86cd799439011,Brioche,Pur beurre,"5,5",standard,"29,99",oui,
507f1f77bcf86cd799439011,Brioche,,,grande,45,,
,Pain,"Long,
et ""doré""",,,1.20,,12
'''


def read(*rows: Any, currency: str = "eur") -> list[Product]:
    return read_catalogue(json.dumps(rows), currency, is_csv=False)


def refused(text: str, *, is_csv: bool = False, currency: str = "eur") -> str:
    with pytest.raises(CatalogueInvalid) as refusal:
        read_catalogue(text, currency, is_csv=is_csv)
    return refusal.value.detail


def test_a_json_file_reads_as_documented() -> None:
    (bread,) = read(BREAD)
    assert bread == Product(
        id=BREAD["_id"],
        title="Brioche",
        description="Pur beurre",
        tax_percentage=Decimal("5.5"),
        prices=(Price("standard", 2999, "eur", is_default=True), Price("grande", 4500, "eur")),
    )
    assert bread.rate("FR") == TaxRate("FR", Decimal("5.5"), inclusive=True)


def test_a_csv_file_has_a_line_for_each_price() -> None:
    french = re.sub(r',(?=(?:[^"]*"[^"]*")*[^"]*$)', ";", CSV)
    assert '"29,99"' in french
    tabbed = french.replace(";", "\t")
    for text in (CSV, "\ufeff" + CSV, CSV.replace("\n", "\r\n"), french, tabbed):
        bread, pain = read_catalogue(text, "eur", is_csv=True)
        assert bread == read(BREAD)[0]
        assert (pain.title, pain.stock, pain.id) == ("Pain", 12, "")
        assert pain.description.split() == ["Long,", "et", '"doré"']
        assert pain.prices == (Price("standard", 120, "eur"),)


def test_every_price_is_read_to_the_cent() -> None:
    @forall(st.integers(0, 99_999_999))
    def _(cents: int) -> None:
        amount = Decimal(cents) / 100
        for written in (json.loads(f"{amount}"), f"{amount}", f"{amount}".replace(".", ",")):
            (product,) = read({"title": "Pain", "prices": [{"price": written}]})
            assert product.prices[0].amount_minor == cents


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "finer_than_cents": ({"prices": [{"price": 1.005}]}, "prices.0.price"),
    "negative": ({"prices": [{"price": -1}]}, "prices.0.price"),
    "too_dear": ({"prices": [{"price": 1_000_000}]}, "prices.0.price"),
    "endless": ({"prices": [{"price": "1e999999999"}]}, "prices.0.price"),
    "vanishing": ({"prices": [{"price": "1e-999999999"}]}, "prices.0.price"),
    "a_word": ({"prices": [{"price": "cher"}]}, "prices.0.price"),
    "a_flag": ({"prices": [{"price": True}]}, "prices.0.price"),
    "no_price": ({"prices": [{"type": "standard"}]}, "prices.0.price"),
    "not_a_number": ({"prices": [{"price": "NaN"}]}, "prices.0.price"),
    "no_list": ({"prices": 5}, "prices"),
    "no_object": ({"prices": [5]}, "prices.0"),
    "twice_the_same_type": ({"prices": [{"price": 1}, {"price": 2}]}, "prices"),
    "two_defaults": (
        {"prices": [{"price": 1, "default": True}, {"type": "b", "price": 2, "default": True}]},
        "prices",
    ),
    "no_type": ({"prices": [{"type": "", "price": 1}]}, "prices.0.type"),
    "no_currency": ({"prices": [{"price": 1, "currency": "xxx"}]}, "prices.0.currency"),
    "no_id": ({"_id": "12"}, "_id"),
    "no_title": ({"title": "  "}, "title"),
    "rate_of_a_word": ({"taxRate": "vingt"}, "taxRate"),
    "rate_over_100": ({"taxRate": 100.5}, "taxRate"),
    "rate_too_fine": ({"taxRate": 5.55555}, "taxRate"),
    "rate_vanishing": ({"taxRate": "1e-999999999"}, "taxRate"),
    "half_a_piece": ({"stock": 1.5}, "stock"),
    "negative_stock": ({"stock": -1}, "stock"),
    "endless_stock": ({"stock": "1e999999999999"}, "stock"),
    "neither_yes_nor_no": ({"active": "perhaps"}, "active"),
}


@pytest.mark.parametrize(("change", "field"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named_with_product_and_field(change: dict[str, Any], field: str) -> None:
    first = {**BREAD, "_id": "507f1f77bcf86cd799439012"}
    text = json.dumps([first, {"title": "Pain", **change}])
    assert refused(text).startswith(f"Product 2, {field}: ")


def test_steps_of_a_currency_are_kept() -> None:
    text = json.dumps([{"title": "Pain", "prices": [{"price": "1.005"}]}])
    assert "steps of 10" in refused(text, currency="kwd")


NO_LISTS = {
    "empty": "", "broken": "{", "null": "null", "object": "{}", "number": "5", "numbers": "[5]",
    "nan": "[NaN]", "deep": "[" * 100_000, "endless": "[" + "9" * 5000 + "]",
}  # fmt: skip
NO_TABLES = {
    "empty": "",
    "no_header": "Brioche;5",
    "no_price": "title\nPain\n",
    "huge_field": f'title,price\n"{"x" * 200_000}",1\n',
}


@pytest.mark.parametrize("text", NO_LISTS.values(), ids=NO_LISTS)
def test_a_file_that_is_no_list_of_products_is_refused(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize("text", NO_TABLES.values(), ids=NO_TABLES)
def test_a_file_that_is_no_table_is_refused(text: str) -> None:
    assert refused(text, is_csv=True)


def test_the_same_product_twice_is_refused() -> None:
    assert "same product as number 1" in refused(json.dumps([BREAD, BREAD]))
    named = {"title": "Pain", "prices": []}
    assert "same product as number 1" in refused(json.dumps([named, named]))


def test_any_file_is_read_or_refused() -> None:
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
    fields = st.sampled_from([*BREAD, "image", "type", "price", "default"])
    values = st.recursive(
        scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(fields, v, max_size=4)
    )
    documents = values.map(lambda value: (json.dumps([value]), False))
    tables = st.text(max_size=60).map(lambda text: (f"_id,title,type,price\n{text}", True))

    @forall(documents | tables, examples=500)
    def _(file: tuple[str, bool]) -> None:
        text, is_csv = file
        try:
            products = read_catalogue(text, "eur", is_csv=is_csv)
        except CatalogueInvalid as refusal:
            assert refusal.detail
        else:
            assert all(product.title for product in products)


def test_without_a_type_the_default_or_the_only_price_is_meant() -> None:
    (bread,) = read(BREAD)
    assert bread.price_of(None) == bread.price_of("standard")
    assert bread.price_of("grande") == Price("grande", 4500, "eur")
    assert bread.price_of("petite") is None
    undecided = Product("", "Pain", prices=(Price("a", 1, "eur"), Price("b", 2, "eur")))
    assert undecided.price_of(None) is None
    assert Product("", "Pain", prices=(Price("a", 1, "eur"),)).price_of(None) is not None
    assert Product("", "Pain").price_of(None) is None
    assert Product("", "Pain").rate("FR") is None


def test_only_a_title_of_its_own_names_a_product() -> None:
    products = [Product("1", "Pain"), Product("2", "Brioche"), Product("3", "Pain")]
    assert name_products(products) == {"Brioche": "2"}
