"""Wrong input is a 400 that names each field, and leaves no trace."""

import json
import os
import random
import time
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from commande.errors import InputInvalid
from commande.web.fields import Terms
from commande.web.schemas import read_order
from tests.support.frontend import CONFIRM, CREATE, RETRY, FrontEnd, put
from tests.support.stage import BOUQUET, BREAD

LONG = "x" * 201
# What is sent where, and the path and code of the refusal. A path names several with a bar.
WRONG: list[tuple[str, Any, str, str]] = [
    ("items", ..., "items", "missing"),
    ("items", [], "items", "too_short"),
    ("items", None, "items", "invalid_type"),
    ("items", {"0": {}}, "items", "invalid_type"),
    ("items", [{"product_id": BOUQUET, "quantity": 1}] * 101, "items", "too_long"),
    ("items__0", "bouquet", "items.0", "invalid_type"),
    ("items__0__product_id", ..., "items.0.product_id", "missing"),
    ("items__0__product_id", 7, "items.0.product_id", "invalid_type"),
    ("items__0__product_id", "507f1f77bcf86cd79943901", "items.0.product_id", "invalid_id"),
    ("items__0__product_id", "g" * 24, "items.0.product_id", "invalid_id"),
    ("items__0__product_id", "٠" * 24, "items.0.product_id", "invalid_id"),
    ("items__0__product_id", "0" * 24, "items.0.product_id", "product_unknown"),
    ("items__0__quantity", ..., "items.0.quantity", "missing"),
    ("items__0__type", 7, "items.0.type", "invalid_type"),
    ("items__0__type", "", "items.0.type", "too_short"),
    ("customer", ..., "customer", "missing"),
    ("customer", "John", "customer", "invalid_type"),
    ("customer__firstName", ..., "customer.firstName", "missing"),
    ("customer__firstName", None, "customer.firstName", "invalid_type"),
    ("customer__firstName", 7, "customer.firstName", "invalid_type"),
    ("customer__firstName", " \u200b ", "customer.firstName", "too_short"),
    ("customer__lastName", LONG, "customer.lastName", "too_long"),
    ("customer__lastName", "a\x07b", "customer.lastName", "forbidden_character"),
    ("customer__lastName", "a\u202eb", "customer.lastName", "forbidden_character"),
    ("customer__address", "\0", "customer.address", "forbidden_character"),
    ("customer__postalCode", "x" * 21, "customer.postalCode", "too_long"),
    ("customer__city", "", "customer.city", "too_short"),
    ("customer__email", "john", "customer.email", "invalid_email"),
    ("customer__email", "john@localhost", "customer.email", "invalid_email"),
    ("customer__email", "a@b.fr, c@d.fr", "customer.email", "invalid_email"),
    ("customer__email", "a@b.fr\r\nBcc: c@d.fr", "customer.email", "invalid_email"),
    ("customer__phone", "call me", "customer.phone", "invalid_phone"),
    ("customer__phone", "12", "customer.phone", "too_short"),
    ("customer__phone", "+33 1", "customer.phone", "invalid_phone"),
    ("customer__fax", "12", "customer.fax", "too_short"),
    ("customer__fax", "1" * 41, "customer.fax", "too_long"),
    ("customer__country", "ZZ", "customer.country", "unknown_country"),
    ("customer__country", "France", "customer.country", "unknown_country"),
    ("customer__country", 33, "customer.country", "invalid_type"),
    ("appointment", ..., "appointment", "missing"),
    ("appointment", 1796119331, "appointment", "invalid_type"),
    ("appointment", "tomorrow", "appointment", "invalid_date"),
    ("appointment", "2030-12-15", "appointment", "invalid_date"),
    ("appointment", "2030-02-30T10:00:00Z", "appointment", "invalid_date"),
    ("appointment", "2030-W50-1T10:00:00Z", "appointment", "invalid_date"),
    ("appointment", "2030-12-15T25:00:00Z", "appointment", "invalid_date"),
    ("appointment", "2030-12-15T10:00:00+99:00", "appointment", "invalid_date"),
    ("appointment", "0001-01-01T00:00:00+14:00", "appointment", "invalid_date"),
    ("appointment", "2027-03-28T02:30:00", "appointment", "nonexistent_time"),
    ("appointment", "2020-12-15T10:00:00Z", "appointment", "in_the_past"),
    ("appointment", "2999-12-15T10:00:00Z", "appointment", "too_far"),
    ("note", "x" * 1001, "note", "too_long"),
    ("note", 7, "note", "invalid_type"),
    ("locale", 7, "locale", "invalid_type"),
]
QUANTITIES = [
    "0", "-1", "-0", "1e0", "1.0", "1.5", '"1"', "true", "null", "[]", "{}", "1000",
    str(2**31), str(2**53), str(2**63), str(2**64), str(2**65), "-" + str(2**65),
]  # fmt: skip
NO_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "1" * 5000, "01", "+1", "0x1"]


