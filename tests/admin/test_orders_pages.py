"""The merchant's list and one command: read-only, complete, and safe to look at."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commande.core.command import Status
from commande.db.commands import change_command, find_command, lock_command
from commande.db.inbox import MAX_TRIES, StoredEvent, delay_event, store_event
from commande.db.journal import record
from commande.db.tables import commands
from commande.db.upkeep import beat, flag_command
from tests.pages.street import Street, Visitor
from tests.support.schema import content_of

PAYLOADS = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{1234*4321}}",
    "' onmouseover='alert(1)", "</td></tr></table><svg onload=alert(1)>",
]  # fmt: skip


def ordered(street: Street, *, pay: bool = False, **changes: str) -> str:
    """A command of a customer of that name; its id."""
    visitor = street.visitor()
    answer = visitor.order(**changes)
    command_id = street.commands()[0].id
    if pay:
        waiting = visitor.get(street.pay(answer))
        visitor.post("/commande/terminee", waiting.form("/commande/terminee"))
    return command_id


def force(conn: Any, command_id: str, **values: Any) -> None:
    found = lock_command(conn, command_id)
    assert found is not None
    change_command(conn, found, datetime.now(UTC), **values)


def rows(page: str) -> list[str]:
    return re.findall(r'<a class="ref" href="[^"]*">([^<]+)</a>', page)


def test_an_empty_list_says_what_will_appear(street: Street, merchant: Visitor) -> None:
    if not street.commands():
        assert "Aucune commande pour l’instant" in merchant.get("/marchand").text
    for state in ("refunded", "processing", "expired", "attention"):
        page = merchant.get(f"/marchand?state={state}")
        assert "apparaît ici" in page.text or "est fermée ici" in page.text
        assert "Voir toutes les commandes" in page.text
    assert "Nothing contains “zzz”" in merchant.get("/marchand?q=zzz&lang=en").text
    merchant.get("/marchand?lang=fr")


def test_commands_stand_under_their_state_with_counts(street: Street, merchant: Visitor) -> None:
    unpaid, paid = ordered(street, lastName="Impaye"), ordered(street, pay=True, lastName="Paye")
    page = merchant.get("/marchand?state=paid")
    assert "Camille Paye" in page.text and "Camille Impaye" not in page.text
    assert re.search(r'aria-current="page">Payées <span class="num">\d+', page.body)
    page = merchant.get("/marchand?state=unpaid")
    assert "Camille Impaye" in page.text and "Camille Paye" not in page.text
    for command_id in (unpaid, paid):
        assert f"/marchand/commandes/{command_id}" in merchant.get("/marchand").body


@pytest.mark.parametrize("asked", ["Garnier", "garnier", "helene@example.org", "ref", "id"])
def test_a_command_is_found_by_reference_name_and_address(
    street: Street, merchant: Visitor, asked: str
) -> None:
    command_id = ordered(street, lastName="Garnier", email="helene@example.org")
    command = street.read(find_command, command_id)
    assert command is not None
    wanted = {"ref": command.ref[1:], "id": command_id}.get(asked, asked)
    assert command.ref in rows(merchant.get(f"/marchand?q={wanted}").body)
    assert rows(merchant.get("/marchand?q=nobody-at-all").body) == []


@pytest.mark.parametrize(
    "query",
    ["state=x", "page=0", "page=-1", "page=x", "page=%C2%B2",
                                   "page=99999999999", "page=77", "q=%00", "q=%25", "q=%27--"],
)  # fmt: skip
def test_odd_questions_get_a_plain_answer(merchant: Visitor, query: str) -> None:
    assert merchant.get(f"/marchand?{query}").status == 200


def test_the_list_is_paged_newest_first(street: Street, merchant: Visitor) -> None:
    now = datetime.now(UTC) - timedelta(days=3)
    model = street.read(find_command, ordered(street))
    assert model is not None

    def add_many(conn: Any) -> None:
        names = {c.name for c in commands.c} - {"erased_at"}
        for n in range(60):
            values = {name: getattr(model, name) for name in names}
            values |= {"id": f"{n:024x}", "ref": f"#PAGE{n:04}", "note": None,
                       "created_at": now + timedelta(minutes=n), "updated_at": now}  # fmt: skip
            conn.execute(commands.insert().values(values))

    street.read(add_many)
    seen: list[str] = []
    page = merchant.get("/marchand?q=PAGE")
    assert "1 à 25 sur 60" in page.text
    while True:
        seen += rows(page.body)
        older = re.search(r'href="([^"]+)" rel="next"', page.body)
        if older is None:
            break
        page = merchant.get(older[1].replace("&amp;", "&"))
    assert seen == [f"#PAGE{n:04}" for n in reversed(range(60))]


def test_one_command_shows_its_story_sessions_payment_and_snapshot(
    street: Street, merchant: Visitor
) -> None:
    command_id = ordered(street, pay=True)
    page = merchant.get(f"/marchand/commandes/{command_id}")
    command = street.read(find_command, command_id)
    assert command is not None and page.title == command.ref
    for words in (
        "Payée", "Session demandée à Stripe", "navigateur", "Instantané écrit",
                  "session 1", "Complète", "Appliqué", "1 × Bouquet de saison",
                  "La base refuse de le changer", "camille@example.com", "06 12 34 56 78",
    ):  # fmt: skip
        assert words in page.text
    assert command.paid_session_id is not None and command.paid_session_id in page.text


def test_an_unpaid_command_shows_its_frozen_quote(street: Street, merchant: Visitor) -> None:
    page = merchant.get(f"/marchand/commandes/{ordered(street)}")
    assert "Devis figé" in page.text and "Instantané" not in page.text


def test_a_fact_nobody_knows_yet_is_shown(street: Street, merchant: Visitor) -> None:
    command_id = ordered(street)
    street.read(record, command_id, datetime.now(UTC), "slot_taken", "calendar", seats=2)
    page = merchant.get(f"/marchand/commandes/{command_id}")
    assert "Slot taken" in page.text and "seats: 2" in page.text and "calendar" in page.text


def test_the_story_can_be_exported_as_it_was_recorded(street: Street, merchant: Visitor) -> None:
    command_id = ordered(street, pay=True)
    page = merchant.get(f"/marchand/commandes/{command_id}/chronologie.json")
    document = json.loads(page.body)
    assert document["command"]["_id"] == command_id
    kinds = [fact["kind"] for fact in document["history"]]
    assert kinds[:3] == ["opened", "session_requested", "session_opened"] and "paid" in kinds
    assert all(fact["at"].endswith("Z") and fact["source"] for fact in document["history"])
    assert "attachment" in page.headers["content-disposition"]
    assert "Roussel" not in page.body


@pytest.mark.parametrize("path", ["f" * 24, "x", "a" * 24, "%3Cscript%3E"])
def test_a_command_that_does_not_exist_is_told(merchant: Visitor, path: str) -> None:
    page = merchant.get(f"/marchand/commandes/{path}")
    assert (page.status, page.title) == (404, "Cette commande n’existe pas")
    assert merchant.get(f"/marchand/commandes/{path}/chronologie.json").status == 404


def test_what_waits_for_a_person_stands_above_everything_with_its_reason(
    street: Street, merchant: Visitor
) -> None:
    command_id = ordered(street, lastName="Attendue")
    street.read(flag_command, command_id, "session_missing", "stripe", datetime.now(UTC))
    page = merchant.get("/marchand?state=paid")
    assert "1 commande attend une personne." in page.text
    assert "Stripe ne connaît pas sa session" in page.text
    command = street.read(find_command, command_id)
    assert command is not None
    assert rows(merchant.get("/marchand?state=attention").body) == [command.ref]
    page = merchant.get(f"/marchand/commandes/{command_id}")
    assert "À voir" in page.text and "Clé d’un autre compte" in page.text
    street.read(force, command_id, attention="reason_of_tomorrow")
    assert "reason_of_tomorrow" in merchant.get(f"/marchand/commandes/{command_id}").text
    street.read(force, command_id, attention=None)


def test_events_that_no_try_could_handle_are_listed(street: Street, merchant: Visitor) -> None:
    assert merchant.get("/marchand/evenements").title == "Tous les événements sont traités"
    command_id, now = ordered(street), datetime.now(UTC)
    event = StoredEvent(
        "evt_dead", "checkout.session.completed", "cs_1", "cs_1", None, command_id, {}, "webhook",
        MAX_TRIES, now,
    )  # fmt: skip
    street.read(store_event, event, "pending", now)
    street.read(delay_event, event, "stripe_unavailable", now)
    page = merchant.get("/marchand/evenements")
    assert "evt_dead" in page.text and "stripe_unavailable" in page.text
    assert f"/marchand/commandes/{command_id}" in page.body
    assert "1 événement de Stripe n’a pas pu être traité" in merchant.get("/marchand").text
    assert "un événement de Stripe n’a pas pu être traité" in merchant.get("/marchand").text


def test_erased_customers_are_named_as_erased(street: Street, merchant: Visitor) -> None:
    visitor = street.visitor()
    visitor.order(lastName="Effacée")
    command = street.commands()[0]
    fields = {"command_id": command.id, "token": street.shop.seal.token(command.id)}
    visitor.post("/commande/annulee", fields | {"action": "cancel"})
    after = street.read(find_command, command.id)
    assert after is not None and after.status is Status.EXPIRED
    page = merchant.get(f"/marchand/commandes/{command.id}")
    assert "Les données de cette personne sont effacées" in page.text
    assert "données effacées" in merchant.get("/marchand?state=expired").text


def test_the_footer_tells_whether_the_worker_lives(street: Street, merchant: Visitor) -> None:
    assert "Worker arrêté" in merchant.get("/marchand").text
    street.read(beat, "worker", datetime.now(UTC))
    assert "Worker en marche" in merchant.get("/marchand").text
    street.clock.ahead = timedelta(minutes=1)
    assert "Worker arrêté" in merchant.get("/marchand").text
    street.clock.ahead = timedelta(0)


def test_looking_changes_nothing(street: Street, merchant: Visitor) -> None:
    command_id = ordered(street, pay=True)
    before, asked = street.read(content_of), len(street.engine.requests)
    for path in ("", f"/commandes/{command_id}", f"/commandes/{command_id}/chronologie.json",
                 "/evenements", "?q=x&state=paid&page=2"):  # fmt: skip
        for method in ("GET", "HEAD"):
            assert merchant.get(f"/marchand{path}", method=method).status == 200
    assert street.read(content_of) == before
    assert len(street.engine.requests) == asked


@pytest.mark.parametrize(
    "name", ["firstName", "lastName", "address", "postalCode", "city", "fax", "email", "phone"]
)
def test_s26_what_customers_write_is_text_to_the_merchant(
    street: Street, merchant: Visitor, name: str
) -> None:
    command_id = ordered(street)
    for payload in PAYLOADS:
        # Straight into the row, past every check at the door.
        customer = dict.fromkeys(("firstName", "lastName", "email", "phone", "address",
                                  "postalCode", "city", "country", "fax"), "x")  # fmt: skip
        street.read(force, command_id, customer=customer | {name: payload}, note=payload)
        for path in ("", f"/commandes/{command_id}"):
            body = merchant.get(f"/marchand{path}").body
            assert "<script>alert" not in body and "<img src=x" not in body
            assert "<svg onload" not in body and "' onmouseover='" not in body
            assert str(1234 * 4321) not in body
