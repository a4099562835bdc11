"""`commande verify`: it believes an honest server, whoever wrote it, and finds out every other."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from commande.sandbox import Engine, create_sandbox
from commande.verify import CHECKS, Refused, verify
from commande.verify import check as kit
from commande.verify import run as visits
from commande.verify.shop import Shop
from commande.verify.stand_in import StandIn
from tests.support.naive import BUGS, Naive
from tests.support.premises import COMMANDE, opened_premises
from tests.support.serving import serving

# Seconds that a bank takes over a debit: more than from its payment to the first look at it.
BANK = 8
BY_NAME = {check.name: check for check in CHECKS}
# Which check must find which bug; each is run alone, the whole visit with the honest server.
FINDS = {
    "trusts the browser": "an unpaid command is not confirmed",
    "takes any pair": "a paid session pays no other command",
    "writes twice": "one letter however often it is told",
    "trusts complete": "a delayed payment is not paid early",
    "trusts a reference": "a strangers payment pays nothing",
    "waits for stripe": "nobody waits for another ones stripe",
    "one session per click": "a double click is one command",
    "believes unsigned events": "a forged webhook pays nothing",
    "forgets": "whatever was opened is still there",
    "believes prices": "the charge is the catalogues",
    "counts in floats": "prices are integers of minor units",
    "takes any token": "a command opens only to its token",
    "unpays refunds": "a refund leaves it paid",
    "ignores webhooks": "the webhook alone is enough",
    "snapshots anew": "a snapshot adds up and never changes",
    "sells twice": "a paid command cannot be paid again",
    "believes claims": "claims in the body are not believed",
    "ignores keys": "the same key is one command",
}


@contextmanager
def naive_shop(folder: Path, bug: str = "") -> Iterator[tuple[str, str, Engine]]:
    """The naive server, its stand-in, and the stand-in's engine."""
    sandbox = create_sandbox("http://stripe.test", seed=3)
    engine: Engine = sandbox.state.engine
    with serving(sandbox) as stripe_url:
        shop = Naive(stripe_url, folder, bug)
        with serving(shop.app()) as url:
            given = {"url": f"{url}/api/checkout/webhook", "enabled_events": ["*"]}
            headers = {"authorization": "Bearer sk_test_naive"}
            _, _, made = engine.handle("POST", "/v1/webhook_endpoints", given, headers)
            shop.secret = json.loads(made)["secret"]
            engine.dashboard.set(sepa_delay=BANK)
            yield url, stripe_url, engine


def payable(engine: Engine) -> int:
    return sum(row["status"] == "open" for row in engine.state.rows["session"].values())


def test_the_shop_keeps_every_promise_and_nothing_payable_is_left(
    tmp_path: Path, sqlite_url: str
) -> None:
    with opened_premises(tmp_path / "shop", sqlite_url) as shop:
        shop.stripe.dashboard.set(sepa_delay=BANK)
        mails = shop.folder / "mails"
        results = verify(shop.urls[0], shop.stripe_url, mails=mails, patience=60, settles=2.5)
        assert [(r.check.name, r.evidence) for r in results if r.outcome == "broken"] == []
        not_run = [r.check.name for r in results if r.outcome == "not run"]
        assert not_run == ["neither is needed in the end"]
        assert {r.check.invariant for r in results if r.outcome == "held"} == set(range(9))
        assert payable(shop.stripe) == 0
        assert shop.stripe.world.faults.orders == []


def test_an_honest_server_of_somebody_else_keeps_them_too(tmp_path: Path) -> None:
    with naive_shop(tmp_path) as (url, stripe_url, engine):
        results = verify(url, stripe_url, mails=tmp_path, patience=60, settles=0.6)
        assert [(r.check.name, r.evidence) for r in results if r.outcome == "broken"] == []
        assert payable(engine) == 0


