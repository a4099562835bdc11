"""The pages in a real browser: with scripts, at every width, by keyboard, and under attack."""

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import ConsoleMessage, Dialog, Page, Request, expect

from commande.db.commands import change_command, lock_command
from tests.pages.street import BOUQUET, CAMILLE, Street, open_street
from tests.support.browser import unanswered

LONG = "Wolfeschlegelsteinhausenbergerdorff" * 5
WIDTHS = (320, 390, 640, 1280)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    address = {"storefront": {"address": "27, passage des Lilas, 75011 Paris", "phone": "01 99"}}
    with open_street(tmp_path_factory.mktemp("chromium"), module=address) as opened:
        yield opened


class Witness:
    """Notes what must never happen: dialogs, script errors, refused content, foreign requests."""

    def __init__(self, page: Page, street: Street) -> None:
        self.seen: list[str] = []
        self._page = page
        self._home = street.engine.world.url.removesuffix("/sandbox")
        page.on("dialog", self._dialog)
        page.on("pageerror", lambda error: self.seen.append(f"error: {error}"))
        page.on("console", self._console)
        page.on("request", self._request)

    async def sees(self, word: str) -> None:
        """Wait for it: what a page does is told when it has been done."""
        give_up = time.monotonic() + 60
        while not any(word in each for each in self.seen):
            assert time.monotonic() < give_up, f"no {word!r} was seen: {self.seen}"
            await self._page.wait_for_timeout(20)

    async def _dialog(self, dialog: Dialog) -> None:
        self.seen.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _console(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Content-Security-Policy" in message.text:
            self.seen.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._home, "data:")):
            self.seen.append(f"request: {request.url}")


async def add_bouquet(page: Page, street: Street) -> None:
    await page.goto(street.url)
    await page.click(f"#p-{BOUQUET.id} button")
    await page.wait_for_selector(".cartbar summary")


async def fill(page: Page, **changes: str) -> None:
    await page.click(".cartbar .btn")
    await page.wait_for_url("**/commande")  # and its scripts
    for name, value in ({k: v for k, v in CAMILLE.items() if v} | changes).items():
        await page.fill(f"#{name}", value)
    # By its date: at two o'clock in the afternoon the first day leaves the row.
    date = await page.get_attribute(".day:not([disabled]) >> nth=2", "value")
    day = page.locator(f'.day[value="{date}"]')
    await day.click()
    await expect(day).to_have_attribute("aria-pressed", "true")
    await page.click(".slot >> nth=1")


async def pay(page: Page, street: Street, means: str = "pm_card_visa") -> str:
    """Pay as the stand-in's page would, and follow Stripe back."""
    await page.wait_for_url("**/sandbox/c/pay/**")
    session_id = re.search(r"cs_test_\w+", page.url)
    assert session_id is not None
    session = street.engine.dashboard.pay(session_id[0], means)
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session_id[0])


async def no_sideways_scroll(page: Page) -> bool:
    return bool(
        await page.evaluate("document.documentElement.scrollWidth <= document.body.clientWidth")
    )


async def test_the_whole_way_with_scripts_on_a_phone(page: Page, street: Street) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    witness = Witness(page, street)
    await add_bouquet(page, street)
    assert await page.inner_text("#said") == "Panier, 1 article. Total 29,99\u202f€"
    assert page.url.rstrip("/") == street.url  # nothing was loaded anew
    await fill(page)
    await expect(page.locator("#choisi")).to_have_text(re.compile("14\u202fh$"))
    await page.click(".card .btn")
    await page.goto(await pay(page, street))
    await page.wait_for_selector("text=Merci Camille, c’est payé")
    await expect(page).not_to_have_url(re.compile("token|session_id"))
    assert "Panier (" not in await page.inner_text(".top")
    assert await page.evaluate("document.activeElement.tagName") == "H1"
    await page.reload()
    assert await page.inner_text("h1") == "Merci Camille, c’est payé"
    assert witness.seen == []


async def test_two_quick_presses_on_a_product_are_two_articles(page: Page, street: Street) -> None:
    await page.goto(street.url)
    async with unanswered(page, "**/panier"):
        for _ in range(2):
            await page.click(f"#p-{BOUQUET.id} button")
    await expect(page.locator(".cartbar summary")).to_contain_text("2 articles")


