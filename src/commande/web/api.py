"""The API under /api: reads a request, runs a flow, writes its answer."""

from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response

from commande.core.command import Status
from commande.core.document import command_document, instant
from commande.core.money import to_number
from commande.core.product import Product
from commande.core.tax import canonical
from commande.db.catalogue import read_products
from commande.db.commands import find_command
from commande.errors import CommandNotFound, FieldError, InputInvalid
from commande.flows.checkout import Opened, open_checkout, retry_payment
from commande.flows.inbox import receive_event
from commande.flows.settlement import confirm_payment
from commande.ids import is_object_id
from commande.shop import Shop
from commande.web import openapi
from commande.web.bodies import read_body, read_json
from commande.web.running import run_to_end
from commande.web.schemas import read_confirmation, read_order, read_retry, terms_of

# Long enough for a UUID or a hash with a prefix; the key itself is stored as a hash only.
LONGEST_KEY: Final = 255


def _shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")


async def create_session(request: Request) -> Response:
    """Open a command for a cart and answer the address where it is paid.

    Prices come from the shop's catalogue alone. The same Idempotency-Key and body give the same
    answer; without a key the same order within a minute does, so that a double click is one order.
    """
    shop = _shop(request)
    key = _idempotency_key(request)
    order = read_order(await read_json(request), terms_of(shop.settings, shop.clock.now()))
    return _opened(await run_to_end(request, open_checkout(shop, order, key)))


def _idempotency_key(request: Request) -> str | None:
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    key = given[0].strip()
    if len(given) > 1 or not key or len(key) > LONGEST_KEY:
        detail = f"Give one key of 1 to {LONGEST_KEY} characters."
        raise InputInvalid(FieldError("Idempotency-Key", "invalid_key", detail))
    return key


def _opened(opened: Opened) -> Response:
    return _json({
        "url": opened.url,
        "commandId": opened.command_id,
        "ref": opened.ref,
        "token": opened.token,
        "expiresAt": instant(opened.expires_at),
    })  # fmt: skip


async def confirm(request: Request) -> Response:
    """Tell whether the payment went through, and give the command.

    Asks Stripe about that very session; the same answer on every repeat. 202 while a delayed
    payment method is under way.
    """
    asked = read_confirmation(await read_json(request))
    flow = confirm_payment(_shop(request), asked.session_id, asked.command_id)
    command, masked = await run_to_end(request, flow)
    waiting = command.status is Status.PROCESSING
    return _json({"command": command_document(command, masked=masked)}, 202 if waiting else 200)


async def retry(request: Request) -> Response:
    """Pay an unpaid command again: its open session, or a new one. Never two payable at once."""
    shop = _shop(request)
    document = await read_json(request)
    asked, accepted = read_retry(document, await request.body(), shop.settings.currency)
    flow = retry_payment(shop, asked.command_id, asked.token, accepted)
    return _opened(await run_to_end(request, flow))


async def show_command(request: Request) -> Response:
    """One's own command. Without its token there is no telling whether it exists."""
    shop, command_id = _shop(request), request.path_params["command_id"]
    token = request.query_params.get("token")
    # The token is checked first: whoever has none learns nothing, not even by the time it takes.
    if not is_object_id(command_id) or not shop.seal.opens(token, command_id):
        raise _unknown()
    command = await shop.db.read(find_command, command_id)
    if command is None:
        raise _unknown()
    return _json({"command": command_document(command)})


def _unknown() -> CommandNotFound:
    return CommandNotFound("There is no such command, or this link does not open it.")


async def receive_webhook(request: Request) -> Response:
    """Stripe's events: verified, stored once, acknowledged at once and handled by the worker."""
    shop = _shop(request)
    given = request.headers.getlist("stripe-signature")
    body = await read_body(request)
    # Two signatures are not twice as good: which one counts would be a guess.
    signature = given[0] if len(given) == 1 else None
    event = shop.stripe.read_event(body, signature, shop.clock.now())
    await run_to_end(request, receive_event(shop, event))
    worker = request.app.state.worker
    if worker is not None:
        worker.poke()
    return _json({"received": True})


async def list_products(request: Request) -> Response:
    """The products on sale, with a price for each type, in the catalogue's order."""
    shop = _shop(request)
    currency = shop.settings.currency
    found = await shop.db.read(read_products, active_only=True)
    documents = [_product_document(product, currency) for product in found]
    # What has no price in the shop's currency cannot be ordered, so it is not offered.
    return _json({"products": [document for document in documents if document["prices"]]})


def _product_document(product: Product, currency: str) -> dict[str, Any]:
    rate = product.tax_percentage
    standard = product.price_of(None)
    return {
        "_id": product.id,
        "title": product.title,
        "description": product.description,
        "image": product.image,
        "prices": [
            {
                "type": price.type,
                "price": to_number(price.amount_minor, price.currency),
                "priceMinor": price.amount_minor,
                "currency": price.currency,
                "default": price is standard,
            }
            for price in product.prices
            if price.currency == currency
        ],
        "taxRate": None if rate is None else orjson.loads(canonical(rate)),
        "taxInclusive": product.tax_inclusive,
    }


def add_api(app: FastAPI) -> None:
    """Put the API's routes on the application, each with its description.

    The endpoints read requests themselves: FastAPI's own reading costs 100 µs a request, answers
    wrong input in its own way, and knows no exact decimals.
    """
    checkout = "/api/checkout"
    for method, path, endpoint, described in (
        ("POST", f"{checkout}/create-stripe-checkout-session", create_session, openapi.CREATE),
        ("POST", f"{checkout}/confirm-payment", confirm, openapi.CONFIRM),
        ("POST", f"{checkout}/retry-payment", retry, openapi.RETRY),
        ("GET", f"{checkout}/commands/{{command_id}}", show_command, openapi.STATUS),
        ("POST", f"{checkout}/webhook", receive_webhook, openapi.WEBHOOK),
        ("GET", "/api/products", list_products, openapi.PRODUCTS),
    ):
        app.add_api_route(path, endpoint, methods=[method], **described)
