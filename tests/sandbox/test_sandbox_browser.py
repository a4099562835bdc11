"""The payment page in a real browser: on a phone and a desk, with JavaScript and without."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from commande.sandbox import create_sandbox
from tests.support.serving import serving
from tests.support.stand import Stand, a_line


def page_of(stand: Stand, **changes: object) -> str:
    back = {
        "success_url": f"{stand.url}/sandbox-control/status?paid={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{stand.url}/sandbox-control/faults",
    }
    return str(stand.order(**{**back, **changes}).url)


async def fill(page: Page, number: str) -> None:
    await page.fill("#email", "camille@shop.example")
    await page.locator("#cardNumber").press_sequentially(number)
    await page.locator("#cardExpiry").press_sequentially("1234")
    await page.fill("#cardCvc", "123")
    await page.fill("#billingName", "Camille Roussel")


@pytest.mark.parametrize("width", [390, 1280])
async def test_a_buyer_pays_by_card(stand: Stand, page: Page, width: int) -> None:
    errors: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # The shop that the buyer comes back to is played by an address without an icon.
        if not message.location["url"].endswith("/favicon.ico"):
            errors.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.set_viewport_size({"width": width, "height": 844})
    await page.goto(page_of(stand))
    assert await page.evaluate("document.documentElement.scrollWidth") == width
    await fill(page, "4000000000000002")
    assert await page.input_value("#cardNumber") == "4000 0000 0000 0002"
    assert await page.input_value("#cardExpiry") == "12 / 34"
    await page.click(".SubmitButton")
    await expect(page.locator("#alert")).to_be_in_viewport()
    await page.fill("#cardNumber", "4242 4242 4242 4242")
    await page.click(".SubmitButton")
    await page.wait_for_url("**/status?paid=cs_test_*")
    assert errors == []


async def test_without_javascript_everything_works(stand: Stand, chromium: Browser) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(page_of(stand))
    await page.click("label:has(#sepa)")
    await expect(page.locator("#iban")).to_be_visible()
    await expect(page.locator("#cardNumber")).to_be_hidden()
    await page.click("summary")
    await page.click('button[value="4000008400001629"]')
    await page.click("#test-source-authorize-3ds")
    await expect(page.locator("#alert")).to_be_visible()
    await page.click('button[value="4000002500003155"]')
    await page.click("#test-source-authorize-3ds")
    await page.wait_for_url("**/status?paid=cs_test_*")
    await context.close()


async def test_two_clicks_pay_once(stand: Stand, page: Page) -> None:
    await page.goto(page_of(stand))
    await fill(page, "4242424242424242")
    await page.dblclick(".SubmitButton", no_wait_after=True)
    await page.wait_for_url("**/status?paid=cs_test_*")
    assert len(stand.engine.state.rows["charge"]) == 1


async def test_the_way_back_pays_nothing(stand: Stand, page: Page) -> None:
    await page.goto(page_of(stand))
    await page.click("a.back")
    await page.wait_for_url("**/sandbox-control/faults")
    assert not stand.engine.state.rows["payment_intent"]


async def test_it_works_mounted_under_a_prefix(page: Page) -> None:
    sandbox = create_sandbox(locale="en")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with sandbox.router.lifespan_context(sandbox):
            yield

    host = Starlette(routes=[Mount("/under/here", sandbox)], lifespan=lifespan)
    with serving(host) as url:
        engine = sandbox.state.engine
        engine.world.url = f"{url}/under/here"
        session = engine.dashboard.foreign_session()
        await page.goto(session["url"])
        ground = await page.evaluate("getComputedStyle(document.querySelector('.sand')).textAlign")
        assert ground == "center"  # the stylesheet was found
        await page.click('button[value="4000002500003155"]')
        await expect(page.locator("#test-source-fail-3ds")).to_be_visible()
        await page.click("#test-source-fail-3ds")
        await page.click('button[value="4000000000000002"]')
        await expect(page.locator("#alert")).to_be_visible()
        assert page.url == session["url"]


async def test_long_names_and_many_lines_do_not_widen_a_phone(stand: Stand, page: Page) -> None:
    line = a_line(12_345_67, 99)
    line["price_data"]["product_data"] = {
        "name": "Donaudampfschifffahrtsgesellschaftskapitänsmützen" * 2,
        "description": "Une description qui n’en finit pas. " * 9,
    }
    await page.set_viewport_size({"width": 320, "height": 700})
    await page.goto(page_of(stand, line_items=[line, *[a_line() for _ in range(20)]]))
    wide = '[...document.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > 320)'
    assert await page.evaluate(f"{wide}.map(e => e.tagName + e.className)") == []
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
