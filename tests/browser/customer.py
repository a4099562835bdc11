"""A customer of the storefront: from the shelf to the payment page, by mouse."""

import re

from playwright.async_api import Page, expect

from tests.browser.watch import fits

BOUQUET = "#p-507f1f77bcf86cd799439011"
CAMILLE = {
    "firstName": "Camille",
    "lastName": "Roussel",
    "email": "camille@example.com",
    "phone": "06 12 34 56 78",
    "address": "12, rue des Tilleuls",
    "postalCode": "75011",
    "city": "Paris",
}
WORDS = {
    "fr": {"pay": "Commander et payer", "price": "29,99\u00a0€", "paid": "Payée"},
    "en": {"pay": "Order and pay", "price": "€29.99", "paid": "Paid"},
}


async def fill_basket(page: Page, shop: str) -> None:
    """From the shelf to the order's form, one bouquet in the basket."""
    await page.goto(shop)
    await fits(page)
    await page.click(f"{BOUQUET} button")
    await expect(page.locator(".cartbar")).to_be_visible()
    await fits(page)
    await page.click(".cartbar a.btn")
    await page.wait_for_url("**/commande")


async def fill_form(page: Page, **changes: str) -> None:
    """Who orders, and for the last open day's last free hour."""
    for name, value in (CAMILLE | changes).items():
        await page.fill(f"#{name}", value)
    # By its date: once the last hour of the first day strikes, another day is the last.
    date = await page.locator("button.day:not([disabled])").last.get_attribute("value")
    day = page.locator(f'button.day[value="{date}"]')
    await day.click()
    await expect(day).to_have_attribute("aria-pressed", "true")
    await page.locator("label.slot:has(input:not([disabled]))").last.click()
    await fits(page)


async def order(page: Page, shop: str, lang: str = "fr", **changes: str) -> None:
    """As far as the payment page."""
    await fill_basket(page, shop)
    await fill_form(page, **changes)
    await press_pay(page, lang)


async def press_pay(page: Page, lang: str = "fr") -> None:
    """The one button that says so."""
    button = page.locator("button", has_text=re.compile(WORDS[lang]["pay"]))
    await expect(button).to_have_count(1)
    await button.click()
    await page.wait_for_url("**/c/pay/*")
    await fits(page)


async def read_paid(page: Page, lang: str = "fr", *, script: bool = True) -> None:
    """The return page, to the word “paid”."""
    await page.wait_for_url("**/commande/terminee*")
    if not script and await page.locator("#confirmer button").is_visible():
        await page.click("#confirmer button")
    await expect(page.locator("#suivi")).to_have_attribute("data-state", "paid")
    await expect(page.locator(".pill").first).to_have_text(WORDS[lang]["paid"])
    await expect(page.locator("main")).to_contain_text(WORDS[lang]["price"])
    await fits(page)
