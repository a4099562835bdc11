"""The journey over HTTP, to the letter of the contract."""

import asyncio
from typing import Any

from commande.flows.upkeep import cancel_command
from tests.support.frontend import CREATE, FrontEnd, session_of
from tests.support.stage import BOUQUET, BREAD

COMMAND_KEYS = {
    "_id", "ref", "status", "paid", "paidAt", "module", "cart", "customer", "appointment", "note",
    "cartSnapshot", "refunded", "refundedMinor", "currency", "createdAt", "updatedAt",
}  # fmt: skip


async def test_an_order_is_opened_paid_and_confirmed(shop: FrontEnd) -> None:
    created = await shop.create()
    assert created.status == 200
    opened = created.json
    assert opened.keys() == {"url", "commandId", "ref", "token", "expiresAt"}
    assert len(opened["commandId"]) == 24 and int(opened["commandId"], 16)
    assert opened["ref"][0] == "#" and len(opened["ref"]) == 9
    assert opened["expiresAt"].endswith("Z")
    assert created.headers["cache-control"] == "no-store"

    before = await shop.confirm(opened)
    assert (before.status, before.code) == (400, "payment_not_completed")

    await shop.pay(opened)
    confirmed = await shop.confirm(opened)
    assert confirmed.status == 200
    assert confirmed.headers["cache-control"] == "no-store"
    assert confirmed.headers["referrer-policy"] == "no-referrer"
    command = confirmed.json["command"]
    assert command.keys() == COMMAND_KEYS
    assert command["_id"] == opened["commandId"] and command["ref"] == opened["ref"]
    assert command["paid"] is True and command["status"] == "paid"
    assert command["cart"] == {
        "products": [{"product_id": BOUQUET, "quantity": 2, "type": "standard"}]
    }
    assert command["customer"]["firstName"] == "John"
    assert command["customer"]["country"] == "FR" and command["customer"]["fax"] is None
    snapshot = command["cartSnapshot"]
    assert snapshot["totalPrice"] == 59.98 and snapshot["totalPriceMinor"] == 5998
    assert b'"totalPrice":59.98,' in confirmed.body
    line = snapshot["products"][0]
    assert (line["title"], line["price"], line["quantity"]) == ("Bouquet de saison", 29.99, 2)

    again = await shop.confirm(opened)
    assert again.body == confirmed.body
    assert (await shop.status(opened)).json == confirmed.json


async def test_a_delayed_payment_is_202_until_it_arrives(shop: FrontEnd) -> None:
    opened = await shop.open()
    await shop.pay(opened, "DE89370400440532013000")
    waiting = await shop.confirm(opened)
    assert waiting.status == 202
    assert waiting.json["command"]["status"] == "processing"
    assert waiting.json["command"]["paid"] is False
    assert (await shop.retry(opened)).code == "payment_processing"
    await shop.stage.pass_time(minutes=1)
    assert (await shop.confirm(opened)).json["command"]["paid"] is True


async def test_the_webhook_alone_makes_a_command_paid(shop: FrontEnd) -> None:
    opened = await shop.buy()
    for event in await shop.stage.events("checkout.session.completed"):
        answer = await shop.deliver(event)
        assert (answer.status, answer.json) == (200, {"received": True})
    await shop.stage.work()
    assert (await shop.status(opened)).json["command"]["paid"] is True
    assert len(shop.stage.mail.letters) == 1


async def test_a_retry_hands_out_the_open_session_again(shop: FrontEnd) -> None:
    opened = await shop.open()
    again = await shop.retry(opened)
    assert (again.status, again.json) == (200, opened)


async def test_a_retry_after_expiry_opens_another_session(shop: FrontEnd) -> None:
    opened = await shop.open()
    await shop.stage.pass_time(hours=22, minutes=45)  # under 30 minutes are left of 23 hours
    again = await shop.retry(opened)
    assert again.status == 200
    assert again.json["commandId"] == opened["commandId"]
    assert session_of(again.json) != session_of(opened)
    states = {session["id"]: session["status"] for session in await shop.stage.sessions()}
    assert states == {session_of(opened): "expired", session_of(again.json): "open"}


async def test_a_retry_names_the_new_price_and_takes_it_when_accepted(shop: FrontEnd) -> None:
    opened = await shop.open()
    statement = "UPDATE prices SET amount_minor = :price WHERE product_id = :id"
    await shop.stage.sql(statement, price=3199, id=BOUQUET)
    told = await shop.retry(opened)
    assert (told.status, told.code) == (409, "price_changed")
    assert (told.json["oldTotal"], told.json["newTotal"]) == (59.98, 63.98)
    assert (told.json["oldTotalMinor"], told.json["newTotalMinor"]) == (5998, 6398)
    assert (await shop.retry(opened, acceptTotal=59.98)).code == "price_changed"
    rounded = b'{"commandId":"%b","token":"%b","acceptTotal":63.980000000000001}' % (
        opened["commandId"].encode(), opened["token"].encode(),
    )  # fmt: skip
    assert (await shop.post("/api/checkout/retry-payment", rounded)).wrong == {
        "acceptTotal": "invalid_amount"
    }
    taken = await shop.retry(opened, acceptTotal=told.json["newTotal"])
    assert taken.status == 200
    await shop.pay(taken.json)
    paid = await shop.confirm(taken.json)
    assert paid.json["command"]["cartSnapshot"]["totalPrice"] == 63.98


