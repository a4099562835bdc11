"""From a cart to a paid command, along every road that the reference knows, and some worse ones."""

from tests.support.shopper import (
    ASKS_THE_BANK,
    BANK_TAKES,
    DECLINED,
    GOOD,
    SEPA_FAILS,
    SEPA_PAYS,
    Shopper,
)


def test_a_customer_pays_by_card_and_comes_back(shopper: Shopper) -> None:
    shopper.orders()
    shopper.sees_unpaid()
    shopper.premises.silence()
    assert shopper.pays_with(GOOD).status == 200
    first = shopper.comes_back()
    assert first.json["command"]["paid"] is True
    assert first.json["command"]["cartSnapshot"]["totalPrice"] == 59.98
    assert shopper.comes_back().body == first.body
    shopper.sees_paid(by="browser")


def test_a_declined_card_takes_nothing_and_another_one_pays(shopper: Shopper) -> None:
    shopper.orders()
    declined = shopper.pays_with(DECLINED)
    assert (declined.status, declined.json["error"]["code"]) == (402, "card_declined")
    assert shopper.comes_back().code == "payment_not_completed"
    shopper.sees_unpaid()
    shopper.premises.silence()
    shopper.pays_with(GOOD)
    shopper.comes_back()
    shopper.sees_paid(by="browser")


def test_the_bank_asks_first_and_the_customer_approves(shopper: Shopper) -> None:
    shopper.orders()
    assert shopper.pays_with(ASKS_THE_BANK).json["payment_status"] == "unpaid"
    assert shopper.comes_back().code == "payment_not_completed"
    shopper.pays_with(ASKS_THE_BANK, three_d_secure="approve")
    shopper.sees_paid(by="webhook")


def test_the_bank_asks_first_and_the_customer_refuses(shopper: Shopper) -> None:
    shopper.orders()
    shopper.pays_with(ASKS_THE_BANK)
    assert shopper.pays_with(ASKS_THE_BANK, three_d_secure="fail").status == 402
    shopper.sees_unpaid()


def test_c20_a_debit_is_under_way_until_the_bank_has_answered(shopper: Shopper) -> None:
    shopper.orders()
    shopper.pays_with(SEPA_PAYS)
    back = shopper.comes_back()
    assert (back.status, back.json["command"]["status"]) == (202, "processing")
    assert back.json["command"]["cartSnapshot"] is None
    shopper.premises.pass_time_at_stripe(BANK_TAKES)
    shopper.sees_paid(by="webhook")


def test_c21_a_debit_that_fails_can_be_paid_again(shopper: Shopper) -> None:
    shopper.orders()
    shopper.pays_with(SEPA_FAILS)
    shopper.sees("processing")
    first = shopper.session_id
    shopper.premises.pass_time_at_stripe(BANK_TAKES)
    shopper.sees("unpaid")
    assert shopper.turns_back().status == 200
    assert shopper.session_id != first
    shopper.pays_with(GOOD)
    shopper.sees_paid(by="webhook")


def test_the_back_link_leads_to_the_same_open_session(shopper: Shopper) -> None:
    url = shopper.orders().json["url"]
    assert shopper.turns_back().json["url"] == url
    shopper.pays_with(GOOD)
    shopper.sees_paid(by="webhook")
    assert shopper.turns_back().code == "already_paid"


def test_c15_a_closed_tab_is_paid_by_the_webhook_alone(shopper: Shopper) -> None:
    shopper.orders()
    shopper.pays_with(GOOD)
    shopper.sees_paid(by="webhook")


def test_c13_a_lost_webhook_is_paid_by_the_return_alone(shopper: Shopper) -> None:
    shopper.orders()
    shopper.premises.silence()
    shopper.pays_with(GOOD)
    shopper.sees_unpaid()
    shopper.comes_back()
    shopper.sees_paid(by="browser")


def test_c15_both_lost_is_paid_by_reconciliation(shopper: Shopper) -> None:
    shopper.orders()
    shopper.premises.silence()
    shopper.pays_with(GOOD)
    shopper.sees_unpaid()
    shopper.premises.run("reconcile")
    shopper.sees_paid(by="reconcile")
