"""Foreign errors become ours, and none of them tells a secret or a name."""

import pytest
from structlog.testing import capture_logs

from commande.core.payment import PaymentState
from commande.errors import StripeObjectMissing, StripeRefused, StripeUnavailable
from commande.stripe_gateway.troubles import scrub
from tests.gateway.odd_stripe import fails, says, session, writes


def refusal(message, **more):
    return {"error": {"type": "invalid_request_error", "message": message} | more}


async def test_an_unknown_session_is_missing(odd_stripe, open_to):
    odd_stripe.will(fails(404, "resource_missing", "session"))
    with pytest.raises(StripeObjectMissing):
        await open_to(odd_stripe.base).read_session("cs_test_1")


async def test_an_unknown_session_is_missing_also_without_a_code(odd_stripe, open_to):
    odd_stripe.will(says(refusal("No such checkout.session: 'cs_test_1'"), 404))
    with pytest.raises(StripeObjectMissing):
        await open_to(odd_stripe.base).expire_session("cs_test_1")


async def test_an_unknown_payment_is_missing_when_it_is_what_we_asked_about(odd_stripe, open_to):
    odd_stripe.will(fails(400, "resource_missing", "payment_intent"))
    gateway = open_to(odd_stripe.base)
    with pytest.raises(StripeObjectMissing):
        await gateway.create_refund("pi_1", 100, "key-1", None)
    with pytest.raises(StripeObjectMissing):
        await gateway.list_refunds("pi_1")


async def test_a_missing_tax_rate_is_a_refusal_and_no_missing_session(odd_stripe, open_to):
    odd_stripe.will(fails(400, "resource_missing", "line_items[0][tax_rates][0]"))
    with pytest.raises(StripeRefused) as caught:
        await open_to(odd_stripe.base).create_session({"mode": "payment"}, "key-1")
    assert caught.value.stripe_code == "resource_missing"
    assert caught.value.param == "line_items[0][tax_rates][0]"


@pytest.mark.parametrize(
    "trouble",
    [writes("<h1>Not found", 404), says({"detail": "Not Found"}, 404), writes("{}", 404),
     says(refusal("Unrecognized request URL (GET: /v2/x)."), 404),
     writes("<h1>moved", 302), writes("<h1>proxy login", 407)],
    ids=["html", "fastapi", "empty", "url", "redirect", "proxy"],
)  # fmt: skip
async def test_a_wrong_address_never_reads_as_an_unknown_session(odd_stripe, open_to, trouble):
    odd_stripe.will(trouble)
    with pytest.raises(StripeRefused):
        await open_to(odd_stripe.base).read_session("cs_test_1")


async def test_a_redirect_is_not_followed_with_our_key(odd_stripe, open_to):
    odd_stripe.will(says({}, 302, Location=f"{odd_stripe.base}/elsewhere"), says(session()))
    with pytest.raises(StripeRefused, match="STRIPE_API_BASE"):
        await open_to(odd_stripe.base).read_session("cs_test_1")
    assert len(odd_stripe.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key_is_refused_without_being_told(odd_stripe, open_to, status):
    odd_stripe.will(says(refusal("Invalid API Key provided: sk_test_canary"), status))
    with capture_logs() as logs, pytest.raises(StripeRefused, match="STRIPE_SECRET_KEY") as caught:
        await open_to(odd_stripe.base).read_session("cs_test_1")
    assert "canary" not in f"{caught.value!r} {caught.value.__context__!r} {logs}"


async def test_the_same_key_with_other_parameters_is_refused_by_name(odd_stripe, open_to):
    error = {"type": "idempotency_error", "message": "Keys for idempotent requests …"}
    odd_stripe.will(says({"error": error}, 400))
    with pytest.raises(StripeRefused) as caught:
        await open_to(odd_stripe.base).create_session({"mode": "payment"}, "key-1")
    assert caught.value.stripe_code == "idempotency_error"


async def test_s24_no_personal_data_leaves_in_errors_and_logs(odd_stripe, open_to, caplog):
    form = {"customer_email": "camille@example.org", "metadata": {"name": "Camille Dupont"}}
    message = "Invalid email address: camille@example.org (Camille Dupont), key rk_test_canary"
    odd_stripe.will(says(refusal(message, code="email_invalid", param="customer_email"), 400))
    caplog.set_level("DEBUG")
    with capture_logs() as logs, pytest.raises(StripeRefused, match="email_invalid") as caught:
        await open_to(odd_stripe.base).create_session(form, "key-1")
    said = f"{caught.value} {caught.value.__context__!r} {logs} {caplog.text}"
    assert not any(word in said for word in ("camille", "Camille", "canary", "Dupont"))
    assert {"stripe_call", "stripe_failed"} <= {entry["event"] for entry in logs}


async def test_every_try_leaves_a_line_with_its_path_and_no_id(odd_stripe, open_to):
    odd_stripe.will(says(session(), Request_Id="req_7"))
    with capture_logs() as logs:
        await open_to(odd_stripe.base).read_session("cs_test_secret")
    [line] = [entry for entry in logs if entry["event"] == "stripe_call"]
    assert line["path"] == "/v1/checkout/sessions/{id}"
    assert (line["status"], line["request_id"], line["method"]) == (200, "req_7", "get")
    assert line["ms"] >= 0
    assert "cs_test_secret" not in str(logs)


def test_stripes_words_are_kept_where_they_tell_nothing():
    text = "Invalid currency: eurr. Stripe currently supports these currencies: usd, eur"
    assert scrub(text, {"locale": "fr"}) == text


async def test_an_object_of_another_kind_is_unavailable_and_never_a_crash(odd_stripe, open_to):
    odd_stripe.will(says({"object": "checkout.session"}))
    with pytest.raises(StripeUnavailable, match="cannot be read"):
        await open_to(odd_stripe.base).read_session("cs_test_1")


async def test_a_listing_without_data_is_unavailable(odd_stripe, open_to):
    odd_stripe.will(says({"data": "no"}))
    with pytest.raises(StripeUnavailable, match="cannot be read"):
        await open_to(odd_stripe.base).list_refunds("pi_1")


async def test_c36_a_session_that_is_not_open_is_read_again(odd_stripe, open_to):
    paid = session(status="complete", payment_status="paid")
    odd_stripe.will(says(refusal("Only Checkout Sessions with a status in [open] …"), 400),
                    says(paid))  # fmt: skip
    report = await open_to(odd_stripe.base).expire_session("cs_test_1")
    assert report.state is PaymentState.PAID
    assert [request.method for request in odd_stripe.requests] == ["POST", "GET"]


async def test_a_refused_expiry_of_an_open_session_stays_a_refusal(odd_stripe, open_to):
    odd_stripe.will(says(refusal("No."), 403), says(session()))
    with pytest.raises(StripeRefused):
        await open_to(odd_stripe.base).expire_session("cs_test_1")


async def test_an_expiry_whose_answer_was_lost_ends_as_expired(odd_stripe, open_to):
    odd_stripe.will(fails(500), fails(400), says(session(status="expired")))
    report = await open_to(odd_stripe.base).expire_session("cs_test_1")
    assert report.state is PaymentState.EXPIRED
    first, second, _ = odd_stripe.keys()
    assert first != second, "each try of an expiry must be judged afresh"


async def test_a_session_id_cannot_lead_elsewhere(odd_stripe, open_to):
    await open_to(odd_stripe.base).read_session("../../refunds?x=1#y")
    assert odd_stripe.requests[0].raw_path.startswith(
        "/v1/checkout/sessions/..%2F..%2Frefunds%3Fx=1%23y?expand"
    )
