"""What can be checked at any test server, with nothing but its address."""

import json
import time
from typing import Any, Final

from commande.verify.check import Check, Visit, must, promise, told
from commande.verify.shop import CHECKOUT, EMAIL, Reply, at_once

_WRONG: Final[list[Any]] = [0, -1, 1.5, "1", True, None, 10**6, 2**65, [], {}]


@promise(1)
def an_unpaid_command_is_not_confirmed(visit: Visit) -> str:
    """Coming back without having paid confirms nothing."""
    order = visit.shop.order()
    reply = visit.shop.confirm(order)
    must(400 <= reply.status < 500, told(reply))
    visit.unpaid(order)
    return told(reply)


@promise(1)
def an_invented_session_pays_nothing(visit: Visit) -> str:
    """A session id that somebody made up confirms nothing."""
    order = visit.shop.order()
    for session in ("cs_test_" + "a1" * 29, "cs_live_" + "a1" * 29, order.command_id, "../events"):
        reply = visit.shop.confirm(order, session)
        must(400 <= reply.status < 500, f"for {session[:12]}… {told(reply)}")
    visit.unpaid(order)
    return "4 invented sessions, 4 refused"


@promise(1)
def crossed_pairs_are_refused(visit: Visit) -> str:
    """The session of one command never confirms another one."""
    one, other = visit.shop.order(), visit.shop.order()
    for order, session in ((one, other.session), (other, one.session)):
        reply = visit.shop.confirm(order, session)
        must(400 <= reply.status < 500, told(reply))
        visit.unpaid(order)
    return "both ways refused"


@promise(1)
def a_forged_webhook_pays_nothing(visit: Visit) -> str:
    """An event that Stripe did not sign is refused and changes nothing."""
    order = visit.shop.order()
    event = {
        "id": "evt_verify", "object": "event", "type": "checkout.session.completed",
        "created": int(time.time()), "livemode": False,
        "data": {"object": {
            "id": order.session, "object": "checkout.session", "payment_status": "paid",
            "status": "complete", "client_reference_id": order.command_id,
            "metadata": {"command_id": order.command_id},
        }},
    }  # fmt: skip
    stamp = int(time.time())
    for signature in (None, "", f"t={stamp}", f"t={stamp},v0=00", f"t={stamp},v1={'0' * 64}"):
        headers = {} if signature is None else {"Stripe_Signature": signature}
        reply = visit.shop.ask("POST", f"{CHECKOUT}/webhook", json.dumps(event).encode(), **headers)
        must(reply.status in (400, 401, 403, 503), f"for {signature!r} {told(reply)}")
    visit.unpaid(order)
    return "5 signatures that are none, 5 refused"


@promise(1)
def claims_in_the_body_are_not_believed(visit: Visit) -> str:
    """A body that says it is paid is not believed."""
    lies = {"paid": True, "status": "paid", "paidAt": "2026-01-01T00:00:00Z", "total": 0}
    visit.unpaid(visit.shop.order(**lies))
    return "opened unpaid"


@promise(5)
def the_same_key_is_one_command(visit: Visit) -> str:
    """An Idempotency-Key stands for one command, and for one body."""
    shop = visit.shop
    body, key = shop.body(), f"verify-{time.time_ns()}"
    replies = at_once(lambda _: shop.create(body, key), [1, 2, 3])
    replies.append(shop.create(body, key))
    must(all(reply.status == 200 for reply in replies), told(replies[0]))
    must(len({_identity(reply) for reply in replies}) == 1, "one key opened several commands")
    other = shop.create(shop.body(), key)
    must(other.status == 409, f"with another body {told(other)}")
    return "4 times the same command; another body 409"


@promise(5)
def a_double_click_is_one_command(visit: Visit) -> str:
    """The same order twice at once is one command with one session."""
    shop = visit.shop
    body = shop.body()
    replies = at_once(lambda _: shop.create(body), [1, 2, 3])
    must(all(reply.status == 200 for reply in replies), told(replies[0]))
    must(len({_identity(reply) for reply in replies}) == 1, "one order opened several commands")
    return "3 clicks at once, 1 command, 1 session"


def _identity(reply: Reply) -> tuple[str, str]:
    return str(reply.json.get("commandId")), str(reply.json.get("url"))


@promise(5)
def an_open_session_is_handed_out_again(visit: Visit) -> str:
    """Paying again while the session is open gives the same session."""
    order = visit.shop.order()
    replies = [visit.shop.retry(order) for _ in range(2)]
    for reply in replies:
        must(reply.status == 200, told(reply))
        again = visit.shop.order_in(reply)
        must(again.session == order.session, "a second session was opened beside an open one")
    return "the same session twice"


@promise(0)
def a_command_opens_only_to_its_token(visit: Visit) -> str:
    """A command's id alone opens nothing and tells nothing."""
    one, other = visit.shop.order(), visit.shop.order()
    bodies = set()
    for token in ("", "x", other.token, one.ref, one.command_id):
        for reply in (visit.shop.look(one, token), visit.shop.retry(_with(one, token))):
            must(reply.status in (400, 401, 403, 404), f"with another token {told(reply)}")
            must(EMAIL.encode() not in reply.body, "a refusal names the customer")
        bodies.add(visit.shop.look(one, token).body)
    must(len(bodies) == 1, "refusals tell tokens apart")
    must(visit.shop.look(one).status == 200, "its own token does not open it")
    return "10 wrong tokens, 10 refused"


def _with(order: Any, token: str) -> Any:
    return type(order)(order.command_id, order.ref, token, order.url)


@promise(0)
def wrong_quantities_are_refused(visit: Visit) -> str:
    """What is no whole number from 1 up is a 400 problem document."""
    product = visit.shop.product()
    for quantity in _WRONG:
        line = {"product_id": product["id"], "type": product["type"], "quantity": quantity}
        reply = visit.shop.create(visit.shop.body(items=[line]))
        must(reply.status == 400, f"for {quantity!r} {told(reply)}")
        kind = reply.headers.get("content-type", "").partition(";")[0]
        must(kind == "application/problem+json", f"a refusal came as {kind}")
    return f"{len(_WRONG)} refused"


@promise(7)
def prices_are_integers_of_minor_units(visit: Visit) -> str:
    """Each price is an integer of minor units, and the amount beside it says the same."""
    seen = 0
    for product in visit.shop.products():
        for price in product["prices"]:
            minor = price["priceMinor"]
            must(type(minor) is int, f"{minor!r} is no integer")
            scales = [round(price["price"] * 10**digits) == minor for digits in (0, 2, 3)]
            must(any(scales), f"{price['price']} is not {minor}")
            seen += 1
    return f"{seen} prices"


@promise(6)
def whatever_was_opened_is_still_there(visit: Visit) -> str:
    """Every command that was opened answers to its token at the end of the visit."""
    ids = {order.command_id: order for order in visit.shop.orders}
    for order in ids.values():
        reply = visit.shop.look(order)
        must(reply.status == 200, f"{order.ref} is gone: {told(reply)}")
    return f"{len(ids)} commands"


FIRST: Final[tuple[Check, ...]] = (
    an_unpaid_command_is_not_confirmed,
    an_invented_session_pays_nothing,
    crossed_pairs_are_refused,
    a_forged_webhook_pays_nothing,
    claims_in_the_body_are_not_believed,
    the_same_key_is_one_command,
    a_double_click_is_one_command,
    an_open_session_is_handed_out_again,
    a_command_opens_only_to_its_token,
    wrong_quantities_are_refused,
    prices_are_integers_of_minor_units,
)
LAST: Final[tuple[Check, ...]] = (whatever_was_opened_is_still_there,)