async def test_each_wrong_field_is_named_and_nothing_is_written(kiosk: FrontEnd) -> None:
    before = await kiosk.rows()
    for path, value, field, code in WRONG:
        answer = await kiosk.create(**{path: value})
        assert answer.wrong == {field: code}, (path, value)
        assert answer.code == "invalid_input"
        assert str(value) not in answer.body.decode() or len(str(value)) < 6, "it is repeated"
    assert await kiosk.rows() == before
    assert (await kiosk.create()).status == 200, "the same order without the mistake"


async def test_every_wrong_field_is_told_at_once(kiosk: FrontEnd) -> None:
    answer = await kiosk.create(items__0__quantity=0, customer__email="x", appointment="")
    assert answer.wrong.keys() == {"items.0.quantity", "customer.email", "appointment"}


async def test_s12_only_a_plain_integer_is_a_quantity(shop: FrontEnd) -> None:
    before = await shop.rows()
    body = json.dumps(shop.order(items__0__quantity=987654)).encode()
    for quantity in QUANTITIES:
        answer = await shop.post(CREATE, body.replace(b"987654", quantity.encode()))
        assert answer.wrong.keys() == {"items.0.quantity"}, quantity
    for quantity in NO_NUMBERS:
        answer = await shop.post(CREATE, body.replace(b"987654", quantity.encode()))
        assert answer.wrong == {"": "invalid_json"}, quantity
    assert await shop.rows() == before
    assert (await shop.post(CREATE, body.replace(b"987654", b"999"))).status == 200


async def test_s12_lines_are_merged_before_their_quantity_is_judged(kiosk: FrontEnd) -> None:
    items = [{"product_id": BREAD, "quantity": 999}, {"product_id": BREAD, "quantity": 1}]
    assert (await kiosk.create(items=items)).wrong == {"items.1.quantity": "out_of_range"}


async def test_s12_the_largest_cart_stays_below_what_stripe_takes(kiosk: FrontEnd) -> None:
    await kiosk.stage.sql("UPDATE prices SET amount_minor = 99999999")
    items = [{"product_id": BREAD, "quantity": 999}]
    answer = await kiosk.create(items=items)
    assert (answer.status, answer.code) == (400, "total_out_of_range")


async def test_s16_a_total_of_nothing_is_refused(kiosk: FrontEnd) -> None:
    await kiosk.stage.sql("UPDATE prices SET amount_minor = 0")
    before = await kiosk.rows()
    answer = await kiosk.create()
    assert (answer.status, answer.code) == (400, "total_out_of_range")
    assert await kiosk.rows() == before
    await kiosk.stage.sql("UPDATE prices SET amount_minor = 25")
    assert (await kiosk.create()).status == 200, "50 cents are the least that Stripe takes"


async def test_s13_a_type_belongs_to_its_product(kiosk: FrontEnd) -> None:
    for changes, field, code in (
        ({"items__0__type": "entier"}, "items.0.type", "type_unknown"),
        ({"items__0__type": "grand\0"}, "items.0.type", "forbidden_character"),
        ({"items__0__product_id": BREAD, "items__0__type": "grand"}, "items.0.type",
         "type_unknown"),
    ):  # fmt: skip
        assert (await kiosk.create(**changes)).wrong == {field: code}
    await kiosk.stage.sql("UPDATE prices SET currency = 'usd' WHERE product_id = :id", id=BREAD)
    answer = await kiosk.create(items__0__product_id=BREAD)
    assert answer.wrong == {"items.0.product_id": "price_currency"}
    await kiosk.stage.sql("UPDATE products SET active = FALSE WHERE id = :id", id=BOUQUET)
    assert (await kiosk.create()).wrong == {"items.0.product_id": "product_inactive"}
    await kiosk.stage.sql("DELETE FROM prices WHERE product_id = :id", id=BREAD)
    answer = await kiosk.create(items__0__product_id=BREAD)
    assert answer.wrong == {"items.0.product_id": "product_unpriced"}
    await kiosk.stage.sql("DELETE FROM products WHERE id = :id", id=BREAD)
    answer = await kiosk.create(items__0__product_id=BREAD)
    assert answer.wrong == {"items.0.product_id": "product_unknown"}


