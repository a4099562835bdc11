"""No test goes missing in silence: a pytest plugin.

Tests that need a browser or PostgreSQL get their mark by the fixtures they ask for. Where such a
part is missing on a developer's machine, they are left out and the summary says how to get it. In
CI (CI=true) nothing is left out: there the fixture fails, and so does a run that skipped a test.
"""

import inspect
import os
from collections.abc import Iterator

import pytest

from tests.support import browser, postgres

PARTS = {  # mark: (the fixtures that stand for it, is it there?, how to get it)
    "browser": ({"chromium", "page"}, browser.find_chromium, browser.MEND),
    "postgres": ({"postgres_server", "postgres_url"}, postgres.find_binaries, postgres.MEND),
}
LEFT_OUT = pytest.StashKey[list[str]]()


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


@pytest.hookimpl(tryfirst=True)  # before -m chooses by mark
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        mark_by_fixtures(item)
    config.stash[LEFT_OUT] = []
    if not in_ci():
        leave_out_what_cannot_run(config, items)


def mark_by_fixtures(item: pytest.Item) -> None:
    if not isinstance(item, pytest.Function):
        return
    given = item.callspec.params if hasattr(item, "callspec") else {}
    asked_for = set(item.fixturenames) - set(given)  # a parameter may share a fixture's name
    for mark, (fixtures, _, _) in PARTS.items():
        if fixtures & asked_for:
            item.add_marker(mark)
    if item.get_closest_marker("browser") and inspect.iscoroutinefunction(item.function):
        # The browser lives in one event loop for the whole run, so its tests run in that loop.
        item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def leave_out_what_cannot_run(config: pytest.Config, items: list[pytest.Item]) -> None:
    for mark, (_, find, mend) in PARTS.items():
        needing = [item for item in items if item.get_closest_marker(mark)]
        if needing and find() is None:
            items[:] = [item for item in items if item not in needing]
            config.hook.pytest_deselected(items=needing)
            config.stash[LEFT_OUT].append(f"{len(needing)} {mark} tests were NOT run. {mend}")


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Iterator[None]:
    for line in config.stash.get(LEFT_OUT, []):
        terminalreporter.write_line(line, red=True)
    if in_ci() and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("Tests were skipped, and in CI none may be.", red=True)
    yield


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if in_ci() and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
