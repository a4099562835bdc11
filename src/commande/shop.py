"""The shop: its settings and the only effects its flows may have; built once, passed by hand."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from commande.core.letter import Letter
from commande.core.payment import (
    ChargeReport,
    PaidOrder,
    PaymentReport,
    RefundReport,
    StripeEvent,
)
from commande.core.tax import TaxRate
from commande.db import Database, open_database
from commande.ids import Ids, Seal
from commande.mail import open_mail
from commande.settings import Settings
from commande.stripe_gateway import open_gateway


class Clock(Protocol):
    """Time, and waiting for it."""

    def now(self) -> datetime:
        """The moment, aware UTC."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Let that much time pass."""
        ...


class StripeGateway(Protocol):
    """Stripe in the shop's words. Every call may raise StripeUnavailable or StripeRefused."""

    async def create_tax_rate(self, rate: TaxRate, idempotency_key: str) -> str:
        """Make the rate; its Stripe id. The same key gives the same rate."""
        ...

    async def create_session(
        self, parameters: dict[str, Any], idempotency_key: str
    ) -> PaymentReport:
        """Open a Checkout Session with frozen parameters. The same key gives the same session."""
        ...

    async def read_session(self, session_id: str) -> PaymentReport:
        """The session with its intent and charge. Raises StripeObjectMissing."""
        ...

    async def expire_session(self, session_id: str) -> PaymentReport:
        """Make the session unpayable, or report what it has become instead (complete, expired).

        Raises StripeObjectMissing.
        """
        ...

    async def find_session(
        self,
        since: datetime,
        until: datetime,
        attempt_id: str,
        ours: Callable[[dict[str, str]], bool],
    ) -> PaymentReport | None:
        """The session made in that window whose metadata is ours and names the attempt, if any."""
        ...

    async def read_order(self, session_id: str) -> PaidOrder:
        """The session with its line items and payer. Raises StripeObjectMissing."""
        ...

    async def find_paid_session(self, payment_intent_id: str) -> str | None:
        """The id of the session that this payment intent belongs to."""
        ...

    async def list_events(
        self, since: datetime, *, undelivered: bool = False, limit: int = 10_000
    ) -> list[StripeEvent]:
        """Events of the types that we handle, oldest first."""
        ...

    async def list_charges(self, since: datetime, until: datetime) -> list[ChargeReport]:
        """Charges made in that window, oldest first."""
        ...

    async def create_refund(
        self, payment_intent_id: str, amount_minor: int, key: str, reason: str | None
    ) -> RefundReport:
        """Give money back. The same key refunds once."""
        ...

    async def list_refunds(self, payment_intent_id: str) -> list[RefundReport]:
        """All refunds of a payment, also those made in Stripe's dashboard."""
        ...

    def report_of(self, session: dict[str, Any]) -> PaymentReport:
        """What a session object (of an event, say) tells; absent keys tell nothing."""
        ...

    def read_event(self, body: bytes, signature: str | None, now: datetime) -> StripeEvent:
        """Verify and parse a webhook. Raises WebhookUnconfigured or SignatureInvalid."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class Mail(Protocol):
    """Sends letters."""

    @property
    def enabled(self) -> bool:
        """Whether an outgoing server is configured; without one letters are skipped, visibly."""
        ...

    async def send(self, letter: Letter) -> None:
        """Hand the letter over. Raises MailUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Shop:
    """What every flow gets as its first argument."""

    settings: Settings
    db: Database
    stripe: StripeGateway
    mail: Mail
    clock: Clock
    ids: Ids
    seal: Seal


class RealClock:
    """The machine's clock and the event loop's patience."""

    def now(self) -> datetime:
        """The moment, aware UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass without keeping anybody else waiting."""
        await asyncio.sleep(seconds)


def open_shop(settings: Settings) -> Shop:
    """Build the shop from its settings. Nothing is connected before the first use.

    Raises SettingInvalid. Close it with ``close_shop``.
    """
    return Shop(
        settings=settings,
        db=open_database(settings.database_url),
        stripe=open_gateway(settings),
        mail=open_mail(settings),
        clock=RealClock(),
        ids=Ids(),
        seal=Seal(settings.seal_secret),
    )


async def close_shop(shop: Shop) -> None:
    """Finish what was accepted and let go of every connection."""
    await shop.stripe.close()
    await shop.db.close()
