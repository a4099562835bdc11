"""What the gateway sends is what the SDK's own annotations allow, page after page."""

from datetime import UTC, datetime
from decimal import Decimal

from commande.core.tax import TaxRate
from tests.gateway.odd_stripe import OddStripe, says, session
from tests.support.sdk_schema import decode_form, validate_request

SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)


def sent(stripe: OddStripe):
    """(method, path, parameters) of every request, each held against the SDK's annotations."""
    found = []
    for request, body in zip(stripe.requests, stripe.bodies, strict=True):
        form = body if request.method == "POST" else request.rel_url.raw_query_string
        validate_request(request.method, request.path, decode_form(form.encode()))
        found.append((request.method, request.path, decode_form(form.encode())))
    return found


def page(*objects, more=False):
    return says({"object": "list", "data": list(objects), "has_more": more})


def event(number, kind="refund.created", **fields):
    return {"id": f"evt_{number}", "object": "event", "type": kind, "created": 1_795_000_000,
            "livemode": False, "data": {"object": {"id": f"re_{number}"}}} | fields  # fmt: skip


async def test_a_tax_rate_goes_out_with_its_local_name_and_comes_back_as_an_id(odd_stripe, open_to):
    odd_stripe.will(says({"id": "txr_1"}))
    gateway = open_to(odd_stripe.base)
    rate = TaxRate("FR", Decimal("5.50"), inclusive=True)
    assert await gateway.create_tax_rate(rate, "rate-key") == "txr_1"
    [(_, path, form)] = sent(odd_stripe)
    assert path == "/v1/tax_rates"
    assert (form["display_name"], form["percentage"], form["inclusive"], form["country"]) == (
        "TVA", "5.5", "true", "FR",
    )  # fmt: skip
    assert odd_stripe.keys() == ["rate-key"]


async def test_frozen_parameters_leave_as_they_are(odd_stripe, open_to):
    parameters = {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 2,
                "tax_rates": ["txr_1"],
                "price_data": {
                    "currency": "eur",
                    "unit_amount": 2999,
                    "product_data": {"name": "Bouquet d’été & Cie", "metadata": {"id": "p1"}},
                },
            }
        ],
        "automatic_tax": {"enabled": False},
        "adaptive_pricing": {"enabled": False},
        "success_url": "https://shop.example/t?session_id={CHECKOUT_SESSION_ID}&command_id=1",
        "cancel_url": "https://shop.example/a",
        "expires_at": 1_795_000_000,
        "metadata": {"command_id": "c1", "attempt_id": "a1"},
        "payment_intent_data": {"metadata": {"command_id": "c1"}},
    }
    await open_to(odd_stripe.base).create_session(parameters, "session-key")
    [(_, path, form)] = sent(odd_stripe)
    assert path == "/v1/checkout/sessions"
    assert form["line_items"][0]["price_data"]["product_data"]["name"] == "Bouquet d’été & Cie"
    assert form["success_url"] == parameters["success_url"]
    assert form["automatic_tax"] == {"enabled": "false"}
    assert form["expires_at"] == "1795000000"


async def test_a_session_is_read_with_its_intent_and_charge(odd_stripe, open_to):
    await open_to(odd_stripe.base).read_session("cs_test_1")
    [(method, path, form)] = sent(odd_stripe)
    assert (method, path) == ("GET", "/v1/checkout/sessions/cs_test_1")
    assert form == {"expand": ["payment_intent.latest_charge"]}


def names_a1(metadata):
    return metadata.get("attempt_id") == "a1"


async def test_c5_a_lost_session_is_found_by_its_attempt(odd_stripe, open_to):
    odd_stripe.will(
        page(session("cs_9", metadata={}), session("cs_8", metadata=None), more=True),
        page(session("cs_1", metadata={"attempt_id": "a1"})),
        says(session("cs_1", status="complete", payment_status="paid")),
    )
    report = await open_to(odd_stripe.base).find_session(SINCE, UNTIL, names_a1)
    assert report is not None
    assert (report.session_id, report.paid) == ("cs_1", True)
    first, second, _ = sent(odd_stripe)
    assert first[2]["created"]["gte"] == str(int(SINCE.timestamp()))
    assert second[2]["starting_after"] == "cs_8"


async def test_a_session_that_was_never_made_is_not_found(odd_stripe, open_to):
    odd_stripe.will(page(session("cs_9", metadata={"attempt_id": "other"})))
    assert await open_to(odd_stripe.base).find_session(SINCE, UNTIL, names_a1) is None


