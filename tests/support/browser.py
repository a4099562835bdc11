"""A real Chromium for the browser tests."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, Route, async_playwright

MEND = "Chromium is missing: `apt install chromium`, or name one: CHROMIUM=/path/to/chromium"
PATIENCE_MS = 60_000  # only ends what hangs, however busy the machine is
FLAGS = (  # quiet on a machine without a network, able to run as root and without a screen
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """The path of a Chromium on this machine, $CHROMIUM first."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    for name in ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    return None


@asynccontextmanager
async def unanswered(
    page: Page, address: str | re.Pattern[str], times: int | None = None
) -> AsyncIterator[None]:
    """What the page asks of this address meanwhile (so many times) is sent on at the end."""
    go_on = asyncio.Event()

    async def hold(route: Route) -> None:
        await go_on.wait()
        await route.fallback()

    await page.route(address, hold, times=times)
    try:
        yield
    finally:
        go_on.set()


@asynccontextmanager
async def launched_chromium() -> AsyncIterator[Browser]:
    """A headless browser; raises RuntimeError with the mend where there is none."""
    path = find_chromium()
    if path is None:
        raise RuntimeError(MEND)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=list(FLAGS), timeout=PATIENCE_MS
        )
        try:
            yield browser
        finally:
            await browser.close()
