"""A form that came back with words about its fields, and a customer who mends it."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.pages.street import BOUQUET, CAMILLE, Street, open_street


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with open_street(tmp_path_factory.mktemp("mending")) as opened:
        yield opened


async def test_a_field_that_is_being_mended_is_no_longer_called_wrong(
    page: Page, street: Street
) -> None:
    await page.goto(street.url)
    await page.click(f"#p-{BOUQUET.id} button")
    await page.click(".cartbar .btn")
    await page.click("button:has-text('Commander et payer')")
    await expect(page.locator("#erreurs")).to_be_focused()
    wrong = page.locator("input[aria-invalid]")
    before = await wrong.count()
    place = "document.querySelector('#email').getBoundingClientRect().top + scrollY"
    top = await page.evaluate(place)
    await page.fill("#firstName", str(CAMILLE["firstName"]))
    await expect(wrong).to_have_count(before - 1)
    assert (await page.inner_text("#firstName-erreur")).strip() == ""
    assert await page.evaluate(place) == top, "nothing jumps"
    await expect(page.locator("#lastName-erreur")).to_be_visible()
