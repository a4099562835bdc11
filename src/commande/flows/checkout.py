"""Checkout: a cart becomes an unpaid command with one payable session; paying again later."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from commande.core.command import AttemptState
from commande.core.order import Order
from commande.core.payment import STRIPE_DEADLINE, PaymentReport, PaymentState
from commande.core.pricing import Quote, adopt_total
from commande.core.session import resolve_tax_rates, tax_rate_keys
from commande.core.tax import TaxRate
from commande.db import opening
from commande.db.attempts import Attempt
from commande.db.catalogue import forget_tax_rates, remember_tax_rates
from commande.db.opening import Claim, Opening, Ticket
from commande.errors import (
    CommandExpired,
    CommandNotFound,
    FieldError,
    InputInvalid,
    QuoteMismatch,
    SessionInvalid,
    StripeRefused,
    StripeUnavailable,
)
from commande.flows.settlement import ask_stripe, expire_at_stripe
from commande.ids import is_object_id
from commande.shop import Shop

# A live opener holds its attempt this long; a little more than its deadline, so that nobody takes
# over while the first call can still answer.
LEASE: Final = STRIPE_DEADLINE + timedelta(seconds=2)
# How far the clocks of our machines and of Stripe may be apart when a session is looked for.
CLOCKS_APART: Final = timedelta(minutes=5)
_FIRST_WAIT: Final = 0.02
_LONGEST_WAIT: Final = 0.4


@dataclass(frozen=True, slots=True)
class Opened:
    """A command that can be paid."""

    url: str
    command_id: str
    ref: str
    token: str
    expires_at: datetime


class OpeningDelayed(StripeUnavailable):
    """The command stands, its session does not yet: the retry opens it later."""

    def __init__(self, cause: StripeUnavailable, command_id: str, ref: str, token: str) -> None:
        super().__init__(cause.detail, retry_after=cause.retry_after)
        self.command_id, self.ref, self.token = command_id, ref, token


async def open_checkout(shop: Shop, order: Order, idempotency_key: str | None = None) -> Opened:
    """Open a command for the order and hand out the address where it is paid.

    Repeat-safe: the same key and order give the same command and session; without a key the same
    order within a minute does (double click). Raises InputInvalid, CommandsModuleMissing,
    IdempotencyConflict, QuoteMismatch, and OpeningDelayed when Stripe does not answer: then the
    command stays unpaid and is opened by a repeat, by ``retry_payment`` or by the worker.
    """
    ticket = make_ticket(shop)
    if order.appointment_at <= ticket.now:
        detail = "The appointment must lie in the future."
        raise InputInvalid(FieldError("appointment", "in_the_past", detail))
    claim = make_claim(order, idempotency_key)
    found = await shop.db.transaction(opening.open_command, order, ticket, claim)
    return await _hand_out(shop, found)


async def retry_payment(
    shop: Shop, command_id: str, token: str | None, accept_minor: int | None = None
) -> Opened:
    """Pay an unpaid command again: its open session, or a new one once the old one is dead.

    Never two payable sessions: the older one is expired at Stripe first, and if it turns out to be
    paid it is settled instead. Stripe is asked about an open one too, because its end may not have
    been heard of yet: an address where nobody can pay is no answer. Raises CommandNotFound without
    the right token, AlreadyPaid, PaymentProcessing, CommandExpired, PriceChanged, OpeningDelayed.
    """
    if not is_object_id(command_id) or not shop.seal.opens(token, command_id):
        raise CommandNotFound("There is no such command, or this link does not open it.")
    heard = None
    for _ in range(4):
        plan = await shop.db.transaction(
            opening.plan_retry, command_id, make_ticket(shop), accept_minor
        )
        attempt = plan.attempt
        if plan.stale:
            await _retire(shop, plan)
        elif attempt.state is not AttemptState.OPEN or attempt.id == heard:
            return await _hand_out(shop, plan)
        else:
            heard = attempt.id
            await _hear_of(shop, attempt)
    raise StripeUnavailable("The former payment page is still open at Stripe. Please try again.")


async def _hear_of(shop: Shop, attempt: Attempt) -> None:
    """Write what became of an open session; when Stripe cannot tell, it stands as we know it."""
    if attempt.stripe_session_id is not None:
        with suppress(StripeUnavailable, SessionInvalid):
            await ask_stripe(shop, attempt.stripe_session_id, "browser")


async def _retire(shop: Shop, plan: Opening) -> None:
    """End a session that must not be handed out again; what it became is settled."""
    attempt = plan.attempt
    if attempt.state is AttemptState.CREATING:
        opened = await reach_open(shop, plan)
        attempt = opened.attempt
    if attempt.stripe_session_id is not None and attempt.state is AttemptState.OPEN:
        await expire_at_stripe(shop, attempt.stripe_session_id, "browser")


async def _hand_out(shop: Shop, found: Opening) -> Opened:
    """The answer to the customer, once the session is recorded as open."""
    command = found.command
    token = shop.seal.token(command.id)
    try:
        reached = await reach_open(shop, found)
    except StripeUnavailable as error:
        raise OpeningDelayed(error, command.id, command.ref, token) from error
    attempt = reached.attempt
    if attempt.url is None:
        raise CommandExpired("This command was closed. Please order again.")
    return Opened(attempt.url, command.id, command.ref, token, attempt.expires_at)


async def reach_open(shop: Shop, found: Opening) -> Opening:
    """Bring a creating attempt to open: ask Stripe ourselves, or wait for who already does.

    Returns the attempt as it ended (open, or closed by clean-up meanwhile). Raises
    StripeUnavailable, StripeRefused, QuoteMismatch.
    """
    replaced = False
    deadline = shop.clock.now() + STRIPE_DEADLINE
    wait = _FIRST_WAIT
    while found.attempt.state is AttemptState.CREATING:
        if found.mine:
            outcome = await _ask_stripe(shop, found)
            if outcome is not None:
                return Opening(found.command, outcome, found.rates)
            if replaced:
                raise StripeUnavailable("Stripe could not open the payment page.")
            replaced = True
            found = await shop.db.transaction(
                opening.replace_attempt, found.command.id, make_ticket(shop)
            )
        elif shop.clock.now() >= deadline:
            raise StripeUnavailable("The payment page is still being opened. Please try again.")
        else:
            await shop.clock.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)
            if await shop.db.read(opening.is_held, found.command.id, shop.clock.now()):
                continue
            found = await shop.db.transaction(
                opening.claim_opening, found.command.id, make_ticket(shop)
            )
    return found


async def _ask_stripe(shop: Shop, found: Opening) -> Attempt | None:
    """One N between two Ts: make the session and record it; None: another attempt may succeed."""
    attempt = found.attempt
    try:
        report = await _make_session(shop, found)
    except StripeUnavailable as error:
        kind = "indeterminate" if error.indeterminate else "unavailable"
        await shop.db.transaction(opening.release_opening, attempt, kind, shop.clock.now())
        raise
    except StripeRefused as error:
        await _close_refused(shop, found, error)
        return None
    adopted = _adopt(attempt, report)
    if adopted is None:
        await _refuse_session(shop, attempt, report)
        raise QuoteMismatch("Stripe computed another total than we quoted. Nothing can be paid.")
    return await shop.db.transaction(
        opening.mark_open, attempt.id, report, adopted, shop.clock.now()
    )


async def _make_session(shop: Shop, found: Opening) -> PaymentReport:
    """The session of a frozen attempt: found again if Stripe may have made it, else asked for."""
    attempt = found.attempt
    if attempt.last_error == "indeterminate":
        # Stripe keeps its 5xx under the key and would replay it, yet may have made the session.
        made = await find_session(shop, attempt, shop.clock.now())
        if made is not None:
            return made
        raise StripeRefused("Stripe lost this attempt.", stripe_code="indeterminate")
    rates = await _know_tax_rates(shop, found)
    parameters = resolve_tax_rates(attempt.parameters, rates)
    return await shop.stripe.create_session(parameters, attempt.idempotency_key)


async def find_session(shop: Shop, attempt: Attempt, until: datetime) -> PaymentReport | None:
    """The session that Stripe made for this attempt up to then, if it did.

    Whoever else makes sessions in the account may write the attempt's id into theirs: only the
    shop's seal proves one to be ours.
    """

    def is_ours(metadata: dict[str, str]) -> bool:
        return metadata.get("attempt_id") == attempt.id and shop.seal.made(metadata)

    since = attempt.created_at - CLOCKS_APART
    return await shop.stripe.find_session(since, until + CLOCKS_APART, is_ours)


async def _know_tax_rates(shop: Shop, found: Opening) -> dict[str, str]:
    """Stripe's ids of the rates that the attempt names, making those that are new.

    Two processes that need one rate send the same key, and the row of the first stands for both.
    """
    livemode, attempt = shop.settings.livemode, found.attempt
    # Stripe keeps a 5xx under its key and replays it for a day: nobody could buy at that rate. So
    # only first tries share the key; a rate too many at Stripe harms nobody.
    own = "" if attempt.tries < 2 else f"-{attempt.id}-{attempt.tries}"
    made = {}
    for key in tax_rate_keys(attempt.parameters):
        if key not in found.rates:
            idempotency_key = f"commande-tax-{key}-{shop.seal.label('tax', key)}{own}"
            try:
                rate = TaxRate.from_key(key)
                made[key] = await shop.stripe.create_tax_rate(rate, idempotency_key)
            except StripeUnavailable as error:
                # Whatever became of the rate: of the session Stripe knows nothing yet.
                raise StripeUnavailable(error.detail, retry_after=error.retry_after) from error
    if not made:
        return found.rates
    known = await shop.db.transaction(remember_tax_rates, made, livemode, shop.clock.now())
    return found.rates | known


async def _close_refused(shop: Shop, found: Opening, error: StripeRefused) -> None:
    """Close an attempt that can never succeed; raises the refusal unless another one can."""
    attempt, now = found.attempt, shop.clock.now()
    reason = (error.stripe_code or "refused")[:80]
    await shop.db.transaction(opening.abandon_opening, attempt.id, reason, now)
    param = error.param or ""
    if "tax_rates" in param:
        # Made in another account, or for a stand-in that began again: make them anew, once.
        keys = tax_rate_keys(attempt.parameters)
        await shop.db.transaction(forget_tax_rates, keys, shop.settings.livemode)
    elif param.startswith("customer_email"):
        detail = "The payment provider refuses this e-mail address."
        raise InputInvalid(FieldError("customer.email", "refused", detail))
    elif reason not in ("indeterminate", "idempotency_error") and param != "expires_at":
        raise error


def _adopt(attempt: Attempt, report: PaymentReport) -> Quote | None:
    """Our quote with Stripe's total, or None when this is not the session that we asked for."""
    same = (
        report.currency == attempt.currency
        and report.mode == "payment"
        and report.livemode is attempt.livemode
        and report.state in (PaymentState.OPEN, PaymentState.EXPIRED)
        and report.url is not None
        and report.amount_minor is not None
    )
    return adopt_total(attempt.quote, report.amount_minor or 0) if same else None


