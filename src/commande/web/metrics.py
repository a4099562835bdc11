"""The numbers for Prometheus: requests of this process, and the shop's figures from its database.

Figures are read when they are asked for, so every process tells the same, whichever of them opened
a command or handled an event. Stripe's own numbers come from the gateway.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from prometheus_client import REGISTRY, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.responses import Response

from commande.core.command import Status
from commande.db.figures import Figures, read_figures
from commande.errors import DatabaseBusy
from commande.shop import Shop

REQUESTS: Final = Counter(
    "commande_http_requests_total", "Requests answered.", ["method", "route", "status"]
)
SECONDS: Final = Histogram(
    "commande_http_seconds",
    "Time from a request to the end of its answer.",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 12),
)
# Anybody may send any word as a method; a label for each would fill the memory.
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
# The address is open unless the proxy closes it: counting more often tells nobody more.
_FRESH: Final = 1.0


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    known = method if method in _METHODS else "other"
    REQUESTS.labels(known, route, str(status)).inc()
    SECONDS.labels(route).observe(seconds)


class ShopMetrics(Collector):
    """One shop's page for Prometheus."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._figures: Figures | None = None
        self._at = 0.0
        self._reading = asyncio.Lock()

    async def page(self) -> Response:
        """Everything, in the text format; the figures are missing while the database is away."""
        async with self._reading:
            time = asyncio.get_running_loop().time()
            if self._figures is None or time - self._at > _FRESH:
                try:
                    self._figures = await self._shop.db.read(read_figures)
                except DatabaseBusy:
                    self._figures = None
                self._at = time
        text = generate_latest(REGISTRY) + generate_latest(self)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def collect(self) -> Iterable[Metric]:
        """The shop's figures as metrics, as they were last read."""
        figures, now = self._figures, self._shop.clock.now()
        yield _gauge(
            "commande_database_up", "Whether the figures could be read.", figures is not None
        )
        if figures is None:
            return
        yield _counter("commande_commands_opened", "Commands made.", figures.opened)
        yield _counter("commande_commands_paid", "Commands paid, refunds or not.", figures.paid)
        commands = {status.value: figures.commands.get(status, 0) for status in Status}
        yield _gauges("commande_commands", "Commands by status.", "status", commands)
        attention = "Commands that need a person."
        yield _gauge("commande_commands_attention", attention, figures.attention)
        events = dict.fromkeys(_EVENTS, 0) | figures.events
        yield _gauges("commande_events", "Stripe's events by state.", "state", events)
        messages = dict.fromkeys(_MESSAGES, 0) | figures.messages
        yield _gauges("commande_messages", "Letters by state.", "state", messages)
        for what, since in (
            ("event", figures.oldest_event_at),
            ("message", figures.oldest_message_at),
        ):
            name = f"commande_{what}_age_seconds"
            yield _gauge(name, f"Age of the oldest pending {what}.", _age(since, now) or 0.0)
        unaccounted = {self._shop.settings.currency: 0} | figures.unaccounted
        what = "Money about which Stripe's books and ours differ, in minor units."
        yield _gauges("commande_unaccounted_minor", what, "currency", unaccounted)
        beat = _age(figures.worker_at, now)
        if beat is not None:
            yield _gauge("commande_worker_seconds", "Time since a worker was last alive.", beat)


_EVENTS: Final = ("pending", "done", "ignored", "foreign", "dead")
_MESSAGES: Final = ("pending", "held", "sent", "skipped", "dead")


def _age(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else max(0.0, (now - since).total_seconds())


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(name, what, value=value)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)


def _gauges(name: str, what: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=[label])
    for each, value in values.items():
        family.add_metric([each], value)
    return family
