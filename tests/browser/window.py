"""A customer with a browser on a front end that follows the reference."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page, Response, expect

from tests.browser.front_end import FrontEnd
from tests.browser.watch import Watch
from tests.support.frontend import CONFIRM, CREATE
from tests.support.premises import Premises
from tests.support.shopper import Shopper


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
        answer = await self.heard(CREATE, lambda: self.page.click("#order"))
        self.shopper.opened = answer
        assert re.fullmatch(r"[0-9a-f]{24}", answer["commandId"])
        await self.page.wait_for_url(answer["url"])
        assert await self.pending() == answer["commandId"]

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
            assert await self.pending() is None
        else:
            await act()
            await expect(self.page.locator("#suivi")).to_have_attribute("data-state", state)
            await expect(self.page.locator("main")).to_contain_text("59,98")
            command = await self.looks()
        assert self.page.url.startswith(f"{self.street.site}/commande/terminee?")
        assert command["status"] == state
        assert command["paid"] is (state == "paid")
        return command

    async def looks(self) -> Any:
        return await asyncio.to_thread(self.shopper.looks)

    async def sees_paid(self, *, by: str) -> None:
        """Also without a browser: paid once, through that door, with one letter."""
        await asyncio.to_thread(self.shopper.sees_paid, by)
