"""A shop whose customers come with a browser, and somebody who watches over it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.browser.front_end import running_front_end
from tests.browser.watch import Watch
from tests.browser.window import Street, Window
from tests.support.demo import Demo, running_demo
from tests.support.premises import opened_premises


@pytest.fixture(scope="session", params=["its own site", "the storefront"])
def street(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Street]:
    """A front end on one origin, the API on another; Stripe sends customers back to one of them."""
    folder = tmp_path_factory.mktemp("street")
    own = request.param == "its own site"
    with ExitStack() as open_:
        front_end = open_.enter_context(running_front_end())
        site = front_end.url if own else None
        database = f"sqlite:///{folder / 'shop.sqlite'}"
        premises = open_.enter_context(
            opened_premises(folder / "shop", database, listed_late=True, site_url=site)
        )
        front_end.api = premises.urls[0]
        yield Street(premises, front_end, own)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all who only visit it."""
    with running_demo(tmp_path_factory.mktemp("demo") / "data") as demo:
        yield demo


@pytest_asyncio.fixture(loop_scope="session")
async def watch(page: Page) -> AsyncIterator[Watch]:
    """Over the page's profile; at the end it must have seen nothing."""
    watch = Watch()
    await watch.over(page.context)
    yield watch
    watch.saw_nothing()


@pytest_asyncio.fixture(loop_scope="session")
async def window(street: Street, page: Page, watch: Watch) -> AsyncIterator[Window]:
    """A customer in front of the front end."""
    yield Window(street, page, watch)
    street.premises.recover()