SMUGGLED: dict[str, Any] = {
    "price": 0.01, "priceMinor": 1, "total": 1, "totalPrice": 1, "amount": 1, "unit_amount": 1,
    "currency": "usd", "status": "paid", "paid": True, "paidAt": "2026-01-01T00:00:00Z",
    "id": "0" * 24, "_id": "0" * 24, "commandId": "0" * 24, "ref": "#AAAAAAAA", "discount": 100,
    "taxRate": 0, "cartSnapshot": {"totalPrice": 0}, "isAdmin": True, "__proto__": {"paid": True},
    "constructor": {}, "module": "0" * 24, "token": "x", "title": "SMUGGLED",
}  # fmt: skip


async def test_s11_what_nobody_asked_for_is_neither_read_nor_stored(shop: FrontEnd) -> None:
    plain = await shop.open(customer__city="Lyon")
    body = shop.order(customer__city="Lyon")
    body = SMUGGLED | body
    body["customer"] = SMUGGLED | body["customer"]
    body["items"] = [SMUGGLED | {"title": "SMUGGLED"} | item for item in body["items"]]
    await shop.stage.pass_time(seconds=61)  # else it would be a double click
    smuggled = await shop.post(CREATE, body)
    assert smuggled.status == 200
    first = (await shop.status(plain)).json["command"]
    second = (await shop.status(smuggled.json)).json["command"]
    own = {"_id", "ref", "createdAt", "updatedAt", "appointment"}
    assert {k: v for k, v in first.items() if k not in own} == {
        k: v for k, v in second.items() if k not in own
    }
    for session in await shop.stage.sessions():
        assert (session["amount_total"], session["currency"]) == (5998, "eur")
    assert "SMUGGLED" not in repr(await shop.stage.sessions())


CARDS = [
    "4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "card: 378282246310005.",
    "5555\u00a05555 5555\u20114444", "4000056655665556 12/30 123",
]  # fmt: skip
FREE = ["customer__firstName", "customer__lastName", "customer__address", "customer__city",
        "customer__fax", "note"]  # fmt: skip


async def test_s30_a_card_number_is_refused_in_every_free_text(kiosk: FrontEnd) -> None:
    before = await kiosk.rows()
    for path in FREE:
        for card in CARDS:
            if path != "customer__fax" or len(card) <= 40:
                answer = await kiosk.create(**{path: card})
                assert list(answer.wrong.values()) == ["card_number"], (path, card)
                assert card not in answer.body.decode()
    assert await kiosk.rows() == before


async def test_s30_numbers_that_are_no_cards_pass(kiosk: FrontEnd) -> None:
    opened = await kiosk.open(
        customer__fax="+33 1 42 68 53 00", note="SIRET 732 829 320 00074, code 4242424242424241"
    )
    assert (await kiosk.status(opened)).status == 200


async def test_an_appointment_without_an_offset_is_on_the_shops_clock(kiosk: FrontEnd) -> None:
    year = datetime.now(UTC).year + 1
    autumn = date(year, 10, 31)
    autumn -= timedelta(days=(autumn.weekday() + 1) % 7)  # October's last Sunday
    for given, kept in (
        (f"{year}-07-01T10:00:00", f"{year}-07-01T08:00:00.000Z"),
        (f"{year}-01-04T10:00", f"{year}-01-04T09:00:00.000Z"),
        (f"{year}-01-04 10:00:00,5Z", f"{year}-01-04T10:00:00.500Z"),
        (f"{year}-01-04t10:00:00-0330", f"{year}-01-04T13:30:00.000Z"),
        (f"{autumn}T02:30:00", f"{autumn}T00:30:00.000Z"),  # strikes twice: the first
    ):
        opened = await kiosk.open(appointment=given)
        assert (await kiosk.status(opened)).json["command"]["appointment"] == kept


BROKEN: list[bytes] = [
    b"", b"{", b"null", b"[1]", b'"text"', b"7", b"{'a': 1}", b'{"a": 1,}', b"\xff\xfe{}",
    b'{"items": "\xed\xa0\x80"}', b'{"items": "\\ud800"}', b"[" * 60_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"a": NaN}', b"\xef\xbb\xbf{}",
]  # fmt: skip


