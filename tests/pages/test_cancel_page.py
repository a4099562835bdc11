"""The page of an interrupted payment: reading changes nothing, the token opens everything."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from commande.core.command import Status
from commande.db.attempts import list_attempts
from commande.db.catalogue import set_price, upsert_products
from commande.db.tables import payments
from tests.pages.street import BOUQUET, Page, Street, Visitor
from tests.support.schema import content_of


def interrupt(street: Street, visitor: Visitor, **changes: str) -> tuple[str, Page]:
    """Order, and come back without paying."""
    visitor.order(**changes)
    command = street.commands()[0]
    token = street.shop.seal.token(command.id)
    address = f"/commande/annulee?command_id={command.id}&token={token}"
    return address, visitor.get(address)


def press(visitor: Visitor, page: Page, **changes: str) -> Page:
    form = page.form("/commande/annulee") | changes
    return visitor.post("/commande/annulee", form, follow=False)


def test_s17_reading_the_page_writes_nothing_whoever_reads_it(street: Street) -> None:
    visitor = street.visitor()
    address, page = interrupt(street, visitor)
    assert page.title == "Le paiement n’a pas été fait"
    before, asked = street.read(content_of), len(street.engine.requests)
    for method in ("GET", "HEAD"):
        for path in (address, address.replace("token=", "token=x"), "/commande/annulee"):
            street.visitor().get(path, method=method, purpose="prefetch")
    assert street.read(content_of) == before
    assert len(street.engine.requests) == asked


def test_the_page_says_that_nothing_was_taken_and_how_long_the_command_is_kept(
    street: Street,
) -> None:
    _, page = interrupt(street, street.visitor())
    assert "Rien n’a été débité" in page.text
    assert "Reprendre le paiement de 29,99\u202f€" in page.text
    _, english = interrupt(street, street.visitor(**{"Accept-Language": "en"}))
    assert "Resume the payment of €29.99" in english.text


def test_resuming_leads_to_the_session_that_is_still_open(street: Street) -> None:
    visitor = street.visitor()
    first = visitor.order(lastName="Reprise")
    command = street.commands()[0]
    token = street.shop.seal.token(command.id)
    page = visitor.get(f"/commande/annulee?command_id={command.id}&token={token}")
    again = press(visitor, page)
    assert again.status == 303
    assert again.headers["location"] == first.headers["location"]


def test_c29_a_price_that_changed_is_shown_and_must_be_accepted(street: Street) -> None:
    visitor = street.visitor()
    _, page = interrupt(street, visitor)
    street.read(set_price, BOUQUET.id, "standard", 3199, datetime.now(UTC))
    try:
        asked = press(visitor, page)
        assert asked.status == 409
        assert asked.title == "Le prix a changé depuis votre commande"
        assert "29,99\u202f€" in asked.text and "Accepter et payer 31,99\u202f€" in asked.text
        # A total that nobody showed is not accepted.
        assert press(visitor, asked, acceptTotal="1").status == 409
        assert press(visitor, asked, acceptTotal="x").status == 409
        accepted = press(visitor, asked)
        assert accepted.status == 303
    finally:
        street.read(set_price, BOUQUET.id, "standard", 2999, datetime.now(UTC))


def test_a_product_that_left_the_catalogue_is_told(street: Street) -> None:
    visitor = street.visitor()
    _, page = interrupt(street, visitor)
    street.read(upsert_products, [replace(BOUQUET, active=False)], datetime.now(UTC))
    try:
        answer = press(visitor, page)
        assert (answer.status, answer.title) == (409, "Un article n’est plus en vente")
    finally:
        street.read(upsert_products, [BOUQUET], datetime.now(UTC))


def test_cancelling_closes_the_session_at_stripe_and_erases_the_customer(street: Street) -> None:
    visitor = street.visitor()
    address, page = interrupt(street, visitor)
    cancelled = press(visitor, page, action="cancel")
    assert (cancelled.status, cancelled.title) == (200, "Cette commande est fermée")
    command = street.commands()[0]
    assert (command.status, command.customer) == (Status.EXPIRED, None)
    # Closed is closed: resuming, or looking again, says so and offers to order again.
    assert press(visitor, page).title == "Cette commande est fermée"
    assert visitor.get(address).title == "Cette commande est fermée"


def test_what_was_paid_in_the_last_second_is_not_cancelled(street: Street) -> None:
    visitor = street.visitor()
    answer = visitor.order(lastName="Tardive")
    command = street.commands()[0]
    token = street.shop.seal.token(command.id)
    page = visitor.get(f"/commande/annulee?command_id={command.id}&token={token}")
    street.pay(answer)
    cancelled = press(visitor, page, action="cancel")
    assert cancelled.title == "Cette commande est déjà payée"
    assert street.commands()[0].paid
    assert press(visitor, page).title == "Cette commande est déjà payée"


def pay_late(conn: Any, command_id: str) -> None:
    """Money for a closed command that the shop does not keep, as settlement records it."""
    attempt = list_attempts(conn, command_id)[0]
    row = {
        "stripe_session_id": attempt.stripe_session_id, "command_id": command_id,
        "attempt_id": attempt.id, "amount_minor": attempt.amount_minor, "currency": "eur",
        "outcome": "late", "detail": {}, "disputed": False, "created_at": datetime.now(UTC),
        "as_of": datetime.now(UTC),
    }  # fmt: skip
    conn.execute(payments.insert().values(row))


def test_nobody_is_told_that_nothing_was_taken_when_money_came_too_late(street: Street) -> None:
    visitor = street.visitor()
    address, page = interrupt(street, visitor)
    press(visitor, page, action="cancel")
    street.read(pay_late, street.commands()[0].id)
    for path in (address, address.replace("annulee", "terminee")):
        shown = visitor.get(path)
        assert shown.title == "Cette commande était déjà fermée"
        assert "Rien n’a été débité" not in shown.text and "La somme revient" in shown.text


def test_when_stripe_is_down_the_page_stays_and_says_so(street: Street) -> None:
    visitor = street.visitor()
    _, page = interrupt(street, visitor)
    street.read(set_price, BOUQUET.id, "standard", 3299, datetime.now(UTC))
    street.engine.fail("500_before", method="POST", count=50)
    try:
        answer = press(visitor, page, acceptTotal="3299")
        assert answer.status == 503
        assert "Stripe ne répond pas" in answer.text and "Rien n’a été débité" in answer.text
    finally:
        street.engine.world.faults.remove()
        street.read(set_price, BOUQUET.id, "standard", 2999, datetime.now(UTC))


def test_s27_a_post_without_the_right_token_does_nothing(street: Street) -> None:
    visitor = street.visitor()
    _, page = interrupt(street, visitor)
    before = street.read(content_of)
    for changes in ({"token": "x"}, {"token": ""}, {"command_id": "a" * 24}):
        stranger = street.visitor()
        assert press(stranger, page, **changes).status == 404
        assert press(stranger, page, action="cancel", **changes).status == 404
    foreign = visitor.post(
        "/commande/annulee", page.form("/commande/annulee"), sec_fetch_site="cross-site"
    )
    assert foreign.status == 403
    assert street.read(content_of) == before
