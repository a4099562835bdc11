"""A shop in which something else happens around one call: the customer pays, the process dies.

The rest of the shop stays as it is: its database, its gateway, its Stripe.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from commande.core.payment import PaymentReport
from commande.shop import Shop

Around = Callable[..., Awaitable[Any]]
"""Gets the real call and its arguments."""
Hook = Callable[[], Awaitable[Any]]


class Killed(BaseException):
    """The process dies here: no handler of ours may see it."""


class _Gateway:
    def __init__(self, inner: Any, call: str, around: Around) -> None:
        self._inner, self._call, self._around = inner, call, around

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._inner, name)
        return partial(self._around, real) if name == self._call else real


class _Database:
    def __init__(self, inner: Any, call: str, around: Around) -> None:
        self._inner, self._call, self._around = inner, call, around

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def transaction(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        real = partial(self._inner.transaction, fn)
        if fn.__name__ == self._call:
            return await self._around(real, *args, **kwargs)
        return await real(*args, **kwargs)


def around_stripe(shop: Shop, call: str, around: Around) -> Shop:
    """The shop with one call of its gateway wrapped."""
    return replace(shop, stripe=_Gateway(shop.stripe, call, around))


def around_transaction(shop: Shop, call: str, around: Around) -> Shop:
    """The shop with one transaction function, by its name, wrapped."""
    return replace(shop, db=_Database(shop.db, call, around))


def once(before: Hook | None = None, after: Hook | None = None) -> Around:
    """Do something before or after the first real call; the later ones are left alone."""
    hooks = {"before": before, "after": after}

    async def around(real: Around, *args: Any, **kwargs: Any) -> Any:
        first, second = hooks.pop("before", None), hooks.pop("after", None)
        if first is not None:
            await first()
        answer = await real(*args, **kwargs)
        if second is not None:
            await second()
        return answer

    return around


class Held:
    """A real call that has begun and waits until the test lets it go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, real: Around, *args: Any, **kwargs: Any) -> Any:
        self.begun.set()
        await asyncio.wait_for(self.go_on.wait(), 60)
        return await real(*args, **kwargs)


async def die() -> None:
    """The process ends at once."""
    raise Killed


def dying(shop: Shop, transaction: str, *, committed: bool) -> Shop:
    """A shop whose process dies around one transaction: before it began, or once it committed."""
    around = once(after=die) if committed else once(before=die)
    return around_transaction(shop, transaction, around)


def misreading(shop: Shop, **changes: Any) -> Shop:
    """A shop to which Stripe tells something else about every session that it reads."""

    async def around(real: Around, *args: Any) -> PaymentReport:
        report: PaymentReport = await real(*args)
        return replace(report, **changes)

    return around_stripe(shop, "read_session", around)
