"""What takes a customer who pays, and a Stripe that may be asked to lose its post."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from commande.verify.check import Check, NotRun, Visit, is_paid, must, promise, told
from commande.verify.shop import EMAIL, Order, at_once
from commande.verify.stand_in import DECLINED, SEPA

# Stripe hangs this long; who waits for it with a transaction open is seen at once. Shorter than any
# server's patience with one request.
_SLOW: Final = 5.0
# The server finds a payment that nobody reported within this time (contract: six minutes).
_RECONCILED: Final = 360.0


@promise(7)
def the_charge_is_the_catalogues(visit: Visit) -> str:
    """Stripe charges the catalogue's price, whatever a body says."""
    product = visit.shop.product()
    line = {"product_id": product["id"], "type": product["type"], "quantity": 3}
    cheap = {"price": 0.01, "amount": 1, "unit_amount": 1, "currency": "jpy"}
    order = visit.shop.order(items=[line | cheap], total=0.01)
    session = visit.box.session(order.session)
    charged = session["amount_total" if product["inclusive"] else "amount_subtotal"]
    must(charged == 3 * product["minor"], f"{charged} is charged, 3 × {product['minor']} it is")
    return f"3 × {product['minor']} = {charged}"


@promise(1)
def a_paid_session_pays_its_command(visit: Visit) -> str:
    """After the payment confirm says paid, for exactly what Stripe charged."""
    order = visit.paid()
    session = visit.box.session(order.session)
    snapshot = visit.shop.look(order).command.get("cartSnapshot") or {}
    total = snapshot.get("totalPriceMinor")
    must(total == session["amount_total"], f"{session['amount_total']} charged, {total} noted")
    must(snapshot.get("currency") == session["currency"], "the currency differs")
    return f"{total} {session['currency']}"


@promise(3)
def a_snapshot_adds_up_and_never_changes(visit: Visit) -> str:
    """The snapshot is the sum of its lines and the same on every look."""
    order = visit.paid()
    first = visit.shop.confirm(order)
    lines = (first.command.get("cartSnapshot") or {}).get("products", [])
    total = (first.command.get("cartSnapshot") or {}).get("totalPriceMinor")
    must(sum(line["totalMinor"] for line in lines) == total, f"lines do not add up to {total}")
    time.sleep(visit.settles)
    for again in (visit.shop.confirm(order), visit.shop.confirm(order), visit.shop.look(order)):
        must(again.command.get("cartSnapshot") == first.command["cartSnapshot"], "it changed")
        must(again.command.get("paidAt") == first.command["paidAt"], "it was paid again")
    return f"{len(lines)} line, {total}, 3 looks"


@promise(4)
def everybody_at_once_is_one_payment(visit: Visit) -> str:
    """Twelve confirmations at once, beside the webhook, have one effect."""
    order = visit.shop.order()
    visit.box.pay(order.session)
    replies = at_once(lambda _: visit.shop.confirm(order), list(range(12)))
    for reply in replies:
        must(reply.status == 200 and is_paid(reply), told(reply))
    must(len({reply.command["paidAt"] for reply in replies}) == 1, "it was paid at several times")
    must(len({str(reply.command["cartSnapshot"]) for reply in replies}) == 1, "snapshots differ")
    return "12 answers, one payment"


@promise(2)
def the_webhook_alone_is_enough(visit: Visit) -> str:
    """Somebody pays and closes the tab: the webhook makes it paid."""
    _listened_to(visit)
    order = visit.shop.order()
    began = time.monotonic()
    visit.box.pay(order.session)
    visit.wait(order, is_paid, "paid")
    return f"paid after {time.monotonic() - began:.1f} s"


@promise(2)
def the_return_alone_is_enough(visit: Visit) -> str:
    """Every webhook is lost: coming back makes it paid."""
    order = visit.shop.order()
    with visit.box.trouble("lost", type="*", count=50):
        visit.box.pay(order.session)
        reply = visit.shop.confirm(order)
    must(reply.status == 200 and is_paid(reply), told(reply))
    return told(reply)


@promise(2)
def neither_is_needed_in_the_end(visit: Visit) -> str:
    """Webhooks lost and tab closed: the server finds the payment by itself."""
    box = visit.box
    if visit.patience < _RECONCILED:
        raise NotRun("needs --patience 6m: it is found by asking Stripe now and then")
    order = visit.shop.order()
    began = time.monotonic()
    with box.trouble("lost", type="*", count=50):
        box.pay(order.session)
    visit.wait(order, is_paid, "paid")
    return f"paid after {time.monotonic() - began:.0f} s"