async def test_the_day_that_was_pressed_last_is_shown(page: Page, street: Street) -> None:
    await add_bouquet(page, street)
    await page.click(".cartbar .btn")
    await page.wait_for_url("**/commande")
    first, last = (page.locator("button.day").nth(n) for n in (3, 4))
    answers: list[str] = []
    page.on("requestfinished", lambda request: answers.append(request.url))
    async with unanswered(page, "**/commande", times=1):
        await first.click()
        await last.click()
        await expect(last).to_have_attribute("aria-pressed", "true")
    async with asyncio.timeout(60):
        while len(answers) < 2:
            await page.wait_for_timeout(20)
    await page.wait_for_timeout(300)  # what the late answer would show is shown by now
    await expect(last).to_have_attribute("aria-pressed", "true")


async def test_an_hour_that_was_chosen_before_the_scripts_came_is_told(
    page: Page, street: Street
) -> None:
    await add_bouquet(page, street)
    async with unanswered(page, re.compile(r"checkout\S*\.js")):
        await page.goto(f"{street.url}/commande", wait_until="commit")
        await page.click(".slot:has(input:not([disabled])) >> nth=0")
        assert await page.inner_text("#choisi") == ""
    await expect(page.locator("#choisi")).to_have_text(re.compile("14\u202fh|9\u202fh"))


async def test_a_slow_answer_shows_what_is_waited_for(page: Page, street: Street) -> None:
    await add_bouquet(page, street)
    await fill(page, lastName="Lente")
    await page.click(".card .btn")
    back = await pay(page, street)
    # The page's own clock stands still unless the test moves it.
    await page.clock.install(time=0)
    await page.clock.pause_at(1)
    async with unanswered(page, "**/commande/terminee"):
        await page.goto(back)
        bar = page.locator(".waitbar")
        await page.clock.run_for(299)
        await expect(bar).to_be_hidden()
        await page.clock.run_for(1)
        await expect(bar).to_be_visible()
        assert "Stripe confirme le paiement…" in await page.inner_text("main")
    await page.wait_for_selector("text=Merci Camille")
    await expect(bar).to_have_count(0)


async def test_a_delayed_payment_is_watched_quietly(page: Page, street: Street) -> None:
    await add_bouquet(page, street)
    await fill(page, lastName="Differee")
    await page.click(".card .btn")
    back = await pay(page, street, "DE08370400440532013003")
    await page.goto(back)
    await page.wait_for_selector("text=Votre paiement est en cours")
    # The bank decides, and somebody else (a webhook, say) settles it.
    street.engine.dashboard.advance(3600)
    stranger = street.visitor()
    waiting = await asyncio.to_thread(stranger.get, back)
    form = waiting.form("/commande/terminee") if "confirmer" in waiting.body else None
    fields = form or dict(pair.split("=") for pair in back.partition("?")[2].split("&"))
    await asyncio.to_thread(stranger.post, "/commande/terminee", fields)
    # It looks after 5, 15, 35 and 75 seconds: a busy machine may miss the first.
    await page.wait_for_selector("text=Merci Camille, c’est payé", timeout=120_000)


async def test_enter_in_a_field_orders_and_does_not_press_a_day(page: Page, street: Street) -> None:
    await add_bouquet(page, street)
    await page.click(".cartbar .btn")
    await page.wait_for_url("**/commande")
    await page.press("#city", "Enter")
    await page.wait_for_selector("text=champs sont à corriger")
    await expect(page.locator("#erreurs")).to_be_focused()
    await page.click("#erreurs a >> nth=0")
    await expect(page.locator("#firstName")).to_be_focused()


async def test_enter_in_a_quantity_updates_and_removes_nothing(page: Page, street: Street) -> None:
    await add_bouquet(page, street)
    await page.goto(f"{street.url}/panier")
    await page.fill("#q1", "3")
    await page.press("#q1", "Enter")
    await page.wait_for_selector("text=89,97")


async def test_two_quick_presses_are_one_order(page: Page, street: Street) -> None:
    await add_bouquet(page, street)
    await fill(page, lastName="Rapide")
    before = len(await asyncio.to_thread(street.commands))
    async with unanswered(page, "**/commande"):
        await page.dblclick(".card .btn", no_wait_after=True)
    await page.wait_for_url("**/sandbox/c/pay/**")
    assert len(await asyncio.to_thread(street.commands)) == before + 1


