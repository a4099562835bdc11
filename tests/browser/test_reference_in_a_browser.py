"""The reference's own example, on another origin, in a real browser, to a paid command.

Each runs twice: Stripe sends the customer back to the front end's own pages, which run the
reference's step 3, or to the product's storefront.
"""

import asyncio

from playwright.async_api import expect

from tests.browser.watch import pay_by_card, pay_by_debit
from tests.browser.window import Window
from tests.support.shopper import (
    ASKS_THE_BANK,
    BANK_TAKES,
    DECLINED,
    GOOD,
    SEPA_FAILS,
    SEPA_PAYS,
)


async def test_a_card_pays_and_the_page_says_so(window: Window) -> None:
    await window.orders()
    window.street.premises.silence()
    await window.returns_paid(lambda: pay_by_card(window.page, GOOD))
    await window.sees_paid(by="browser")


async def test_a_declined_card_may_be_followed_by_another(window: Window) -> None:
    await window.orders()
    await pay_by_card(window.page, DECLINED)
    await expect(window.page.locator("#alert")).to_be_visible()
    assert (await window.looks())["paid"] is False
    await window.returns_paid(lambda: pay_by_card(window.page, GOOD))
    await window.sees_paid(by="browser or webhook")


async def test_the_bank_asks_and_the_customer_approves(window: Window) -> None:
    await window.orders()
    await pay_by_card(window.page, ASKS_THE_BANK)
    await window.returns_paid(lambda: window.page.click("#test-source-authorize-3ds"))
    await window.sees_paid(by="browser or webhook")


async def test_c20_a_debit_is_shown_as_under_way_and_paid_later(window: Window) -> None:
    await window.orders()
    command = await window.returns(lambda: pay_by_debit(window.page, SEPA_PAYS), "processing")
    assert command["cartSnapshot"] is None
    window.street.premises.pass_time_at_stripe(BANK_TAKES)
    await window.sees_paid(by="webhook")
    if not window.street.own_site:
        await window.page.reload()
        await expect(window.page.locator("#suivi")).to_have_attribute("data-state", "paid")


async def test_c21_a_debit_that_fails_leaves_the_command_unpaid(window: Window) -> None:
    await window.orders()
    await window.returns(lambda: pay_by_debit(window.page, SEPA_FAILS), "processing")
    window.street.premises.pass_time_at_stripe(BANK_TAKES)
    await asyncio.to_thread(window.shopper.sees, "unpaid")
    if not window.street.own_site:
        await window.page.reload()
        await window.page.click("#suivi .btn")
        await window.returns_paid(lambda: pay_by_card(window.page, GOOD))


async def test_the_back_link_offers_to_pay_after_all(window: Window) -> None:
    await window.orders()
    await window.page.click("a.back")
    await window.page.wait_for_url(f"{window.street.site}/commande/annulee?*")
    resume = "#retry" if window.street.own_site else "main .btn:not(.quiet)"
    await window.page.click(resume)
    await window.page.wait_for_url(window.shopper.opened["url"])
    await window.returns_paid(lambda: pay_by_card(window.page, GOOD))
    await window.sees_paid(by="browser or webhook")


async def test_c15_a_closed_tab_is_paid_by_the_webhook_alone(window: Window) -> None:
    await window.orders()
    await window.pays_and_closes_the_tab(GOOD)
    await window.sees_paid(by="webhook")


async def test_c13_a_lost_webhook_is_paid_by_the_return_alone(window: Window) -> None:
    await window.orders()
    window.street.premises.silence()
    await window.returns_paid(lambda: pay_by_card(window.page, GOOD))
    await window.sees_paid(by="browser")


async def test_c15_both_lost_is_paid_by_reconciliation(window: Window) -> None:
    await window.orders()
    window.street.premises.silence()
    await window.pays_and_closes_the_tab(GOOD)
    await asyncio.to_thread(window.shopper.sees_unpaid)
    await asyncio.to_thread(window.street.premises.run, "reconcile")
    await window.sees_paid(by="reconcile")
