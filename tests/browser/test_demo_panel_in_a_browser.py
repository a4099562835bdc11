"""The demo's panel: provoke a failure, pay, and see the timeline come right by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest_asyncio
from playwright.async_api import Page, expect

from commande.db.commands import Listed
from commande.db.inbox import count_events
from tests.browser.customer import order, read_paid
from tests.browser.watch import Watch, pay_by_card
from tests.support.demo import Demo
from tests.support.serving import wait_until
from tests.support.shopper import GOOD


@dataclass
class Desk:
    """The merchant at the panel; the customer is the same person in the same browser."""

    demo: Demo
    page: Page
    watch: Watch

    async def open(self) -> None:
        """The panel, through the gate if need be."""
        await self.page.goto(f"{self.demo.url}/demo")
        if "/connexion" in self.page.url:
            await self.page.fill("#password", self.demo.password)
            await self.page.click("main .btn")
            await self.page.wait_for_url("**/marchand")
            await self.page.goto(f"{self.demo.url}/demo")

    async def press(self, button: str) -> None:
        """One button of the panel; what it does is done when the panel is shown again."""
        await self.open()
        async with self.page.expect_event("load"):
            await self.page.click(f'button[value="{button}"]')

    async def becomes(self, status: str) -> Listed:
        """Wait for the newest command to say so."""
        await self.waits(lambda: self.demo.latest().command.status.value == status, status)
        return self.demo.latest()

    async def waits(self, ready: Callable[[], object], what: str) -> None:
        await asyncio.to_thread(wait_until, lambda: bool(ready()), what)

    async def sees_one_letter(self) -> None:
        command = self.demo.latest().command
        await self.waits(lambda: self.demo.facts(command.id, "mail_sent"), "a letter")
        assert self.demo.letters(command.ref) == 1
        assert len(self.demo.facts(command.id, "mail_sent")) == 1
        assert len(self.demo.facts(command.id, "paid")) == 1

    def doors(self) -> list[str]:
        """Through which doors the newest command was paid."""
        return [fact.source for fact in self.demo.facts(self.demo.latest().command.id, "paid")]


@pytest_asyncio.fixture(loop_scope="session")
async def desk(demo: Demo, page: Page, watch: Watch) -> AsyncIterator[Desk]:
    desk = Desk(demo, page, watch)
    yield desk
    # A test that broke off must not leave its trouble to the next one.
    for button in ("disarm:lost", "disarm:doubled", "start:worker"):
        await desk.open()
        if await page.locator(f'button[value="{button}"]').count():
            await desk.press(button)


async def test_a_lost_webhook_is_made_good_by_the_return(desk: Desk) -> None:
    await desk.press("arm:lost")
    await expect(desk.page.locator(".switches .pill")).to_have_count(1)
    await order(desk.page, desk.demo.url, firstName="Perdu")
    await pay_by_card(desk.page, GOOD)
    await read_paid(desk.page)
    assert "webhook" not in desk.doors()
    await desk.sees_one_letter()


async def test_s08_a_doubled_webhook_is_one_letter(desk: Desk) -> None:
    await desk.press("arm:doubled")
    await order(desk.page, desk.demo.url, firstName="Double")
    await pay_by_card(desk.page, GOOD)
    await read_paid(desk.page)
    command = desk.demo.latest().command
    await desk.waits(lambda: desk.demo.facts(command.id, "event_repeated"), "the second delivery")
    await desk.sees_one_letter()


async def test_without_a_worker_the_return_pays_and_the_letter_waits(desk: Desk) -> None:
    await desk.press("stop:worker")
    await order(desk.page, desk.demo.url, firstName="Sans")
    await pay_by_card(desk.page, GOOD)
    await read_paid(desk.page)
    assert desk.doors() == ["browser"]
    assert desk.demo.letters(desk.demo.latest().command.ref) == 0
    await desk.press("start:worker")
    await desk.sees_one_letter()


async def test_without_a_worker_nobody_pays_until_it_starts_again(desk: Desk) -> None:
    await desk.press("stop:worker")
    before = desk.demo.read(count_events).get("pending", 0)
    await desk.press("order:test")
    await desk.waits(
        lambda: desk.demo.read(count_events).get("pending", 0) > before, "the webhook to come"
    )
    await asyncio.sleep(1.5)  # three turns of a worker's inbox
    assert desk.demo.latest().command.status.value == "unpaid"
    await desk.press("start:worker")
    await desk.becomes("paid")
    assert desk.doors() == ["webhook"]
    await desk.sees_one_letter()


async def test_c16_a_server_killed_in_the_middle_of_a_payment_loses_nothing(desk: Desk) -> None:
    before = desk.demo.server()
    await desk.press("kill:server")
    await order(desk.page, desk.demo.url, firstName="Tué")
    await pay_by_card(desk.page, GOOD)
    # The payment page stood on the server that died: the browser asks again by itself, and the new
    # server knows that this session is paid.
    await desk.page.click("a.SubmitButton")
    await read_paid(desk.page)
    assert desk.demo.server() not in (0, before)
    await desk.sees_one_letter()


async def test_the_timeline_tells_the_whole_story_by_itself(desk: Desk) -> None:
    await desk.press("order:test")
    await desk.becomes("paid")
    story = desk.page.locator("#maintenant .time")
    await expect(story).to_contain_text("Payée")  # without a reload
    await expect(story).to_contain_text("E-mail parti")
    await expect(desk.page.locator("#derniere + a")).to_have_text(desk.demo.latest().command.ref)
