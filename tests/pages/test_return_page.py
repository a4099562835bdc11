"""The return from Stripe and the command's own page: who sees what, and what a GET may do."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from commande.core.command import Status
from commande.core.document import Command
from commande.db.commands import change_command
from tests.pages.street import CAMILLE, Page, Street, Visitor
from tests.support.schema import content_of

HIDDEN = [CAMILLE["lastName"], CAMILLE["email"], CAMILLE["address"]]


def query_of(address: str, *names: str) -> str:
    """The address's path with only these parameters."""
    parts = urlsplit(address)
    kept = [pair for pair in parts.query.split("&") if pair.split("=")[0] in names]
    return f"{parts.path}?{'&'.join(kept)}"


def arrive(street: Street, visitor: Visitor, means: str = "pm_card_visa") -> tuple[str, Page]:
    """Order, pay, and come back: the address, and the page before anything was asked."""
    back = street.pay(visitor.order(), means)
    return back, visitor.get(back)


def newest(street: Street) -> Command:
    return street.commands()[0]


def confirm(visitor: Visitor, page: Page) -> Page:
    return visitor.post("/commande/terminee", page.form("/commande/terminee"))


def test_a_get_settles_nothing_and_asks_stripe_nothing(street: Street) -> None:
    visitor = street.visitor()
    back = street.pay(visitor.order())
    before, asked = street.read(content_of), len(street.engine.requests)
    for method in ("GET", "HEAD", "GET"):
        assert visitor.get(back, method=method).status == 200
    assert street.read(content_of) == before
    assert len(street.engine.requests) == asked
    assert not newest(street).paid


@pytest.mark.parametrize(
    ("language", "thanks"),
    [("fr", "Merci Camille, c’est payé"), ("en", "Thank you Camille, it’s paid")],
)
def test_one_press_without_javascript_confirms_and_shows_what_was_paid(
    street: Street, language: str, thanks: str
) -> None:
    visitor = street.visitor(**{"Accept-Language": language})
    _, waiting = arrive(street, visitor)
    assert "Stripe" in waiting.title
    page = confirm(visitor, waiting)
    command = newest(street)
    assert page.title == thanks
    assert command.paid and command.ref in page.text
    assert "29,99\u202f€" in page.text or "€29.99" in page.text
    assert "Commande ouverte" in page.text or "Order opened" in page.text
    # Sent again (a reload) nothing changes.
    assert confirm(visitor, waiting).title == thanks
    assert newest(street) == command


def test_the_basket_is_empty_once_it_is_paid(street: Street) -> None:
    visitor = street.visitor()
    _, waiting = arrive(street, visitor)
    assert "panier" in visitor.cookies
    confirm(visitor, waiting)
    assert "panier" not in visitor.cookies


def test_s21_the_page_is_stored_by_nobody_and_told_to_nobody(street: Street) -> None:
    visitor = street.visitor()
    back, page = arrive(street, visitor)
    for shown in (page, confirm(visitor, page), visitor.get(query_of(back, "command_id"))):
        assert shown.headers["cache-control"] == "no-store"
        assert shown.headers["referrer-policy"] == "no-referrer"
    cookie = next(line for line in visitor.set_cookies if line.startswith("c_"))
    for word in ("HttpOnly", "SameSite=lax", "Path=/commande", "Max-Age=86400"):
        assert word in cookie


def test_s21_the_address_without_its_token_still_opens_for_this_browser_only(
    street: Street,
) -> None:
    visitor = street.visitor()
    _back, page = arrive(street, visitor)
    shown = confirm(visitor, page)
    address = re.search(r'data-address="([^"]+)"', shown.body)
    assert address is not None
    assert "token" not in address[1] and "session_id" not in address[1]
    assert visitor.get(address[1]).title == shown.title
    assert street.visitor().get(address[1]).status == 404


def test_the_link_of_the_mail_opens_the_command_without_a_session(street: Street) -> None:
    visitor = street.visitor()
    back, page = arrive(street, visitor)
    confirm(visitor, page)
    reader = street.visitor()
    reader.buy()
    shown = reader.get(query_of(back, "command_id", "token"))
    assert shown.title == "Merci Camille, c’est payé"
    assert "panier" in reader.cookies  # a later basket is none of this command's


def test_s20_whatever_opens_nothing_gives_the_same_page_to_the_byte(street: Street) -> None:
    visitor = street.visitor()
    _back, page = arrive(street, visitor)
    confirm(visitor, page)
    command_id = newest(street).id
    other = f"{int(command_id, 16) - 1:024x}"
    asked = [
        f"command_id={command_id}", f"command_id={command_id}&token=wrong", f"command_id={other}",
        f"command_id={command_id}&token={'A' * 32}", "command_id=1", "command_id=%00&token=%ff",
        f"command_id={command_id.upper()}&token=x", "", "token=x",
    ]  # fmt: skip
    for path in ("/commande/terminee", "/commande/annulee"):
        bodies = set()
        for query in asked:
            answer = street.visitor().get(f"{path}?{query}")
            assert answer.status == 404
            assert not any(word in answer.body for word in HIDDEN)
            bodies.add(re.sub(r'href="\?[^"]*"', "", answer.body))
        assert len(bodies) == 1, path


