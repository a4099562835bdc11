"""The shop: its settings and the only effects its flows may have; built once, passed by hand."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection

from commande.core.payment import PaymentReport
from commande.core.tax import TaxRate
from commande.ids import Ids, Seal
from commande.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


class Clock(Protocol):
    """Time, and waiting for it."""

    def now(self) -> datetime:
        """The moment, aware UTC."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Let that much time pass."""
        ...


class Transactions(Protocol):
    """The database: runs plain functions, each in a transaction of its own (``db.engine``)."""

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        ...

    def transaction(
        self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]:
        """Run ``fn`` in a write transaction; its result arrives after COMMIT."""
        ...

    def read(
        self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]:
        """Run ``fn`` on a consistent view; it cannot write."""
        ...

    def close(self) -> Awaitable[None]:
        """Finish what was accepted and let go of the connections."""
        ...


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """A verified or listed Stripe event: a hint that something happened to an object."""

    id: str
    type: str
    created_at: datetime
    livemode: bool
    object: dict[str, Any]
    """``data.object`` as Stripe sent it."""

    @property
    def object_id(self) -> str | None:
        """Id of the object that the event is about."""
        value = self.object.get("id")
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class RefundReport:
    """One refund as Stripe tells it. Amount in minor units."""

    refund_id: str
    state: str
    """Stripe's word: pending, requires_action, succeeded, failed, canceled."""
    amount_minor: int
    currency: str
    payment_intent_id: str | None
    charge_id: str | None
    created_at: datetime
    key: str | None
    """Our own key from its metadata, when we asked for it."""


@dataclass(frozen=True, slots=True)
class ChargeReport:
    """One charge as Stripe tells it. Amounts in minor units."""

    charge_id: str
    payment_intent_id: str | None
    amount_minor: int
    refunded_minor: int
    currency: str
    paid: bool
    disputed: bool
    metadata: dict[str, str]
    """That of its payment intent, copied by Stripe."""
    created_at: datetime


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
        self, since: datetime, until: datetime, attempt_id: str
    ) -> PaymentReport | None:
        """The session made in that window whose metadata names the attempt, if there is one."""
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

    def read_event(self, body: bytes, signature: str | None, now: datetime) -> StripeEvent:
        """Verify and parse a webhook. Raises WebhookUnconfigured or SignatureInvalid."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to one person, rendered."""

    message_id: str
    """Stable across repeats, so that a receiver can drop the second one."""
    to: str
    subject: str
    text: str
    html: str


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
    db: Transactions
    stripe: StripeGateway
    mail: Mail
    clock: Clock
    ids: Ids
    seal: Seal


# An order costs Stripe's attention once; answers must leave within 12 s (contract), so a flow gives
# up on Stripe a second earlier.
STRIPE_DEADLINE = timedelta(seconds=11)