async def shows(page: Page, address: str) -> list[str]:
    """What a careful reader would find wrong with the page."""
    await page.goto(address)
    faults: list[str] = await page.evaluate(
        """() => {
          const faults = [];
          const told = (e) => e.outerHTML.slice(0, 80);
          if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
          if (!document.querySelector("main")) faults.push("no main");
          if (!document.documentElement.lang) faults.push("no language");
          for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
            if (!e.labels.length) faults.push("no label: " + told(e));
          for (const e of document.querySelectorAll("img"))
            if (!e.hasAttribute("alt")) faults.push("no alt: " + told(e));
          for (const e of document.querySelectorAll("a, button"))
            if (!e.textContent.trim() && !e.closest("[hidden], [aria-hidden]"))
              faults.push("no words: " + told(e));
          const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
          if (new Set(ids).size !== ids.length) faults.push("an id twice: " + ids);
          for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby]"))
            for (const id of (e.getAttribute("aria-labelledby") || "").split(" ").concat(
                (e.getAttribute("aria-describedby") || "").split(" ")).filter(Boolean))
              if (!document.getElementById(id)) faults.push("names nothing: " + id);
          return faults;
        }"""
    )
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        if not await no_sideways_scroll(page):
            faults.append(f"scrolls sideways at {width} px")
    return faults


@pytest.mark.parametrize("language", ["fr", "en"])
async def test_every_page_can_be_read_at_every_width_and_by_everybody(
    page: Page, street: Street, language: str
) -> None:
    await page.set_extra_http_headers({"Accept-Language": language})
    assert await shows(page, f"{street.url}/panier") == []
    await add_bouquet(page, street)
    assert await shows(page, street.url) == []
    for path in ("/panier", "/commande"):
        assert await shows(page, street.url + path) == []
    customer = {"firstName": LONG, "lastName": LONG, "address": LONG, "city": LONG}
    visitor = street.visitor()
    await asyncio.to_thread(lambda: visitor.order(**{k: v[:200] for k, v in customer.items()}))
    command = (await asyncio.to_thread(street.commands))[0]
    query = f"command_id={command.id}&token={street.shop.seal.token(command.id)}"
    for path in ("/commande/annulee", "/commande/terminee"):
        assert await shows(page, f"{street.url}{path}?{query}") == []
        assert await shows(page, f"{street.url}{path}") == []
    assert await shows(page, f"{street.url}/marchand/connexion") == []
    await page.fill("#password", "ouvre-toi")
    await page.click(".btn")
    await page.wait_for_url("**/marchand")
    for path in ("", f"/commandes/{command.id}", "/evenements", "?state=refunded", "?q=nobody"):
        assert await shows(page, f"{street.url}/marchand{path}") == []


def attack(conn: Any, command_id: str, payload: str) -> None:
    found = lock_command(conn, command_id)
    assert found is not None and found.customer is not None
    customer = dict.fromkeys(found.customer, payload)
    change_command(conn, found, found.updated_at, customer=customer, note=payload)


@pytest.mark.parametrize(
    "payload",
    [
        "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'><svg onload=alert(1)>",
        "javascript:alert(1)", "</dd></dl><iframe src=https://evil.example></iframe>",
        "<link rel=stylesheet href=https://evil.example/x.css>", "<base href=https://evil.example>",
        '" autofocus onfocus=alert(1) x="', "<meta http-equiv=refresh content=0;url=//evil>",
    ],
)  # fmt: skip
async def test_s26_nothing_that_a_customer_writes_runs_anywhere(
    page: Page, street: Street, payload: str
) -> None:
    visitor = street.visitor()
    answer = await asyncio.to_thread(visitor.order)
    back = await asyncio.to_thread(street.pay, answer)
    waiting = await asyncio.to_thread(visitor.get, back)
    form = waiting.form("/commande/terminee")
    await asyncio.to_thread(visitor.post, "/commande/terminee", form)
    command = (await asyncio.to_thread(street.commands))[0]
    await asyncio.to_thread(street.read, attack, command.id, payload)
    witness = Witness(page, street)
    await page.goto(f"{street.url}/marchand/connexion")
    await page.fill("#password", "ouvre-toi")
    await page.click(".btn")
    await page.wait_for_url("**/marchand")
    query = f"command_id={command.id}&token={street.shop.seal.token(command.id)}"
    for address in (
        "/marchand", f"/marchand/commandes/{command.id}", f"/commande/terminee?{query}",
    ):  # fmt: skip
        await page.goto(street.url + address)
        assert payload in await page.inner_text("main")
    assert witness.seen == []


async def test_s26_the_witness_would_have_seen_it(page: Page, street: Street) -> None:
    """The negative control: a page that did run such things is caught on every count."""
    witness = Witness(page, street)
    await page.route("https://evil.example/**", lambda route: route.abort())  # asks no name server
    await page.set_content("<img src=x onerror=alert(1)><script src=https://evil.example></script>")
    await witness.sees("dialog: ")
    await witness.sees("evil.example")
    witness.seen.clear()
    await page.goto(street.url)
    await page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=color:red>')")
    await witness.sees("Content Security Policy")