@promise(4)
def a_doubled_webhook_changes_nothing(visit: Visit) -> str:
    """An event that comes again, and its twin by another id, change nothing."""
    _listened_to(visit)
    order = visit.shop.order()
    with visit.box.trouble("twin", type="checkout.session.completed", count=1):
        visit.box.pay(order.session)
    before = visit.wait(order, is_paid, "paid")
    events = visit.box.events_of(order.session)
    for event in events * 2:
        visit.box.resend(event)
    visit.box.deliver()
    time.sleep(visit.settles)
    after = visit.shop.look(order).command
    for key in ("paidAt", "cartSnapshot", "status", "refunded"):
        must(after.get(key) == before.command.get(key), f"{key} changed")
    return f"{len(events)} events, each three times"


@promise(4)
def one_letter_however_often_it_is_told(visit: Visit) -> str:
    """A command that is confirmed and told of many times is written about once."""
    box = visit.box
    if visit.mails is None:
        raise NotRun("needs the folder of the server's letters (--mails)")
    order = visit.shop.order()
    with box.trouble("doubled", type="checkout.session.*", count=2):
        box.pay(order.session)
    for _ in range(3):
        visit.shop.confirm(order)
    deadline = time.monotonic() + visit.patience
    while not letters_about(visit.mails, order) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(visit.settles)
    count = letters_about(visit.mails, order)
    must(count == 1, f"{count} letters about {order.ref}")
    return "1 letter"


def letters_about(folder: Path, order: Order) -> int:
    """How many letters to us tell of a command."""
    from email import message_from_bytes, policy

    found = 0
    for path in folder.glob("*.eml"):
        letter: Any = message_from_bytes(path.read_bytes(), policy=policy.default)
        texts = [str(letter["Subject"])]
        texts += [p.get_content() for p in letter.walk() if p.get_content_type() == "text/plain"]
        found += EMAIL in str(letter["To"]) and any(order.ref in text for text in texts)
    return found


@promise(1)
def a_declined_card_pays_nothing(visit: Visit) -> str:
    """A declined card leaves the command unpaid, and payable by another."""
    order = visit.shop.order()
    visit.box.pay(order.session, DECLINED)
    reply = visit.shop.confirm(order)
    must(400 <= reply.status < 500, told(reply))
    visit.unpaid(order)
    again = visit.shop.order_in(visit.shop.retry(order))
    visit.box.pay(again.session)
    paid = visit.shop.confirm(again)
    must(paid.status == 200 and is_paid(paid), f"by another card {told(paid)}")
    return "unpaid, then paid by another card"


@promise(1)
def a_delayed_payment_is_not_paid_early(visit: Visit) -> str:
    """A debit under way is processing, and paid only once the bank has paid."""
    delay = float(visit.box.status()["settings"].get("sepa_delay", 5))
    if delay > visit.patience:
        raise NotRun(f"the stand-in's banks take {delay:.0f} s: give more --patience")
    order = visit.shop.order()
    visit.box.pay(order.session, SEPA)
    reply = visit.shop.confirm(order)
    must(reply.status == 202 and not is_paid(reply), told(reply))
    paid = visit.box.session(order.session)["payment_status"] == "paid"
    began = time.monotonic()
    while not paid and time.monotonic() - began < delay + 10:
        time.sleep(0.2)
        paid = visit.box.session(order.session)["payment_status"] == "paid"
    reply = visit.shop.confirm(order)
    must(reply.status == 200 and is_paid(reply), f"once the bank paid {told(reply)}")
    return "202 processing, then paid"


@promise(1)
def a_paid_session_pays_no_other_command(visit: Visit) -> str:
    """A session that was paid confirms its own command and no other."""
    mine, other = visit.shop.order(), visit.shop.order()
    visit.box.pay(mine.session)
    reply = visit.shop.confirm(other, mine.session)
    must(400 <= reply.status < 500, told(reply))
    visit.unpaid(other)
    reply = visit.shop.confirm(mine)
    must(reply.status == 200 and is_paid(reply), f"its own command: {told(reply)}")
    return "the other stays unpaid"


@promise(1)
def a_strangers_payment_pays_nothing(visit: Visit) -> str:
    """Money that another program of the account took pays no command, whatever it is named."""
    order = visit.shop.order()
    known = visit.box.session(order.session)
    reply = visit.box.stranger_pays(known["amount_total"], known["currency"], order.command_id)
    foreign = str(reply.json.get("id", ""))
    must(bool(foreign), "the stand-in made no foreign session")
    answer = visit.shop.confirm(order, foreign)
    must(400 <= answer.status < 500, told(answer))
    visit.box.deliver()
    time.sleep(visit.settles)
    visit.unpaid(order)
    must(visit.box.session(foreign)["payment_status"] == "paid", "it was touched")
    return "named, of the same amount, and not believed"


