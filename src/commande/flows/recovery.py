"""Recovery: a paid order whose rows were lost in a failover or a restored backup."""

from commande.core.payment import PaymentReport, PaymentState
from commande.db.adoption import adopt_session
from commande.db.recovery import recover_order
from commande.errors import SessionInvalid
from commande.shop import Shop


async def find_owner(shop: Shop, session_id: str, report: PaymentReport) -> bool:
    """Make sure that a session which is not in our attempts, but carries our seal, has its rows.

    Adopts it where its attempt still stands, else rebuilds command and attempt from what Stripe
    knows, for a person to look at; False when there is neither a row nor money. Repeat-safe.
    Raises SessionInvalid without a seal of ours, StripeUnavailable, StripeObjectMissing.
    """
    if not shop.seal.made(report.metadata):
        raise SessionInvalid("This is no session of ours.")
    now = shop.clock.now()
    metadata = report.metadata
    if await shop.db.transaction(adopt_session, session_id, metadata, report, now):
        return True
    if report.state not in (PaymentState.PAID, PaymentState.PROCESSING):
        return False
    order = await shop.stripe.read_order(session_id)
    locale = shop.settings.locale
    await shop.db.transaction(recover_order, order, shop.ids.ref(), locale, now)
    return True
