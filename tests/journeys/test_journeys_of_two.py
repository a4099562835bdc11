"""Two of everything at once: clicks, keys, doors to paid. Each process answers half of them."""

import json
from functools import partial

import pytest

from tests.support.frontend import CREATE
from tests.support.shopper import GOOD, Shopper, ask, at_once, wishes


def requests_heard(url: str, route: str) -> float:
    """How many requests to a route this very process has answered, by its own count."""
    page = ask("GET", f"{url}/metrics").body.decode()
    lines = [line for line in page.splitlines() if line.startswith("commande_http_requests_total")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if f'"{route}"' in line)


def test_c9_a_double_click_across_the_processes_is_one_command(shopper: Shopper) -> None:
    doors = shopper.premises.urls
    before = [requests_heard(door, CREATE) for door in doors]
    answers = at_once(*[shopper.orders] * 6)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["commandId"] for answer in answers}) == 1
    assert len({answer.json["url"] for answer in answers}) == 1
    # Control: every process had its share of the clicks, so that they really met in the database.
    heard = [requests_heard(door, CREATE) - was for door, was in zip(doors, before, strict=True)]
    assert heard == [6 / len(doors)] * len(doors)


def test_c9_control_two_different_carts_are_two_commands(shopper: Shopper) -> None:
    answers = at_once(partial(shopper.orders, 1), partial(shopper.orders, 2))
    assert len({answer.json["commandId"] for answer in answers}) == 2


def test_c4_the_same_key_across_the_processes_is_one_answer(shopper: Shopper) -> None:
    answers = at_once(*[partial(shopper.orders, key=f"key of {shopper.email}")] * 6)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    other = shopper.orders(3, key=f"key of {shopper.email}")
    assert other.status == 409


def test_c4_control_two_keys_are_two_commands(shopper: Shopper) -> None:
    answers = at_once(*[partial(shopper.orders, key=f"{n} of {shopper.email}") for n in range(2)])
    assert len({answer.json["commandId"] for answer in answers}) == 2


def test_c14_the_return_and_the_webhook_at_once_have_one_effect(shopper: Shopper) -> None:
    shopper.orders()
    shopper.premises.silence()
    shopper.pays_with(GOOD)
    event = completed(shopper)
    stripe = shopper.premises.stripe
    knocks = [partial(stripe.dashboard.resend, event)] * 4
    answers = at_once(*[shopper.comes_back] * 6, *knocks, stripe.world.wake)
    stripe.world.wake()
    bodies = {answer.body for answer in answers if hasattr(answer, "body")}
    assert len(bodies) == 1
    [paid] = shopper.facts("paid")
    assert paid.source in ("browser", "webhook")
    shopper.sees_paid(by=paid.source)


def completed(shopper: Shopper) -> str:
    """The event that nobody delivered."""
    rows = shopper.premises.stripe.state.rows["event"].values()
    named = shopper.session_id.encode()
    [event] = [
        row["id"]
        for row in rows
        if row["type"] == "checkout.session.completed" and named in row["object"]
    ]
    return str(event)


def test_c36_clean_up_closes_an_open_page_and_settles_a_paid_one(shopper: Shopper) -> None:
    paid = Shopper(shopper.premises)
    paid.orders()
    paid.premises.silence()
    paid.pays_with(GOOD)
    shopper.orders()
    paid.sees_unpaid()
    shopper.premises.run("cleanup", "--older-than", "0s")
    paid.sees_paid(by="person")
    assert shopper.session()["status"] == "expired"
    assert shopper.pays_with(GOOD).status == 400
    assert shopper.turns_back().code == "command_expired"
    command = shopper.looks()
    assert (command["status"], command["paid"], command["customer"]) == ("expired", False, None)
    assert shopper.letters() == []


def test_the_command_line_shows_the_very_object_of_confirm(shopper: Shopper) -> None:
    shopper.orders()
    shopper.pays_with(GOOD)
    shopper.sees_paid(by="webhook")
    confirmed = shopper.comes_back().json["command"]
    run = partial(shopper.premises.run, "commands")
    shown, listed = at_once(
        partial(run, "show", shopper.command_id, "--json"),
        partial(run, "list", "--json", "--limit", "1"),
    )
    assert json.loads(shown) == confirmed
    assert json.loads(listed) == [confirmed]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1@evil.example", "evil.example:443"])
def test_s28_no_host_header_gets_into_an_address(shopper: Shopper, host: str) -> None:
    forwarded = {"X-Forwarded-Host": host, "Forwarded": f"host={host}", "X-Forwarded-Proto": "ftp"}
    answer = shopper.post(CREATE, wishes(shopper.email), Host=host, **forwarded)
    assert answer.status == 200
    shopper.opened = answer.json
    for name in ("success_url", "cancel_url"):
        shopper.address_back(name)  # asserts that it begins with the site's own
        assert "evil" not in str(shopper.session()[name])