def test_s20_a_foreign_pair_opens_nothing_and_costs_no_call(street: Street) -> None:
    mine, theirs = street.visitor(), street.visitor()
    _back, page = arrive(street, mine)
    other, _ = arrive(street, theirs)
    fields = page.form("/commande/terminee")
    foreign = dict(pair.split("=") for pair in urlsplit(other).query.split("&"))
    asked = len(street.engine.requests)
    for changes in (
        {"session_id": foreign["session_id"]}, {"command_id": foreign["command_id"]},
        {"session_id": "cs_test_unknown"}, {"session_id": ""}, {"session_id": "cs\0é"},
        {"command_id": "x"},
    ):  # fmt: skip
        answer = street.visitor().post("/commande/terminee", fields | {"token": ""} | changes)
        assert answer.status == 404
        assert not any(word in answer.body for word in HIDDEN)
    assert len(street.engine.requests) == asked
    assert not any(command.paid for command in street.commands()[:2])


def test_s21_the_pair_alone_shows_everything_for_a_day_and_then_hides_the_person(
    street: Street,
) -> None:
    visitor = street.visitor()
    back, page = arrive(street, visitor)
    confirm(visitor, page)
    address = query_of(back, "session_id", "command_id")
    stranger = street.visitor()
    first = stranger.get(address)
    assert not any(word in first.body for word in HIDDEN)
    shown = confirm(stranger, first)
    assert shown.title == "Merci Camille, c’est payé"
    assert 'data-address=""' in shown.body  # nothing that would open it again later
    street.clock.ahead += timedelta(hours=25)
    try:
        late = confirm(street.visitor(), first)
        assert late.status == 200 and newest(street).ref in late.text
        assert "Camille" not in late.text and not any(word in late.body for word in HIDDEN)
        own = street.visitor().get(query_of(back, "command_id", "token"))
        assert own.title == "Merci Camille, c’est payé"
    finally:
        street.clock.ahead = timedelta(0)


def test_a_delayed_payment_is_explained_and_never_shown_as_an_error(street: Street) -> None:
    visitor = street.visitor()
    _, waiting = arrive(street, visitor, "DE08370400440532013003")  # decides in three minutes
    page = confirm(visitor, waiting)
    assert page.title == "Votre paiement est en cours"
    assert "Vous n’avez rien à refaire" in page.text
    assert "data-poll" in page.body
    street.engine.dashboard.advance(3600)
    page = confirm(visitor, waiting)
    assert page.title == "Merci Camille, c’est payé"


def test_a_return_without_a_payment_leads_back_to_it(street: Street) -> None:
    visitor = street.visitor()
    session = re.search(r"cs_test_\w+", visitor.order().headers["location"])
    assert session is not None
    command = newest(street)
    query = f"command_id={command.id}&token={street.shop.seal.token(command.id)}"
    waiting = visitor.get(f"/commande/terminee?session_id={session[0]}&{query}")
    page = confirm(visitor, waiting)
    assert page.title == "Le paiement n’est pas fait"
    onward = visitor.post("/commande/annulee", page.form("/commande/annulee"), follow=False)
    assert onward.status == 303 and "/sandbox/c/pay/" in onward.headers["location"]


def test_when_stripe_does_not_answer_the_page_says_that_nothing_is_lost(street: Street) -> None:
    visitor = street.visitor()
    _, waiting = arrive(street, visitor)
    street.engine.fail("500_before", method="GET", path="/v1/checkout/sessions/*", count=50)
    try:
        page = confirm(visitor, waiting)
        assert page.status == 503
        assert "rien n’est perdu" in page.text
    finally:
        street.engine.world.faults.remove()
    assert confirm(visitor, page).title == "Merci Camille, c’est payé"


def test_a_refund_is_told_on_the_same_page(street: Street) -> None:
    visitor = street.visitor()
    back, waiting = arrive(street, visitor)
    confirm(visitor, waiting)
    command = newest(street)
    changes = {"status": Status.REFUNDED, "refunded_minor": 2999}
    street.read(change_command, command, datetime.now(UTC), **changes)
    page = visitor.get(query_of(back, "command_id", "token"))
    assert page.title == "Votre commande est remboursée"
    assert "Remboursée" in page.text


def test_s26_a_name_is_shown_as_it_was_written(street: Street) -> None:
    visitor = street.visitor()
    name = '<b>Zoé</b> & "Cie"'
    back = street.pay(visitor.order(firstName=name))
    page = confirm(visitor, visitor.get(back))
    assert page.title == f"Merci {name}, c’est payé"
    assert "<b>" not in page.body