async def _refuse_session(shop: Shop, attempt: Attempt, report: PaymentReport) -> None:
    """Make a wrong session unpayable before anybody hears of it, then close its attempt."""
    await shop.stripe.expire_session(report.session_id)
    await shop.db.transaction(
        opening.abandon_opening, attempt.id, "quote_mismatch", shop.clock.now(), report.session_id
    )


def make_claim(order: Order, idempotency_key: str | None) -> Claim:
    """What makes a repeat recognisable: the caller's key, or the order itself."""
    if idempotency_key is None:
        fingerprint = order.fingerprint()
        own = hashlib.sha256(f"order:{fingerprint}".encode()).hexdigest()
        return Claim(own, fingerprint, from_caller=False)
    key = hashlib.sha256(f"key:{idempotency_key}".encode(errors="replace")).hexdigest()
    return Claim(key, order.digest(), from_caller=True)


def make_ticket(shop: Shop) -> Ticket:
    """Ids and time for one transaction, and the shop's terms."""
    now, settings = shop.clock.now(), shop.settings
    return Ticket(
        now=now,
        lease_until=now + LEASE,
        command_id=shop.ids.object_id(now),
        attempt_id=shop.ids.object_id(now),
        refs=(shop.ids.ref(), shop.ids.ref(), shop.ids.ref()),
        seal=shop.seal,
        livemode=settings.livemode,
        currency=settings.currency,
        country=settings.country,
        success_url=settings.site_url + settings.success_path,
        cancel_url=settings.site_url + settings.cancel_path,
    )
