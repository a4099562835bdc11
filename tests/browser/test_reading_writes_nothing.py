"""S-17: whatever a browser, a mail scanner or a crawler merely reads, nothing is written."""

import asyncio
from urllib.parse import urlencode

import pytest
from playwright.async_api import expect

from tests.browser.window import Window
from tests.support.shopper import ask

CLOSED = "Cette commande est fermée"


@pytest.mark.parametrize("whose", ["own", "without its token", "nobody's"])
async def test_s17_reading_the_cancel_page_writes_nothing(window: Window, whose: str) -> None:
    shop, premises = window.street.premises.urls[0], window.street.premises
    await window.orders()
    query = window.shopper.address_back("cancel_url")
    if whose == "without its token":
        del query["token"]
    elif whose == "nobody's":
        query = {"command_id": "f" * 24, "token": query["token"]}
    # How far a worker has read Stripe's events, every two minutes, is no writing of a reader's.
    before = await asyncio.to_thread(premises.content, "cursors")
    address = f"{shop}/commande/annulee?{urlencode(query)}"
    assert ask("HEAD", address).body == b""
    for _ in range(2):
        await window.page.goto(address)
        await window.page.wait_for_load_state("networkidle")
    finished = f"{shop}/commande/terminee?{urlencode(query)}"
    assert ask("GET", finished).status == ask("HEAD", finished).status
    window.watch.forgives("status of 404")
    assert await asyncio.to_thread(premises.content, "cursors") == before
    assert window.shopper.session()["status"] == "open"


async def test_s17_control_the_same_page_s_button_does_write(window: Window) -> None:
    shop, premises = window.street.premises.urls[0], window.street.premises
    await window.orders()
    before = await asyncio.to_thread(premises.content, "cursors")
    query = window.shopper.address_back("cancel_url")
    await window.page.goto(f"{shop}/commande/annulee?{urlencode(query)}")
    await window.page.click("details summary")
    await window.page.click('button[value="cancel"]')
    await expect(window.page.locator("h1")).to_have_text(CLOSED)
    assert await asyncio.to_thread(premises.content, "cursors") != before
    assert window.shopper.session()["status"] == "expired"
