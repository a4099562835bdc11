"""Forged webhooks: nothing but Stripe's own, untouched and lately signed, is an event."""

import hmac
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commande.errors import SignatureInvalid
from commande.stripe_gateway.events import read_event
from tests.support.fuzz.forgeries import Forger, Tally, an_event, judge, signature

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET = "whsec_of_the_shop"
MANY = 2000


def real(body: bytes, header: str | None, now: datetime) -> Any:
    return read_event(body, header, (SECRET, "whsec_rolled"), now)


def forge(read: Any, seed: int = 1, count: int = 3000) -> Tally:
    return judge(read, Forger(seed, an_event(NOW), SECRET, NOW), count)


def test_s06_s09_no_forgery_passes_and_none_is_slow() -> None:
    tally = forge(real)
    assert tally.broken == []
    assert tally.drawn == tally.refused + tally.unchanged == 3000
    assert tally.unchanged > 20, "the forger touches everything: nothing shows that it could pass"
    assert len(tally.how) >= 19, "some ways of forging were never taken"


def test_the_forger_begins_with_an_event_that_is_believed() -> None:
    forger = Forger(1, an_event(NOW), SECRET, NOW)
    header = f"t={forger.stamp},v1={forger.true}"
    assert real(forger.body, header, NOW).id == "evt_1Forged"


def test_the_same_seed_forges_the_same() -> None:
    one, other = (Forger(7, an_event(NOW), SECRET, NOW) for _ in range(2))
    assert [one.draw() for _ in range(200)] == [other.draw() for _ in range(200)]


def _stamp_and_signatures(header: str | None) -> tuple[int, list[str]]:
    found = re.search(r"t=(\d{1,12})(?:,|$)", header or "", re.ASCII)
    if found is None:
        raise SignatureInvalid("no time")
    return int(found[1]), re.findall(r"v1=([^,=]*)", header or "")


def _anew(body: bytes) -> bytes:
    try:
        return json.dumps(json.loads(body)).encode()
    except ValueError:
        raise SignatureInvalid("no JSON") from None


def _takes_its_time(given: list[str]) -> None:
    if len(given) > 50:
        for _ in range(MANY):  # work and not seconds: slow is what the same machine does faster
            signature(b"{}", 0, SECRET)


# What each bug takes for the signed text, and for a fitting signature; as such are written.
MEANT: dict[str, Callable[[bytes], bytes]] = {
    "signs what the JSON means": _anew,
    "decodes first": lambda body: body.decode().encode(),
    "trims": bytes.strip,
}
FITS: dict[str, Callable[[str, str, str, list[str]], bool]] = {
    "compares a beginning": lambda _h, true, _e, given: any(
        each and true.startswith(each) for each in given
    ),
    "any scheme": lambda header, true, _e, _g: true in header,
    "an empty secret too": lambda _h, true, empty, given: true in given or empty in given,
    "compares bytes": lambda _h, true, _e, given: any(
        hmac.compare_digest(each, true) for each in given
    ),
}
OTHERS = ("never forgets", "takes its time")


def _is_among(_header: str, true: str, _empty: str, given: list[str]) -> bool:
    return true in given


def seeded(bug: str) -> Any:
    """A verification with one bug, or with none."""

    def read(body: bytes, header: str | None, now: datetime) -> None:
        stamp, given = _stamp_and_signatures(header)
        meant = MEANT.get(bug, bytes)(body)
        true, empty = (signature(meant, stamp, secret) for secret in (SECRET, ""))
        fits = FITS.get(bug, _is_among)
        good = fits(header or "", true, empty, given)
        if bug == "takes its time":
            _takes_its_time(given)
        old = stamp < (now - timedelta(seconds=300)).timestamp()
        if not good or (old and bug != "never forgets"):
            raise SignatureInvalid("no")

    return read


@pytest.mark.parametrize("bug", [*MEANT, *FITS, *OTHERS])
def test_a_seeded_bug_is_caught(bug: str) -> None:
    assert forge(seeded(bug)).broken != []


def test_the_same_verification_without_a_bug_passes() -> None:
    assert forge(seeded("")).broken == []