async def test_a_paid_command_cannot_be_paid_again(shop: FrontEnd) -> None:
    opened = await shop.buy()
    await shop.confirm(opened)
    answer = await shop.retry(opened)
    assert (answer.status, answer.code) == (409, "already_paid")


async def test_a_closed_command_cannot_be_paid_any_more(shop: FrontEnd) -> None:
    opened = await shop.open()
    await cancel_command(shop.stage.shop, opened["commandId"])
    answer = await shop.retry(opened)
    assert (answer.status, answer.code) == (409, "command_expired")
    assert (await shop.status(opened)).json["command"]["customer"] is None


async def test_the_same_key_and_body_give_one_command_also_at_once(shop: FrontEnd) -> None:
    changes = {"customer__city": "Lyon"}
    answers = await asyncio.gather(*(shop.create("a key", **changes) for _ in range(5)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert len(await shop.stage.sessions()) == 1
    other = await shop.create("a key", customer__city="Nice")
    assert (other.status, other.code) == (409, "idempotency_conflict")


async def test_a_double_click_is_one_order_and_a_minute_later_it_is_another(
    shop: FrontEnd,
) -> None:
    body = shop.order()
    first, second = await asyncio.gather(shop.post(CREATE, body), shop.post(CREATE, body))
    assert first.json == second.json
    await shop.stage.pass_time(seconds=61)
    third = await shop.post(CREATE, body)
    assert third.json["commandId"] != first.json["commandId"]


async def test_two_lines_of_one_product_and_type_are_merged(kiosk: FrontEnd) -> None:
    items = [
        {"product_id": BOUQUET, "quantity": 1},
        {"product_id": BREAD, "quantity": 1},
        {"product_id": BOUQUET.upper(), "quantity": 2, "type": "standard"},
    ]
    opened = await kiosk.open(items=items)
    cart = (await kiosk.status(opened)).json["command"]["cart"]
    assert cart["products"] == [
        {"product_id": BOUQUET, "quantity": 3, "type": "standard"},
        {"product_id": BREAD, "quantity": 1, "type": "entier"},
    ]


async def test_what_a_customer_writes_is_kept_in_order(kiosk: FrontEnd) -> None:
    opened = await kiosk.open(
        customer__firstName="  Zoë ", customer__phone="06 12 34 56 78",
        customer__email="Zoe@Example.COM", customer__address="1 rue A\r\nBât. B",
        customer__fax=" ", customer__country="fr", note=" Merci !\nÀ bientôt ", locale="en-GB",
    )  # fmt: skip
    command = (await kiosk.status(opened)).json["command"]
    customer: dict[str, Any] = command["customer"]
    assert customer["firstName"] == "Zoë"
    assert customer["phone"] == "+33612345678"
    assert customer["email"] == "Zoe@example.com"
    assert customer["address"] == "1 rue A Bât. B"
    assert customer["fax"] is None and customer["country"] == "FR"
    assert command["note"] == "Merci !\nÀ bientôt"


async def test_the_catalogue_shows_what_can_be_ordered(kiosk: FrontEnd) -> None:
    hide = "UPDATE products SET active = FALSE WHERE id = :id"
    await kiosk.stage.sql(hide, id=BREAD)
    products = (await kiosk.get("/api/products")).json["products"]
    assert [product["title"] for product in products] == ["Bouquet de saison", "Livraison"]
    assert products[0] == {
        "_id": BOUQUET, "title": "Bouquet de saison", "description": "", "image": None,
        "prices": [
            {"type": "standard", "price": 29.99, "priceMinor": 2999, "currency": "eur",
             "default": True},
            {"type": "grand", "price": 44.9, "priceMinor": 4490, "currency": "eur",
             "default": False},
        ],
        "taxRate": 10, "taxInclusive": True,
    }  # fmt: skip
    assert products[1]["prices"][0]["default"] is True


async def test_a_paid_command_is_masked_a_day_later_but_not_for_its_token(shop: FrontEnd) -> None:
    opened = await shop.buy()
    assert (await shop.confirm(opened)).json["command"]["customer"]["email"] == "john@example.com"
    await shop.stage.pass_time(hours=24, minutes=1)
    masked = (await shop.confirm(opened)).json["command"]
    assert masked["customer"]["email"] == "j•••" and masked["customer"]["city"] == "P•••"
    assert masked["cartSnapshot"]["totalPrice"] == 59.98
    assert (await shop.status(opened)).json["command"]["customer"]["email"] == "john@example.com"
