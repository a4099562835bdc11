"""How the gateway behaves when Stripe is slow, limited, broken or silent."""

import asyncio
from collections import deque
from dataclasses import replace

import pytest

from commande.errors import CommandeError, StripeRefused, StripeUnavailable
from commande.stripe_gateway import Limits
from tests.gateway.jumping_time import in_jumping_time
from tests.gateway.odd_stripe import cuts, fails, hangs, says, session, stalls, writes
from tests.support.ports import free_port

HURRIED = Limits(
    deadline=2.0, connect=0.5, one_try=0.4, first_pause=0.01, longest_pause=0.04, trips_for=0.3
)
FORM = {"mode": "payment", "customer_email": "camille@example.org"}


def now():
    return asyncio.get_running_loop().time()


@in_jumping_time
async def test_c3_a_limit_is_waited_out_under_the_same_key(odd_stripe, open_to):
    odd_stripe.will(fails(429), fails(429), says(session()))
    report = await open_to(odd_stripe.base, HURRIED).create_session(FORM, "key-1")
    assert report.session_id == "cs_test_1"
    assert odd_stripe.keys() == ["key-1"] * 3
    assert len(set(odd_stripe.bodies)) == 1


@pytest.mark.parametrize(
    "trouble",
    [hangs, stalls, cuts, fails(500), fails(409, "idempotency_key_in_use"), writes("<h1>502", 502),
     writes("<h1>welcome to the airport"), writes("[1]", 200, "application/json"),
     says({"error": None}, 500), says({"error": 7}, 503), writes("[" * 5000, 200),
     fails(429, "lock_timeout"), fails(400, "rate_limit")],
    ids=["hangs", "stalls", "cuts", "500", "409", "html-502", "html-200", "list", "null-error",
         "number-error", "deep", "lock", "old-rate-limit"],
)  # fmt: skip
@in_jumping_time
async def test_c4_one_bad_answer_is_asked_for_again(odd_stripe, open_to, trouble):
    odd_stripe.will(trouble, says(session()))
    report = await open_to(odd_stripe.base, HURRIED).create_session(FORM, "key-1")
    assert report.url == "https://stripe.example/pay"
    assert odd_stripe.keys() == ["key-1", "key-1"]


@pytest.mark.parametrize("trouble", [hangs, stalls], ids=["hangs", "stalls"])
@in_jumping_time
async def test_s45_a_silent_stripe_ends_within_the_deadline(odd_stripe, open_to, trouble):
    odd_stripe.will(trouble)
    began = now()
    with pytest.raises(StripeUnavailable) as caught:
        await open_to(odd_stripe.base, HURRIED).create_session(FORM, "key-1")
    assert now() - began < HURRIED.deadline + 0.5
    assert not caught.value.indeterminate
    assert caught.value.retry_after >= 1
    assert "in time" in caught.value.detail


async def test_the_deadline_of_a_shop_leaves_a_second_for_the_answer():
    assert Limits().deadline == 11
    assert Limits().connect + Limits().one_try <= Limits().deadline


@in_jumping_time
async def test_a_stripe_that_nobody_can_reach_is_unavailable_soon(open_to):
    began = now()
    with pytest.raises(StripeUnavailable, match="cannot be reached") as caught:
        await open_to(f"http://127.0.0.1:{free_port()}", HURRIED).read_session("cs_test_1")
    assert now() - began < 1
    assert not caught.value.indeterminate


@pytest.mark.parametrize("trouble", [fails(500), fails(503), writes("<h1>Bad gateway", 502)])
@in_jumping_time
async def test_c5_a_5xx_leaves_the_outcome_open_and_says_so(odd_stripe, open_to, trouble):
    odd_stripe.will(trouble)
    with pytest.raises(StripeUnavailable) as caught:
        await open_to(odd_stripe.base, HURRIED).create_session(FORM, "key-1")
    assert caught.value.indeterminate
    assert len(odd_stripe.requests) == HURRIED.tries