@promise(5)
def one_session_can_be_paid(visit: Visit) -> str:
    """However often it is asked to pay again, a command has one session that can be paid."""
    _listened_to(visit)
    order = visit.shop.order()
    visit.box.expire(order.session)
    visit.box.deliver()
    time.sleep(visit.settles)
    replies = at_once(lambda _: visit.shop.retry(order), list(range(6)))
    must(any(reply.status == 200 for reply in replies), told(replies[0]))
    open_ = visit.box.payable(order.command_id)
    must(len(open_) == 1, f"{len(open_)} sessions of {order.ref} can be paid")
    return "6 at once, 1 open session"


@promise(5)
def a_paid_command_cannot_be_paid_again(visit: Visit) -> str:
    """Once paid there is nothing to pay: no new session, none left open."""
    order = visit.paid()
    reply = visit.shop.retry(order)
    must(reply.status == 409, told(reply))
    open_ = visit.box.payable(order.command_id)
    must(not open_, f"{len(open_)} sessions of a paid command can be paid")
    return told(reply)


@promise(1)
def a_refund_leaves_it_paid(visit: Visit) -> str:
    """Money given back in the dashboard is noted; what was paid stays paid."""
    _listened_to(visit)
    order = visit.paid()
    session = visit.box.session(order.session)
    visit.box.refund(session["payment_intent"])
    back = session["amount_total"]
    reply = visit.wait(order, lambda r: r.command.get("refundedMinor") == back, "refunded")
    must(is_paid(reply), "it is no longer paid")
    must((reply.command.get("cartSnapshot") or {}).get("totalPriceMinor") == back, "it changed")
    return f"{back} given back, still paid"


@promise(2)
def a_lost_answer_loses_nothing(visit: Visit) -> str:
    """Stripe's answer breaks off when a session is made: there is one, and it can be paid."""
    with visit.box.trouble("cut_body", method="POST", path="/v1/checkout/sessions", count=1):
        reply = visit.shop.create(visit.shop.body())
    must(reply.status in (200, 503), told(reply))
    order = visit.shop.order_in(reply)
    must(bool(order.command_id and order.token), "503 without the command's id and token")
    if reply.status == 503:
        order = visit.shop.order_in(visit.shop.retry(order))
    visit.box.pay(order.session)
    confirmed = visit.shop.confirm(order)
    must(confirmed.status == 200 and is_paid(confirmed), f"after it {told(confirmed)}")
    open_ = visit.box.payable(order.command_id)
    must(not open_, f"{len(open_)} more sessions of it can be paid")
    return f"{reply.status}, then paid once"


@promise(8)
def nobody_waits_for_another_ones_stripe(visit: Visit) -> str:
    """While Stripe hangs over one order, others are written and read as ever."""
    shop, other = visit.shop, visit.shop.order()
    visit.box.pay(other.session)
    hanging = {"method": "POST", "path": "/v1/checkout/sessions", "seconds": _SLOW, "count": 1}
    with visit.box.trouble("latency", **hanging) as fault, ThreadPoolExecutor(1) as thread:
        slow = thread.submit(shop.create, shop.body())
        while visit.box.stands(fault) and not slow.done():
            time.sleep(0.05)  # until it is with Stripe
        replies = [shop.confirm(other), shop.create(shop.body()), shop.look(other)]
        meanwhile = not slow.done()
        took = max(reply.seconds for reply in replies)
        first = slow.result()
    must(all(reply.status == 200 for reply in replies), told(replies[0]))
    must(meanwhile, f"another order took {took:.1f} s while Stripe hung over the first")
    must(first.seconds < 12, f"the slow one was answered after {first.seconds:.1f} s")
    return f"others within {took:.2f} s, the slow one after {first.seconds:.1f} s"


def _listened_to(visit: Visit) -> None:
    if not visit.box.hears():
        raise NotRun("the stand-in sends no webhooks (its option --webhook)")


ALL: Final[tuple[Check, ...]] = (
    the_charge_is_the_catalogues,
    a_paid_session_pays_its_command,
    a_snapshot_adds_up_and_never_changes,
    everybody_at_once_is_one_payment,
    the_webhook_alone_is_enough,
    the_return_alone_is_enough,
    neither_is_needed_in_the_end,
    a_doubled_webhook_changes_nothing,
    one_letter_however_often_it_is_told,
    a_declined_card_pays_nothing,
    a_delayed_payment_is_not_paid_early,
    a_paid_session_pays_no_other_command,
    a_strangers_payment_pays_nothing,
    one_session_can_be_paid,
    a_paid_command_cannot_be_paid_again,
    a_refund_leaves_it_paid,
    a_lost_answer_loses_nothing,
    nobody_waits_for_another_ones_stripe,
)
