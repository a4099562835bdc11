"""Calls to Stripe over the official SDK: one door, with the deadline, the retries and the limits.

https://docs.stripe.com/error-low-level (retries), https://docs.stripe.com/rate-limits
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Mapping
from itertools import count
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import stripe
import structlog
from prometheus_client import Counter, Histogram

from commande.errors import StripeUnavailable
from commande.settings import Settings
from commande.stripe_gateway.patience import Breaker, Limits, Pace
from commande.stripe_gateway.troubles import FOREIGN, Call, Trouble, judge, unreadable

CALLS: Final = Counter(
    "commande_stripe_calls_total", "Calls to Stripe, retries within.", ["operation", "outcome"]
)
SECONDS: Final = Histogram(
    "commande_stripe_seconds",
    "Time of a call to Stripe, retries and waiting within.",
    ["operation"],
    buckets=(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 4, 8, 12),
)

log = structlog.get_logger("commande.stripe")


class Transport(stripe.HTTPClient):
    """The SDK's requests on aiohttp.

    Ours, because the SDK's own leaves a stalled answer's connection to the garbage collector.
    Errors pass as they are; ``troubles`` knows them.
    """

    name = "aiohttp"

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        # Lazily: a session belongs to the loop that runs when it is made.
        if self._session is None:
            trusted = ssl.create_default_context(cafile=stripe.ca_bundle_path)
            connector = aiohttp.TCPConnector(limit=self._limits.connections, ssl=trusted)
            patience = aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect)
            self._session = aiohttp.ClientSession(connector=connector, timeout=patience)
        return self._session

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """One request. Redirects are not followed: the key must not travel."""
        async with self._opened().request(
            method, url, headers=headers, data=post_data, allow_redirects=False
        ) as response:
            return await response.read(), response.status, response.headers

    async def close_async(self) -> None:
        """Close the connections; a later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


class Client:
    """Makes calls to Stripe, again where that is safe and may help, within a deadline.

    Every call is safe to repeat: reads by nature, writes by their idempotency key.
    """

    def __init__(self, settings: Settings, limits: Limits) -> None:
        # The SDK logs whole bodies, names and e-mails included, and times its own calls.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        stripe.enable_telemetry = False
        self._limits = limits
        self._transport = Transport(limits)
        base = settings.stripe_api_base
        self._stripe = stripe.StripeClient(
            settings.stripe_secret_key.get_secret_value(),
            base_addresses={"api": base} if base else None,
            max_network_retries=0,
            http_client=self._transport,
        )
        self._breaker, self._pace = Breaker(limits), Pace(limits)
        self._slots = asyncio.Semaphore(limits.connections)
        self._under_way = 0

    def deadline(self) -> float:
        """The loop's time by which a call that begins now gives up."""
        return _time() + self._limits.deadline

    async def call(self, call: Call, until: float | None = None) -> dict[str, Any]:
        """Stripe's JSON answer. Raises StripeUnavailable, StripeRefused, StripeObjectMissing.

        ``until`` lets several calls share one deadline.
        """
        began = _time()
        if self._under_way >= self._limits.calls:
            CALLS.labels(call.operation, "crowded").inc()
            raise StripeUnavailable("Too many calls to Stripe are waiting.")
        probe = self._enter(call, began)
        self._under_way += 1
        answered: bool | None = None
        outcome = "abandoned"
        try:
            answer, unsure = await self._insist(call, until or began + self._limits.deadline)
            answered = answer.answered if isinstance(answer, Trouble) else True
            outcome = answer.kind if isinstance(answer, Trouble) else "ok"
        finally:
            self._under_way -= 1
            self._breaker.leave(_time(), probe=probe, answered=answered)
            CALLS.labels(call.operation, outcome).inc()
            SECONDS.labels(call.operation).observe(_time() - began)
        if isinstance(answer, Trouble):
            _log_trouble(call, answer)
            raise answer.as_error(unsure=unsure)
        return answer

    def _enter(self, call: Call, now: float) -> bool:
        try:
            return self._breaker.enter(now)
        except StripeUnavailable:
            CALLS.labels(call.operation, "tripped").inc()
            raise

    async def _insist(self, call: Call, until: float) -> tuple[dict[str, Any] | Trouble, bool]:
        """Try, pause, try again: the only retry there is. Also whether any try got a 5xx."""
        unsure = False
        for tries in count(1):
            answer = await self._try(call, until)
            if not isinstance(answer, Trouble):
                return answer, False
            unsure = unsure or answer.unsure
            if answer.status == 429:
                self._pace.slow_down(call.operation, _time())
            pause = self._pause(answer, tries)
            if pause is None or _time() + pause >= until:
                return answer, unsure
            await asyncio.sleep(pause)
        raise AssertionError("count() ends never")

    def _pause(self, trouble: Trouble, tries: int) -> float | None:
        if trouble.retry == "never" or (trouble.retry == "some" and tries >= self._limits.tries):
            return None
        grown = self._limits.first_pause * 2.0 ** min(tries - 1, 10)
        # Half fixed, half random: those who failed together must not return together.
        jittered = min(grown, self._limits.longest_pause) * random.uniform(0.5, 1.0)  # noqa: S311
        return max(jittered, trouble.retry_after or 0.0)

    async def _try(self, call: Call, until: float) -> dict[str, Any] | Trouble:
        turn = self._pace.take_turn(call.operation, _time(), until)
        if turn is None:
            detail = "Stripe's limit for this kind of request is reached."
            return Trouble("limited", detail, answered=None)
        if turn:
            await asyncio.sleep(turn)
        asked, began = False, _time()
        try:
            async with asyncio.timeout_at(until), self._slots:
                asked, began = True, _time()
                async with asyncio.timeout(self._limits.one_try):
                    response = await self._ask(call)
        except FOREIGN as error:
            trouble = judge(error, call)
            if not asked:
                return Trouble("silent", "Too many calls to Stripe are waiting.", answered=None)
            _log_try(call, trouble.status, began, trouble.request_id, type(error).__name__)
            return trouble
        _log_try(call, response.code, began, response.request_id, None)
        return response.data if isinstance(response.data, dict) else unreadable(response.code)

    async def _ask(self, call: Call) -> Any:
        # Raw: building the SDK's typed objects costs more than everything else of a call.
        path = call.path.format(id=quote(call.id or "", safe=""))
        key = {"idempotency_key": call.key} if call.key else {}
        return await self._stripe.raw_request_async(call.method, path, **call.params, **key)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._transport.close_async()


def _time() -> float:
    return asyncio.get_running_loop().time()


def _log_try(
    call: Call, status: int | None, began: float, request_id: str | None, error: str | None
) -> None:
    log.debug(
        "stripe_call",
        operation=call.operation,
        method=call.method,
        path=call.path,
        status=status,
        ms=round((_time() - began) * 1000),
        request_id=request_id,
        error=error,
    )


def _log_trouble(call: Call, trouble: Trouble) -> None:
    log.warning(
        "stripe_failed",
        operation=call.operation,
        outcome=trouble.kind,
        detail=trouble.detail,
        status=trouble.status,
        stripe_code=trouble.stripe_code,
        param=trouble.param,
        request_id=trouble.request_id,
    )