@in_jumping_time
async def test_c5_a_5xx_is_not_forgotten_when_silence_follows(odd_stripe, open_to):
    odd_stripe.will(fails(500), hangs)
    with pytest.raises(StripeUnavailable) as caught:
        await open_to(odd_stripe.base, HURRIED).create_session(FORM, "key-1")
    assert caught.value.indeterminate


@in_jumping_time
async def test_stripe_may_forbid_the_repeat(odd_stripe, open_to):
    odd_stripe.will(fails(500, Stripe_Should_Retry="false"), says(session()))
    with pytest.raises(StripeUnavailable) as caught:
        await open_to(odd_stripe.base, HURRIED).create_session(FORM, "key-1")
    assert caught.value.indeterminate
    assert len(odd_stripe.requests) == 1


@in_jumping_time
async def test_stripe_may_ask_for_the_repeat(odd_stripe, open_to):
    odd_stripe.will(fails(400, "odd", Stripe_Should_Retry="true"), says(session()))
    assert await open_to(odd_stripe.base, HURRIED).create_session(FORM, "key-1")


@in_jumping_time
async def test_stripe_says_how_long_to_wait(odd_stripe, open_to):
    odd_stripe.will(fails(429, Retry_After="1"), says(session()))
    began = now()
    await open_to(odd_stripe.base, HURRIED).read_session("cs_test_1")
    assert now() - began >= 1


@in_jumping_time
async def test_a_wait_beyond_the_deadline_is_handed_to_the_caller(odd_stripe, open_to):
    odd_stripe.will(fails(429, Retry_After="30"))
    began = now()
    with pytest.raises(StripeUnavailable) as caught:
        await open_to(odd_stripe.base, HURRIED).read_session("cs_test_1")
    assert now() - began < 1
    assert caught.value.retry_after == 30


@in_jumping_time
async def test_a_refusal_is_not_repeated(odd_stripe, open_to):
    odd_stripe.will(fails(400, "parameter_missing", "line_items"))
    with pytest.raises(StripeRefused):
        await open_to(odd_stripe.base, HURRIED).create_session(FORM, "key-1")
    assert len(odd_stripe.requests) == 1


@in_jumping_time
async def test_no_more_requests_at_once_than_there_are_connections(odd_stripe, open_to):
    async def slowly(request):
        await asyncio.sleep(0.02)
        return await says(session())(request)

    odd_stripe.will(slowly)
    gateway = open_to(odd_stripe.base, replace(HURRIED, connections=3))
    await asyncio.gather(*(gateway.read_session("cs_test_1") for _ in range(20)))
    assert odd_stripe.most_at_once == 3


@in_jumping_time
async def test_s45_a_crowd_at_a_silent_stripe_is_turned_away_at_once(odd_stripe, open_to):
    odd_stripe.will(hangs)
    gateway = open_to(odd_stripe.base, replace(HURRIED, connections=2, calls=5))
    waiting = [asyncio.create_task(gateway.read_session("cs_test_1")) for _ in range(5)]
    await asyncio.sleep(0.05)
    began = now()
    with pytest.raises(StripeUnavailable, match="waiting"):
        await gateway.read_session("cs_test_1")
    assert now() - began < 1
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(end, StripeUnavailable) for end in ends)
    assert now() - began < HURRIED.deadline + 0.5


async def fail_times(gateway, times):
    for _ in range(times):
        with pytest.raises(StripeUnavailable):
            await gateway.read_session("cs_test_1")


@in_jumping_time
async def test_s45_after_silence_nobody_waits_until_stripe_speaks_again(odd_stripe, open_to):
    odd_stripe.will(hangs)
    limits = replace(HURRIED, deadline=0.1, one_try=0.1, trips_after=3)
    gateway = open_to(odd_stripe.base, limits)
    await fail_times(gateway, 3)
    asked = len(odd_stripe.requests)
    await fail_times(gateway, 20)
    assert len(odd_stripe.requests) == asked, "an open breaker asks nobody"
    odd_stripe.will(says(session()))
    await asyncio.sleep(limits.trips_for)
    assert await gateway.read_session("cs_test_1")
    ends = await asyncio.gather(*(gateway.read_session("cs_test_1") for _ in range(10)))
    assert len(ends) == 10


