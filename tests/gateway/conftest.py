"""What the gateway's tests share: an odd Stripe over real HTTP, and a gateway that talks to it."""

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from commande.settings import Settings
from commande.stripe_gateway import Limits, open_gateway
from commande.stripe_gateway.gateway import Gateway
from tests.gateway.odd_stripe import OddStripe

QUICK = Limits(
    deadline=2.0, connect=0.5, one_try=0.4, first_pause=0.01, longest_pause=0.04, trips_for=0.3
)


@pytest_asyncio.fixture
async def odd_stripe() -> AsyncIterator[OddStripe]:
    """A Stripe that answers as it is told to."""
    stripe = OddStripe()
    await stripe.start()
    yield stripe
    await stripe.stop()


@pytest_asyncio.fixture
async def open_to() -> AsyncIterator[Callable[..., Gateway]]:
    """`open_to(base, **settings)` is a gateway with little patience, closed after the test."""
    opened: list[Gateway] = []

    def open_one(base: str, limits: Limits = QUICK, **settings: str) -> Gateway:
        given = {"STRIPE_SECRET_KEY": "sk_test_canary", "STRIPE_API_BASE": base} | settings
        gateway = open_gateway(Settings(_env_file=None, **given), limits)
        assert isinstance(gateway, Gateway)
        opened.append(gateway)
        return gateway

    yield open_one
    for gateway in opened:
        await gateway.close()