async def test_i07_a_session_that_is_not_the_one_is_passed_over(odd_stripe, open_to):
    forged = session("cs_9", metadata={"attempt_id": "a1", "mac": "forged"})
    genuine = session("cs_1", metadata={"attempt_id": "a1", "mac": "sealed"})
    odd_stripe.will(page(forged, genuine), says(genuine))
    report = await open_to(odd_stripe.base).find_session(
        SINCE, UNTIL, lambda metadata: metadata["mac"] == "sealed"
    )
    assert report is not None
    assert report.session_id == "cs_1"


async def test_events_come_oldest_first_over_all_pages(odd_stripe, open_to):
    odd_stripe.will(page(event(5), event(4), more=True), page(event(3), event(2), more=True),
                    page(event(1)))  # fmt: skip
    events = await open_to(odd_stripe.base).list_events(SINCE, undelivered=True)
    assert [each.id for each in events] == ["evt_1", "evt_2", "evt_3", "evt_4", "evt_5"]
    first, second, third = (form for _, _, form in sent(odd_stripe))
    assert first["delivery_success"] == "false"
    assert "checkout.session.completed" in first["types"]
    assert (second["starting_after"], third["starting_after"]) == ("evt_4", "evt_2")


async def test_when_there_are_too_many_events_the_oldest_are_kept(odd_stripe, open_to):
    odd_stripe.will(page(event(4), event(3), more=True), page(event(2), event(1)))
    events = await open_to(odd_stripe.base).list_events(SINCE, limit=3)
    assert [each.id for each in events] == ["evt_1", "evt_2", "evt_3"]


async def test_c51_a_broken_event_holds_up_no_other(odd_stripe, open_to):
    odd_stripe.will(page(event(3), event(2, data=None), event(1)))
    events = await open_to(odd_stripe.base).list_events(SINCE)
    assert [each.id for each in events] == ["evt_1", "evt_3"]


async def test_a_listing_that_never_advances_ends(odd_stripe, open_to):
    odd_stripe.will(page(event(1), more=True))
    await open_to(odd_stripe.base).list_events(SINCE)
    assert len(odd_stripe.requests) == 2
    odd_stripe.will(page(more=True))
    assert await open_to(odd_stripe.base).list_events(SINCE) == []


async def test_charges_come_oldest_first(odd_stripe, open_to):
    odd_stripe.will(page({"id": "ch_2", "amount": 2}, {"id": "ch_1", "amount": 1}))
    charges = await open_to(odd_stripe.base).list_charges(SINCE, UNTIL)
    assert [charge.charge_id for charge in charges] == ["ch_1", "ch_2"]
    sent(odd_stripe)


async def test_s15_a_refund_carries_its_key_twice(odd_stripe, open_to):
    odd_stripe.will(says({"id": "re_1", "amount": 100, "currency": "eur",
                          "metadata": {"commande_refund": "dup:cs_1"}}))  # fmt: skip
    gateway = open_to(odd_stripe.base)
    refund = await gateway.create_refund("pi_1", 100, "dup:cs_1", "duplicate")
    assert refund.key == "dup:cs_1"
    await gateway.create_refund("pi_1", 100, "k2", "Le client a changé d’avis")
    assert odd_stripe.keys() == ["dup:cs_1", "k2"]
    (_, _, ours), (_, _, free) = sent(odd_stripe)
    assert ours["reason"] == "duplicate"
    assert "reason" not in free
    assert free["metadata"]["reason"] == "Le client a changé d’avis"


async def test_the_sdks_api_version_and_no_telemetry_go_out(odd_stripe, open_to):
    gateway = open_to(odd_stripe.base)
    await gateway.read_session("cs_test_1")
    await gateway.read_session("cs_test_1")
    headers = odd_stripe.requests[1].headers
    assert headers["Stripe-Version"] >= "2025-03-31.basil"
    assert headers["Authorization"] == "Bearer sk_test_canary"
    assert "X-Stripe-Client-Telemetry" not in headers


async def test_a_path_prefix_of_the_stand_in_is_kept(odd_stripe, open_to):
    await open_to(f"{odd_stripe.base}/stripe/").read_session("cs_test_1")
    assert odd_stripe.requests[0].path == "/stripe/v1/checkout/sessions/cs_test_1"


async def test_a_closed_gateway_opens_again(odd_stripe, open_to):
    gateway = open_to(odd_stripe.base)
    await gateway.close()
    await gateway.read_session("cs_test_1")
    await gateway.close()
    assert await gateway.read_session("cs_test_1")
