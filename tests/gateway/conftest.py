"""What the gateway's tests share: an odd Stripe over real HTTP, and a gateway that talks to it."""

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from commande.stripe_gateway.gateway import Gateway
from tests.gateway.odd_stripe import OddStripe, opened_gateways, opened_stripe


@pytest_asyncio.fixture
async def odd_stripe() -> AsyncIterator[OddStripe]:
    """A Stripe that answers as it is told to."""
    async with opened_stripe() as stripe:
        yield stripe


@pytest_asyncio.fixture
async def open_to() -> AsyncIterator[Callable[..., Gateway]]:
    """`open_to(base, **settings)` is a gateway that is quick to ask again."""
    async with opened_gateways() as open_one:
        yield open_one