@pytest.mark.parametrize("bug", BUGS)
def test_the_kit_finds_the_server_that(bug: str, tmp_path: Path) -> None:
    with naive_shop(tmp_path, bug) as (url, stripe_url, _):
        patience = 2 if bug == "ignores webhooks" else 60  # that one is waited for in vain
        visit = kit.Visit(Shop(url), StandIn(stripe_url), tmp_path, patience, 0.6)
        if bug == "forgets":
            for _ in range(5):
                visit.shop.order()
        result = visits.run_check(BY_NAME[FINDS[bug]], visit)
    assert result.outcome == "broken", result.evidence
    assert "shape" not in result.evidence, "it was found by accident"


def test_every_check_has_its_sentence_and_a_bug_is_known_for_each_invariant() -> None:
    for check in CHECKS:
        assert check.sentence.endswith("."), check.name
    found = {BY_NAME[name].invariant for name in FINDS.values()}
    assert found >= {1, 2, 3, 4, 5, 6, 7, 8}


def test_without_a_stand_in_the_rest_is_named_as_not_run(tmp_path: Path) -> None:
    with naive_shop(tmp_path) as (url, _, _):
        told = run("--url", url, "--json")
        assert told.returncode == 0, told.stderr
        document = json.loads(told.stdout)
        checks = document["checks"]
        assert {c["outcome"] for c in checks} == {"held", "not run"}
        assert {c["evidence"] for c in checks if c["outcome"] == "not run"} == {
            "needs a stand-in for Stripe (--stripe)"
        }
        assert (document["held"], document["notRun"]) == (12, len(CHECKS) - 12)


def test_a_broken_promise_is_an_exit_code_and_a_line(tmp_path: Path) -> None:
    with naive_shop(tmp_path, "takes any token") as (url, _, _):
        told = run("--url", url)
    assert told.returncode == 1
    line = next(x for x in told.stdout.splitlines() if x.startswith("a command opens only"))
    assert "broken" in line


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMANDE, "verify", *arguments], check=False, capture_output=True, text=True, timeout=300,
        env=os.environ | {"COLUMNS": "150"},
    )  # fmt: skip


def live_shop() -> Starlette:
    """A server whose payment addresses take real money."""
    opened = {
        "url": "https://checkout.stripe.com/c/pay/cs_live_a1B2#x", "commandId": "c" * 24,
        "ref": "#AAAAAAAA", "token": "t" * 32, "expiresAt": None,
    }  # fmt: skip
    price = {"type": "standard", "price": 12.5, "priceMinor": 1250, "currency": "eur"}
    catalogue = {"products": [{"_id": "a" * 24, "prices": [price], "taxRate": None}]}
    return Starlette(routes=[
        Route("/api/products", lambda _: JSONResponse(catalogue)),
        Route("/api/checkout/create-stripe-checkout-session", lambda _: JSONResponse(opened),
              methods=["POST"]),
    ])  # fmt: skip


def test_a_live_server_is_refused_after_one_look(serve: Callable[..., str]) -> None:
    url = serve(live_shop())
    told = run("--url", url)
    assert told.returncode == 2
    assert "takes real money" in told.stderr and "#AAAAAAAA" in told.stderr
    assert "Traceback" not in told.stderr


def test_what_is_no_server_and_what_is_no_stand_in_end_in_one_line(
    tmp_path: Path, serve: Callable[..., str], free_port: int
) -> None:
    nobody = f"http://127.0.0.1:{free_port}"
    with pytest.raises(Refused, match="does not answer"):
        verify(nobody)
    with naive_shop(tmp_path) as (url, _, _):
        with pytest.raises(Refused, match="is no stand-in"):
            verify(url, url)
        other = serve(create_sandbox("http://stripe.test", seed=4))
        with pytest.raises(Refused, match="does not know the sessions"):
            verify(url, other)
    told = run("--url", "shop.example")
    assert told.returncode == 2 and "absolute address" in told.stderr
