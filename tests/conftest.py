"""What the tests share: a database of each kind, a browser, servers that end for sure."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog
from hypothesis import HealthCheck, settings
from playwright.async_api import Browser, Page, expect

from tests.support import ports
from tests.support.browser import PATIENCE_MS, launched_chromium
from tests.support.postgres import Postgres, running_postgres
from tests.support.serving import running, serving

pytest_plugins = ["tests.support.honesty"]
# A busy machine is no bug: nothing here judges how long an example, a page or a process takes.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(autouse=True)
def fresh_logs() -> None:
    """No test inherits the log level that an earlier one's server had set."""
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One server for the whole run."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of an empty database, dropped after the test."""
    with postgres_server.new_database() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'shop.sqlite'}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The test runs twice: on an empty SQLite file and on an empty PostgreSQL database."""
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    return ports.free_port()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """`serve(app)` or `serve([command, "--port", "{port}"], ready="/readyz")` returns the URL.

    An application runs in a thread, a command as a process (keywords: see serving.running); all of
    them are ended after the test, the newest first.
    """
    with ExitStack() as servers:

        def start(app_or_command: Any, **options: Any) -> str:
            if isinstance(app_or_command, list | tuple):
                return servers.enter_context(running(app_or_command, **options))
            return servers.enter_context(serving(app_or_command, **options))

        yield start


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One headless browser for the whole run; a test that asks for it runs in the run's own loop.

    Playwright's asynchronous interface, because its synchronous one keeps a loop running in this
    thread, and then no other asynchronous test could run.
    """
    async with launched_chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """A page in a profile of its own, French as the shop is."""
    context = await chromium.new_context(locale="fr-FR", timezone_id="Europe/Paris")
    context.set_default_timeout(PATIENCE_MS)
    yield await context.new_page()
    await context.close()
