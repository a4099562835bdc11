"""The demo's panel: every button does its one thing, and only behind the gate."""

import re

import pytest

from tests.admin.conftest import Levers
from tests.pages.street import Page, Street, Visitor


def press(visitor: Visitor, action: str) -> Page:
    token = re.search(r'name="form_token" value="(\w+)"', visitor.get("/demo").body)
    assert token is not None
    return visitor.post("/demo", {"form_token": token[1], "action": action})


def test_a_fault_is_armed_shown_and_taken_back(merchant: Visitor, levers: Levers) -> None:
    page = press(merchant, "arm:lost")
    assert levers.armed == {"lost"}
    assert "Armé" in page.text and "Sera perdu" in page.text
    page = press(merchant, "disarm:lost")
    assert levers.armed == set()
    assert "livré une fois" in page.text
    assert "Viendra deux fois" in press(merchant, "arm:doubled").text
    press(merchant, "disarm:doubled")


def test_the_worker_is_stopped_and_started(merchant: Visitor, levers: Levers) -> None:
    assert "Redémarrer le worker" in press(merchant, "stop:worker").text
    assert not levers.worker
    assert "Redémarrer le worker" not in press(merchant, "start:worker").text
    assert levers.worker


def test_the_server_is_doomed_and_says_so(merchant: Visitor, levers: Levers) -> None:
    assert "Va mourir" in press(merchant, "kill:server").text
    assert levers.kill
    levers.kill = False


def test_a_test_order_is_placed(merchant: Visitor, levers: Levers) -> None:
    before = levers.orders
    press(merchant, "order:test")
    assert levers.orders == before + 1


@pytest.mark.parametrize("action", ["", "x", "arm:", "arm:everything", "kill:", "order", "disarm"])
def test_no_other_button_exists(merchant: Visitor, action: str) -> None:
    assert press(merchant, action).status == 403


def test_the_newest_command_tells_its_story(street: Street, merchant: Visitor) -> None:
    street.visitor().order()
    page = merchant.get("/demo")
    command = street.commands()[0]
    assert command.ref in page.text and "Session ouverte" in page.text
    assert "Panneau de démo" in merchant.get("/marchand").text


def test_the_panel_speaks_english_too(merchant: Visitor) -> None:
    page = merchant.get("/demo?lang=en")
    assert page.title == "Demo panel" and "Lose the next webhook" in page.text