async def test_s42_odd_bodies_are_refused_everywhere(shop: FrontEnd) -> None:
    before = await shop.rows()
    for path in (CREATE, CONFIRM, RETRY):
        for body in BROKEN:
            answer = await shop.post(path, body)
            assert answer.wrong.keys() == {""}, (path, body[:30])
            assert next(iter(answer.wrong.values())) in ("invalid_json", "invalid_type")
        nested: Any = "deep"
        for _ in range(21):
            nested = [nested]
        assert (await shop.post(path, {"x": nested})).wrong == {"": "too_deep"}
        nul = b'{"commandId": "\\u0000", "sessionId": "a\\u0000", "items": []}'
        assert "forbidden_character" in (await shop.post(path, nul)).wrong.values()
    assert await shop.rows() == before


async def test_s42_many_and_repeated_keys_do_no_harm(kiosk: FrontEnd) -> None:
    many = json.dumps(kiosk.order() | {f"k{n}": n for n in range(4000)}).encode()
    assert len(many) < 64 * 1024
    assert (await kiosk.post(CREATE, many)).status == 200
    twice = json.dumps(kiosk.order()).replace('"quantity": 2', '"quantity": 0, "quantity": 3')
    answer = await kiosk.post(CREATE, twice.encode())
    cart = (await kiosk.status(answer.json)).json["command"]["cart"]["products"]
    assert cart[0]["quantity"] == 3, "the last one counts, for us as for everybody"


async def test_idempotency_keys_have_a_length(kiosk: FrontEnd) -> None:
    assert (await kiosk.create("k" * 256)).wrong == {"Idempotency-Key": "invalid_key"}
    assert (await kiosk.create(" ")).wrong == {"Idempotency-Key": "invalid_key"}
    assert (await kiosk.create("k" * 255)).status == 200


async def test_confirm_and_retry_name_what_is_missing(kiosk: FrontEnd) -> None:
    assert (await kiosk.post(CONFIRM, {})).wrong == {
        "sessionId": "missing", "commandId": "missing",
    }  # fmt: skip
    assert (await kiosk.post(CONFIRM, {"sessionId": 7, "commandId": ["x"]})).wrong == {
        "sessionId": "invalid_type", "commandId": "invalid_type",
    }  # fmt: skip
    assert (await kiosk.post(CONFIRM, {"sessionId": "x" * 256, "commandId": "x"})).wrong == {
        "sessionId": "too_long"
    }
    assert (await kiosk.post(RETRY, {"token": "x"})).wrong == {"commandId": "missing"}
    for amount in (True, "59.98", [], 59.999, 1e300):
        body = {"commandId": "x", "token": "x", "acceptTotal": amount}
        assert (await kiosk.post(RETRY, body)).wrong == {"acceptTotal": "invalid_amount"}


@pytest.mark.slow
async def test_s12_random_bodies_never_break_the_server(kiosk: FrontEnd) -> None:
    seed = os.environ.get("COMMANDE_TEST_SEED", "1")
    dice = random.Random(seed)
    rounds = int(os.environ.get("COMMANDE_TEST_FUZZ", "400"))
    pieces: list[Any] = [
        None, True, -1, 0, 2**65, 1.5, 1e308, "", "x" * 300, "\u0000", "\ud7ff", [], {}, [[]],
        {"a": 1}, BOUQUET, "'; DROP TABLE commands;--", "../../etc/passwd", "{{7*7}}", "%s%n",
        "2030-01-01T00:00:00Z", "😀" * 50, "\r\nX: y", "=1+1",
    ]  # fmt: skip
    paths = [path for path, *_ in WRONG]
    for number in range(rounds):
        body = kiosk.order()
        for path in dice.sample(paths, dice.randint(1, 4)):
            try:
                put(body, path, deepcopy(dice.choice(pieces)))
            except (KeyError, TypeError, IndexError, AttributeError):
                continue
        answer = await kiosk.post(CREATE, json.dumps(body).encode())
        assert answer.status in (200, 400), (seed, number, body, answer.body)


@pytest.mark.parametrize(
    "piece", ["a", "4", "4 ", "@", "a@", "\u200b", "+", "0.", "T", "\r\n", "é"]
)
def test_s44_no_field_takes_long_to_judge(piece: str) -> None:
    text = piece * (50_000 // len(piece))
    names = ("firstName", "lastName", "email", "phone", "address", "postalCode", "city", "fax")
    body = {
        "items": [{"product_id": text, "quantity": text, "type": text}],
        "customer": dict.fromkeys((*names, "country"), text),
        "appointment": text, "note": text, "locale": text,
    }  # fmt: skip
    terms = Terms(datetime.now(UTC), "FR", ZoneInfo("Europe/Paris"), "fr")
    began = time.thread_time()  # what the machine does besides does not count
    with pytest.raises(InputInvalid):
        read_order(body, terms)
    assert time.thread_time() - began < 2
