"""Webhooks: only what Stripe signed with our secret, lately, is an event."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from commande.errors import SignatureInvalid, WebhookUnconfigured
from commande.stripe_gateway import HANDLED_EVENTS
from commande.stripe_gateway.events import read_event
from tests.gateway.odd_stripe import session

SECRET, OLD_SECRET = "whsec_new", "whsec_old"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EVENT = {
    "id": "evt_1", "object": "event", "type": "checkout.session.completed", "livemode": False,
    "created": int(NOW.timestamp()) - 2, "data": {"object": session()},
}  # fmt: skip
BODY = orjson.dumps(EVENT)


def sign(body, secret=SECRET, at=NOW):
    text = body if isinstance(body, str) else body.decode()
    return stripe.WebhookSignature.generate_signature_header(text, secret, int(at.timestamp()))


def read(body=BODY, signature=None, secrets=(SECRET,), now=NOW):
    return read_event(body, sign(body) if signature is None else signature, secrets, now)


def test_a_signed_event_is_read():
    event = read()
    assert (event.id, event.type, event.livemode) == ("evt_1", "checkout.session.completed", False)
    assert event.created_at == NOW - timedelta(seconds=2)
    assert event.object == session()
    assert event.object_id == "cs_test_1"


def test_c49_both_secrets_count_while_one_is_rolled():
    for secret in (SECRET, OLD_SECRET):
        assert read(signature=sign(BODY, secret), secrets=(SECRET, OLD_SECRET)).id == "evt_1"
    both = sign(BODY, SECRET) + "," + sign(BODY, OLD_SECRET).split(",")[1]
    assert read(signature=both, secrets=(OLD_SECRET,)).id == "evt_1"


@pytest.mark.parametrize("secrets", [(), ("",), ("  ", "\t")])
def test_s07_without_a_secret_nothing_is_believed(secrets):
    with pytest.raises(WebhookUnconfigured):
        read(signature="t=1,v1=00", secrets=secrets)


def test_s07_the_gateway_without_a_secret_says_so(open_to):
    with pytest.raises(WebhookUnconfigured, match="STRIPE_WEBHOOK_SECRET"):
        open_to("http://127.0.0.1:9").read_event(BODY, sign(BODY, ""), NOW)


def test_c49_the_gateway_reads_with_every_secret_of_the_settings(open_to):
    gateway = open_to("http://127.0.0.1:9", STRIPE_WEBHOOK_SECRET=f"{SECRET},{OLD_SECRET}")
    assert gateway.read_event(BODY, sign(BODY, OLD_SECRET), NOW).id == "evt_1"


SIGNED = sign(BODY)
FORGED = {
    "none": None,
    "empty": "",
    "v0 only": SIGNED.replace("v1", "v0"),
    "another secret": sign(BODY, "whsec_guess"),
    "no secret": f"t={int(NOW.timestamp())},v1=" + "0" * 64,
    "another body's": sign(b"{}"),
    "twice": f"{SIGNED},{SIGNED}",
    "twice, forged first": f"t=1,v1=00,{SIGNED}",
    "no time": SIGNED.split(",")[1],
    "no signature": SIGNED.split(",")[0],
    "non-ASCII signature": f"t={int(NOW.timestamp())},v1=é",
    "non-ASCII time": "t=١٢٣,v1=00",
    "time in words": "t=now,v1=00",
    "a time of 5000 digits": f"t={'1' * 5000},v1=00",
    "spaces": SIGNED.replace(",", ", "),
    "huge": SIGNED + ",v1=0" * 2000,
    "NUL": SIGNED + "\0",
    "surrogate": SIGNED + "\ud800",
    "commas": "," * 100,
}


@pytest.mark.parametrize("name", FORGED)
def test_s06_s09_whatever_is_not_our_signature_is_refused_with_one_sentence(name):
    with pytest.raises(SignatureInvalid) as caught:
        read_event(BODY, FORGED[name], (SECRET,), NOW)
    assert caught.value.detail == "The webhook's signature is missing or does not match."


@pytest.mark.parametrize(
    "body", [BODY + b" ", orjson.dumps(EVENT, option=orjson.OPT_INDENT_2), b"", b"\xff" + BODY,
             b"\xef\xbb\xbf" + BODY],
    ids=["longer", "rewritten", "empty", "no utf-8", "bom"],
)  # fmt: skip
def test_s06_a_body_that_was_touched_is_refused(body):
    with pytest.raises(SignatureInvalid):
        read(body, SIGNED)


DEEP = b'{"a":' * 900 + b"1" + b"}" * 900
NO_EVENTS = {
    "list": b"[1]",
    "null": b"null",
    "number": b"7",
    "text": b'"evt_1"',
    "no json": b"evt_1",
    "deep list": b"[" * 200_000,
    "NaN": BODY.replace(b"5998", b"NaN"),
    "no id": orjson.dumps({**EVENT, "id": None}),
    "another id": orjson.dumps({**EVENT, "id": "cs_1"}),
    "an id with a quote": orjson.dumps({**EVENT, "id": "evt_1' OR '1'='1"}),
    "no type": orjson.dumps({**EVENT, "type": 7}),
    "no time": orjson.dumps({**EVENT, "created": "now"}),
    "time true": orjson.dumps({**EVENT, "created": True}),
    "time beyond": orjson.dumps({**EVENT, "created": 2**60}),
    "no data": orjson.dumps({**EVENT, "data": None}),
    "no object": orjson.dumps({**EVENT, "data": {"object": [1]}}),
    "deep object": BODY.replace(b'{"attempt_id":"a1"}', DEEP),
    "lone surrogate": BODY.replace(b'"a1"', b'"\\ud800"'),
}


@pytest.mark.parametrize("name", NO_EVENTS)
def test_s09_a_signed_body_that_is_no_event_is_refused(name):
    began = time.thread_time()
    with pytest.raises(SignatureInvalid, match="no event"):
        read(NO_EVENTS[name])
    assert time.thread_time() - began < 2


def test_a_thin_event_is_refused_with_the_mend():
    with pytest.raises(SignatureInvalid, match="snapshot payloads"):
        read(orjson.dumps({**EVENT, "object": "v2.core.event"}))


def test_s42_texts_that_no_database_stores_are_mended():
    event = read(BODY.replace(b'"a1"', b'"a\\u00001"').replace(b'"attempt_id"', b'"x\\u0000"'))
    assert event.object["metadata"] == {"x": "a1"}


@pytest.mark.parametrize(
    ("age", "believed"), [(0, True), (299, True), (300, True), (301, False), (31_536_000, False),
                          (-3600, True)],
)  # fmt: skip
def test_s08_an_old_signature_is_a_replay(age, believed):
    now = NOW + timedelta(seconds=age)
    if believed:
        assert read(signature=SIGNED, now=now).id == "evt_1"
        return
    with pytest.raises(SignatureInvalid, match="300 seconds"):
        read(signature=SIGNED, now=now)


def test_the_shops_clock_judges_the_age_and_not_the_machines():
    then = datetime(2001, 1, 1, tzinfo=UTC)
    assert read(signature=sign(BODY, at=then), now=then).id == "evt_1"


@settings(max_examples=500)
@given(st.binary(max_size=300), st.text(max_size=200))
def test_s09_no_input_is_ever_another_error(body, signature):
    with pytest.raises(SignatureInvalid):
        read_event(body, signature, (SECRET,), NOW)


@settings(max_examples=300)
@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_s09_no_signed_json_is_ever_another_error(value):
    try:
        body = orjson.dumps({**EVENT, **value} if isinstance(value, dict) else value)
    except orjson.JSONEncodeError:
        return
    with suppress(SignatureInvalid):
        assert read(body).id.startswith("evt_")


def test_one_listing_can_ask_for_every_type_that_we_handle():
    assert len(HANDLED_EVENTS) == len(set(HANDLED_EVENTS)) <= 20