@in_jumping_time
async def test_control_without_a_breaker_everybody_waits(odd_stripe, open_to):
    odd_stripe.will(hangs)
    limits = replace(HURRIED, deadline=0.1, one_try=0.1, trips_after=10_000)
    gateway = open_to(odd_stripe.base, limits)
    await fail_times(gateway, 8)
    assert len(odd_stripe.requests) >= 8


@in_jumping_time
async def test_only_one_call_probes_a_stripe_that_was_silent(odd_stripe, open_to):
    odd_stripe.will(hangs)
    limits = replace(HURRIED, deadline=0.2, one_try=0.2, trips_after=2, trips_for=0.05)
    gateway = open_to(odd_stripe.base, limits)
    await fail_times(gateway, 2)
    await asyncio.sleep(limits.trips_for)
    asked = len(odd_stripe.requests)
    crowd = (gateway.read_session("cs_test_1") for _ in range(10))
    ends = await asyncio.gather(*crowd, return_exceptions=True)
    assert all(isinstance(end, StripeUnavailable) for end in ends)
    assert len(odd_stripe.requests) == asked + 1


@in_jumping_time
async def test_an_abandoned_probe_lets_the_next_one_through(odd_stripe, open_to):
    odd_stripe.will(hangs)
    limits = replace(HURRIED, deadline=0.2, one_try=0.2, trips_after=2, trips_for=0.05)
    gateway = open_to(odd_stripe.base, limits)
    await fail_times(gateway, 2)
    await asyncio.sleep(limits.trips_for)
    probe = asyncio.create_task(gateway.read_session("cs_test_1"))
    await asyncio.sleep(0.02)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    odd_stripe.will(says(session()))
    assert await gateway.read_session("cs_test_1")


@in_jumping_time
async def test_errors_are_answers_and_trip_nothing(odd_stripe, open_to):
    odd_stripe.will(fails(500))
    gateway = open_to(odd_stripe.base, replace(HURRIED, trips_after=2))
    await fail_times(gateway, 6)
    odd_stripe.will(says(session()))
    assert await gateway.read_session("cs_test_1")


async def burst(odd_stripe, open_to, limits, most_a_second, size):
    """A Stripe that counts, and says 429 above its ceiling; how many calls got their answer."""
    lately: deque[float] = deque()
    asked = [0]

    async def count(request):
        asked[0] += 1
        lately.append(now())
        while now() - lately[0] >= 0.2:
            lately.popleft()
        answer = says(session()) if len(lately) <= most_a_second * 0.2 else fails(429)
        return await answer(request)

    odd_stripe.will(count)
    gateway = open_to(odd_stripe.base, limits)
    calls = (gateway.read_session("cs_test_1") for _ in range(size))
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, CommandeError) or end.session_id for end in ends)
    return sum(not isinstance(end, CommandeError) for end in ends), asked[0]


@in_jumping_time
async def test_a_crowd_over_the_ceiling_queues_and_everybody_is_served(odd_stripe, open_to):
    limits = replace(HURRIED, deadline=4.0, paced_rate=80.0, connections=50)
    served, asked = await burst(odd_stripe, open_to, limits, most_a_second=100, size=200)
    assert served == 200
    assert asked < 600


@in_jumping_time
async def test_control_without_a_pace_the_crowd_stands_in_its_own_way(odd_stripe, open_to):
    limits = replace(HURRIED, deadline=0.2, paced_for=0.0, connections=50)
    served, asked = await burst(odd_stripe, open_to, limits, most_a_second=100, size=200)
    assert served < 150
    assert asked > 600


@in_jumping_time
async def test_who_would_be_served_too_late_is_told_at_once(odd_stripe, open_to):
    odd_stripe.will(fails(429), says(session()))
    gateway = open_to(odd_stripe.base, replace(HURRIED, paced_rate=2.0, deadline=1.0))
    calls = (gateway.read_session("cs_test_1") for _ in range(5))
    await gateway.read_session("cs_test_1")
    began = now()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(end, StripeUnavailable) for end in ends) >= 3
    assert now() - began < 1.5
