"""Keeps an eye on a browser: nothing from outside, nothing to complain about, nothing too wide."""

import asyncio
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, ConsoleMessage, Page, Route, WebError

PATIENCE = 60.0  # seconds
SIDEWAYS = """() => {
  const wide = document.scrollingElement.scrollWidth - window.innerWidth;
  return wide <= 0 ? [] : [...document.querySelectorAll("body *")]
    .filter((e) => e.getBoundingClientRect().right > window.innerWidth + 0.5)
    .map((e) => `${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 30)}`);
}"""


@dataclass
class Watch:
    """What went wrong so far."""

    hosts: tuple[str, ...] = ("127.0.0.1",)
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    forgiven: tuple[str, ...] = ()

    async def over(self, context: BrowserContext) -> None:
        """From now on, in every page of this profile."""
        await context.route("**/*", self._pass)
        context.on("console", self._hear)
        context.on("weberror", self._note)

    async def _pass(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        if url.hostname in self.hosts or url.scheme in ("data", "blob"):
            await route.continue_()
        else:
            self.outside.append(route.request.url)
            await route.abort()

    def _hear(self, message: ConsoleMessage) -> None:
        # Violations of the content policy are errors of the console too.
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location})")

    def _note(self, error: WebError) -> None:
        self.complaints.append(str(error.error))

    async def hears(self, word: str) -> None:
        """This is meant to be complained of; wait for it, for it may come after the page."""
        give_up = time.monotonic() + PATIENCE
        while not any(word in each for each in self.complaints):
            assert time.monotonic() < give_up, f"no complaint of {word!r}: {self.complaints}"
            await asyncio.sleep(0.02)
        self.complaints = [each for each in self.complaints if word not in each]

    def forgives(self, *words: str) -> None:
        """These may be complained of, now or later."""
        self.forgiven += words

    def saw_nothing(self) -> None:
        assert self.outside == []
        assert [c for c in self.complaints if not any(word in c for word in self.forgiven)] == []


async def fits(page: Page) -> None:
    """Nothing sticks out of the window; else it is named."""
    await page.wait_for_load_state()
    assert await page.evaluate(SIDEWAYS) == [], page.url


async def pay_by_card(page: Page, number: str) -> None:
    """Fill in the payment page by Stripe's own ids, and press its button."""
    await page.fill("#email", "john@example.com")
    await page.fill("#cardNumber", number)
    await page.fill("#cardExpiry", "12 / 34")
    await page.fill("#cardCvc", "123")
    await page.fill("#billingName", "John Doe")
    await page.click(".SubmitButton")


async def pay_by_debit(page: Page, iban: str) -> None:
    await page.fill("#email", "john@example.com")
    await page.check("#sepa", force=True)
    await page.fill("#iban", iban)
    await page.fill("#sepaName", "John Doe")
    await page.click(".SubmitButton")
