"""The storefront as customers meet it: phone and desk, both languages, with scripts and without."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from commande.db.commands import list_commands
from tests.browser.customer import (
    BOUQUET,
    CAMILLE,
    fill_basket,
    fill_form,
    order,
    read_paid,
)
from tests.browser.watch import Watch, fits, pay_by_card
from tests.support.browser import PATIENCE_MS, unanswered
from tests.support.demo import Demo
from tests.support.shopper import ASKS_THE_BANK, GOOD

LEADS_TO = """() => [...document.querySelectorAll("a[href], form[action]")]
  .map((e) => new URL(e.getAttribute("href") ?? e.getAttribute("action"), location.href))
  .filter((url) => url.protocol.startsWith("http")).map((url) => url.host)"""
LOCALES = {"fr": "fr-FR", "en": "en-GB"}


@asynccontextmanager
async def visitor(
    chromium: Browser, width: int, lang: str, *, script: bool = True, hosts: tuple[str, ...] = ()
) -> AsyncIterator[tuple[Page, Watch]]:
    """Somebody with a window of that width; at the end nothing may have gone wrong."""
    context = await chromium.new_context(
        locale=LOCALES[lang],
        timezone_id="Europe/Paris",
        viewport={"width": width, "height": 844},
        java_script_enabled=script,
    )
    context.set_default_timeout(PATIENCE_MS)
    watch = Watch(hosts=("127.0.0.1", *hosts))
    await watch.over(context)
    yield await context.new_page(), watch
    await context.close()
    watch.saw_nothing()


@pytest.mark.parametrize(
    ("width", "lang", "script"),
    [
        (390, "fr", True),
        (390, "en", False),
        (1280, "fr", False),
        (1280, "en", True),
    ],
)
async def test_a_bouquet_from_shelf_to_paid(
    demo: Demo, chromium: Browser, width: int, lang: str, script: bool
) -> None:
    async with visitor(chromium, width, lang, script=script) as (page, _):
        await order(page, demo.url, lang)
        await pay_by_card(page, GOOD)
        await read_paid(page, lang, script=script)
        if script:  # neither history nor a neighbour on the same screen keeps the token
            await expect(page).not_to_have_url(re.compile("token|session_id"))
        await page.goto(f"{demo.url}/panier")
        await expect(page.locator(".cart")).to_have_count(0)


async def test_the_keyboard_alone_buys_a_bouquet(demo: Demo, chromium: Browser) -> None:
    async with visitor(chromium, 1280, "fr") as (page, _):
        await page.goto(demo.url)
        await tab_to(page, f"{BOUQUET} button")
        await page.keyboard.press("Enter")
        await expect(page.locator(".cartbar")).to_be_visible()
        await tab_to(page, ".cartbar a.btn")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/commande")
        for name, value in CAMILLE.items():
            await tab_to(page, f"#{name}")
            await page.keyboard.type(value)
        await tab_to(page, "button.day:not([disabled]):not([aria-pressed=true])")
        await page.keyboard.press("Enter")
        await expect(page.locator("button.day:focus")).to_have_attribute("aria-pressed", "true")
        await tab_to(page, "input[name=appointment]")
        await page.keyboard.press("Space")
        await tab_to(page, "button.btn.wide")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/c/pay/*")
        for name, value in {"cardNumber": GOOD, "cardExpiry": "1234", "cardCvc": "123"}.items():
            await tab_to(page, f"#{name}")
            await page.keyboard.type(value)
        await tab_to(page, "#billingName")
        await page.keyboard.type("Camille Roussel")
        await page.keyboard.press("Enter")
        await read_paid(page)


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until it has the focus, and can be seen to have it."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        if await page.locator(f"{selector}:focus").count():
            style = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert style != "none", f"nobody sees the focus on {selector}"
            return
    raise AssertionError(f"the keyboard never came to {selector}")


@pytest.mark.parametrize("script", [True, False], ids=["with scripts", "without"])
async def test_enter_in_a_field_sends_the_order_and_presses_no_day(
    demo: Demo, chromium: Browser, script: bool
) -> None:
    async with visitor(chromium, 390, "fr", script=script) as (page, watch):
        await fill_basket(page, demo.url)
        await page.fill("#firstName", "Camille")
        await page.press("#firstName", "Enter")
        await expect(page.locator("#erreurs")).to_be_visible()
        await expect(page.locator("#firstName")).to_have_value("Camille")
        await fits(page)
        await watch.hears("status of 400")
        await fill_form(page)
        await page.press("#city", "Enter")
        await page.wait_for_url("**/c/pay/*")


async def test_two_clicks_on_the_button_are_one_order(demo: Demo, chromium: Browser) -> None:
    async with visitor(chromium, 390, "fr") as (page, _):
        await fill_basket(page, demo.url)
        await fill_form(page, firstName="Deux")
        before = len(demo.read(list_commands))
        async with unanswered(page, "**/commande"):
            await page.locator("button.btn.wide").dblclick(no_wait_after=True)
        await page.wait_for_url("**/c/pay/*")
        assert len(demo.read(list_commands)) == before + 1


async def test_the_way_back_from_payment_keeps_the_order(demo: Demo, chromium: Browser) -> None:
    async with visitor(chromium, 390, "en") as (page, _):
        await order(page, demo.url, "en", firstName="Back")
        await page.click("a.back")
        await page.wait_for_url("**/commande/annulee?*")
        await fits(page)
        await page.locator("main form .btn").first.click()
        await page.wait_for_url("**/c/pay/*")
        await pay_by_card(page, ASKS_THE_BANK)
        await page.wait_for_selector("#test-source-authorize-3ds")
        await fits(page)
        await page.click("#test-source-authorize-3ds")
        await read_paid(page, "en")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("lang", ["fr", "en"])
async def test_no_page_is_wider_than_the_window(
    demo: Demo, chromium: Browser, width: int, lang: str
) -> None:
    async with visitor(chromium, width, lang) as (page, watch):
        for path in ("/", "/panier", "/docs", "/marchand", "/commande/annulee?command_id=0"):
            await page.goto(demo.url + path)
            await fits(page)
        await watch.hears("status of 404")
        await page.goto(f"{demo.url}/demo")
        await page.fill("#password", demo.password)
        await page.press("#password", "Enter")
        await page.wait_for_url("**/marchand")
        await page.goto(f"{demo.url}/demo")
        await page.click('button[value="order:test"]')
        await expect(page.locator("#maintenant .time")).to_be_visible()
        await fits(page)
        await page.click("#derniere + a")
        await page.wait_for_url("**/marchand/commandes/*")
        await fits(page)
        for path in (
            "/marchand",
            "/marchand/evenements",
            "/marchand?state=expired",
            "/marchand?q=x",
        ):
            await page.goto(demo.url + path)
            await fits(page)


async def test_s28_another_name_for_the_machine_changes_no_address(
    demo: Demo, chromium: Browser
) -> None:
    async with visitor(chromium, 1280, "fr", hosts=("localhost",)) as (page, _):
        forged = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example;proto=ftp"}
        await page.set_extra_http_headers(forged)
        await order(page, demo.url.replace("127.0.0.1", "localhost"), firstName="Nom")
        assert page.url.startswith(demo.url)
        await pay_by_card(page, GOOD)
        await read_paid(page)
        assert page.url.startswith(demo.url)


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/",
        "//evil.example/%2e%2e",
        "/panier?next=https://evil.example/",
        "/commande?url=//evil.example",
        "/commande/annulee?command_id=//evil.example&return_to=https://evil.example",
        "/commande/terminee?session_id=https://evil.example&command_id=//evil.example",
        "/marchand/connexion?next=//evil.example",
        "/?lang=//evil.example",
    ],
)
async def test_s28_no_address_leads_out_of_the_shop(
    demo: Demo, chromium: Browser, path: str
) -> None:
    async with visitor(chromium, 1280, "fr") as (page, watch):
        watch.forgives("status of 404", "status of 400")
        await page.goto(demo.url + path)
        assert set(await page.evaluate(LEADS_TO)) <= {urlsplit(demo.url).netloc}
        await page.wait_for_timeout(300)  # a script that would leave has left by now
        assert page.url.startswith(demo.url)
