"""A customer with a browser on a front end that follows the reference."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page, Response, Route, expect

from tests.browser.front_end import FrontEnd
from tests.browser.watch import Watch, pay_by_card
from tests.support.frontend import CONFIRM
from tests.support.premises import Premises
from tests.support.shopper import PATIENCE, Shopper


@dataclass
class Street:
    """A front end, the shop behind it, and whether customers return to the front end's own site."""

    premises: Premises
    front_end: FrontEnd
    own_site: bool

    @property
    def site(self) -> str:
        return self.premises.environment["COMMANDE_SITE_URL"]


class Window:
    """What the customer does and sees. `shopper` looks at the same order without a browser."""

    def __init__(self, street: Street, page: Page, watch: Watch) -> None:
        self.street, self.page, self.watch = street, page, watch
        self.shopper = Shopper(street.premises)

    async def orders(self) -> None:
        """The reference's steps 1 and 2; ends on the payment page."""
        await self.page.goto(self.street.front_end.url)
        await self.page.click("#order")
        await self.page.wait_for_url(f"{self.street.premises.stripe_url}/c/pay/*")
        # Of the answer a browser keeps what the page made of it: where it went, what it stored.
        self.shopper.opened = {"url": self.page.url, "commandId": await self.pending()}
        self.shopper.opened |= self.shopper.address_back("cancel_url")
        self.shopper.opened |= {"ref": (await self.looks())["ref"]}

    async def pending(self) -> str | None:
        """What the front end's step 1 keeps, and its step 3 clears."""
        state = await self.page.context.storage_state()
        for origin in state["origins"]:
            if origin["origin"] == self.street.front_end.url:
                kept = {entry["name"]: entry["value"] for entry in origin["localStorage"]}
                return kept.get("pendingCommandId")
        return None

    async def heard(self, path: str, act: Callable[[], Awaitable[Any]]) -> Any:
        """Do something; the answer that the page then gets from that route."""

        def is_it(response: Response) -> bool:
            return response.url.endswith(path) and response.request.method == "POST"

        async with self.page.expect_response(is_it) as heard:
            await act()
        response = await heard.value
        return json.loads(await response.body())

    async def returns_paid(self, act: Callable[[], Awaitable[Any]]) -> None:
        """The last press at Stripe, and what the customer then reads."""
        snapshot = (await self.returns(act))["cartSnapshot"]
        assert snapshot["totalPrice"] == 59.98
        assert [line["quantity"] for line in snapshot["products"]] == [2]

    async def returns(self, act: Callable[[], Awaitable[Any]], state: str = "paid") -> Any:
        """The last press at Stripe, and the return page; the command as it then stands."""
        if self.street.own_site:
            command = (await self.heard(CONFIRM, act))["command"]
            await expect(self.page.locator("#said")).to_have_text(f"Command paid: {command['ref']}")
            # The page clears it after its words, and the browser keeps it in another process.
            give_up = time.monotonic() + PATIENCE
            while (kept := await self.pending()) is not None:
                assert time.monotonic() < give_up, f"{kept} is still pending"
        else:
            await act()
            await expect(self.page.locator("#suivi")).to_have_attribute("data-state", state)
            await expect(self.page.locator("main")).to_contain_text("59,98")
            command = await self.looks()
        assert self.page.url.startswith(f"{self.street.site}/commande/terminee?")
        assert command["status"] == state
        assert command["paid"] is (state == "paid")
        return command

    async def pays_and_closes_the_tab(self, number: str) -> None:
        """Stripe hears of the payment; its answer, which leads back, finds nobody."""
        heard = asyncio.Event()

        async def swallow(route: Route) -> None:
            if route.request.method != "POST":
                await route.fallback()
                return
            await route.fetch(max_redirects=0)
            await route.abort()
            heard.set()

        await self.page.route("**/c/pay/*", swallow)
        await pay_by_card(self.page, number)
        await asyncio.wait_for(heard.wait(), PATIENCE)
        await self.page.close()

    async def looks(self) -> Any:
        return await asyncio.to_thread(self.shopper.looks)

    async def sees_paid(self, *, by: str) -> None:
        """Also without a browser: paid once, through that door, with one letter."""
        await asyncio.to_thread(self.shopper.sees_paid, by)
