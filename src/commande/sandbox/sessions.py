"""Checkout Sessions: made, looked up, expired. Paying one is `payments.py`."""

from commande.sandbox import blanks, money
from commande.sandbox.errors import Refusal, missing
from commande.sandbox.events import emit
from commande.sandbox.order_lines import make_lines
from commande.sandbox.session_form import PLAYED_METHODS
from commande.sandbox.store import Row
from commande.sandbox.world import World

SHORTEST, LONGEST = 30 * 60, 24 * 3600
_AS_GIVEN = (
    "allow_promotion_codes", "billing_address_collection", "cancel_url", "client_reference_id",
    "customer_email", "integration_identifier", "locale", "origin_context", "submit_type",
    "success_url",
)  # fmt: skip


def create_session(world: World, given: Row) -> Row:
    """Make an open session out of checked parameters. Raises Refusal for what Stripe refuses."""
    _check_required(given)
    currency, items = make_lines(world, given)
    total = sum(item["amount_total"] for item in items)
    money.check_total(total, currency)
    expires_at = _check_expiry(world, given)
    row = _session(world, given, currency, items, expires_at)
    world.state.put("session", row["id"], row)
    world.state.put("checkout", row["id"], {"lines": items, "given": _kept(given)})
    world.schedule(float(expires_at), "expire_session", row["id"])
    return row


def _kept(given: Row) -> Row:
    """What paying needs later and the session does not show."""
    return {"payment_intent_data": given.get("payment_intent_data", {})}


def _check_required(given: Row) -> None:
    if "mode" not in given:
        raise Refusal("Missing required param: mode.", code="parameter_missing", param="mode")
    if "success_url" not in given:
        raise Refusal(
            "Missing required param: success_url.", code="parameter_missing", param="success_url"
        )
    if "line_items" not in given:
        raise Refusal("You must provide `line_items` in `payment` mode.", code="parameter_missing",
                      param="line_items")  # fmt: skip
    if "customer" in given:
        raise missing("customer", given["customer"], "customer", status=400)


def _check_expiry(world: World, given: Row) -> int:
    expires_at: int = given.get("expires_at", world.now + LONGEST)
    if expires_at < world.now + SHORTEST:
        raise Refusal("The `expires_at` timestamp must be at least 30 minutes from Checkout "
                      "Session creation.", param="expires_at")  # fmt: skip
    if expires_at > world.now + LONGEST:
        raise Refusal("The `expires_at` timestamp must be less than 24 hours from Checkout "
                      "Session creation.", param="expires_at")  # fmt: skip
    return expires_at


def _methods(given: Row, currency: str, total: int) -> list[str]:
    """What the buyer may pay with: what was allowed, else what the account offers."""
    offered = given.get("allowed_payment_method_types", PLAYED_METHODS)
    excluded = given.get("excluded_payment_method_types", ())
    methods = [
        method for method in offered
        if method not in excluded
        and (method == "card" or (currency == "eur" and total <= money.LARGEST_OTHERWISE))
    ]  # fmt: skip
    if not methods:
        raise Refusal("No valid payment method types for this Checkout Session. Please ensure that "
                      "you have activated payment methods compatible with your chosen currency in "
                      "your dashboard.")  # fmt: skip
    return methods


def _session(world: World, given: Row, currency: str, items: list[Row], expires_at: int) -> Row:
    id_ = world.ids.session()
    total = sum(item["amount_total"] for item in items)
    email = given.get("customer_email")
    about_buyer = {**customer_details(email), "address": None, "tax_ids": None} if email else None
    three_d_secure = given.get("payment_method_options", {}).get("card", {})
    row: Row = {
        "id": id_,
        **blanks.SESSION,
        **{name: given.get(name) for name in _AS_GIVEN},
        "amount_subtotal": sum(item["amount_subtotal"] for item in items),
        "amount_total": total,
        "branding_settings": _branding(world) | given.get("branding_settings", {}),
        "created": world.now,
        "currency": currency,
        "custom_text": blanks.SESSION_TEXTS | given.get("custom_text", {}),
        "customer_creation": given.get("customer_creation", "if_required"),
        "customer_details": about_buyer,
        "expires_at": expires_at,
        "metadata": given.get("metadata") or {},
        "payment_method_configuration_details": {
            "id": world.account["configuration"],
            "parent": None,
        },
        "payment_method_options": {
            "card": {"request_three_d_secure": "automatic"} | three_d_secure
        },
        "payment_method_types": _methods(given, currency, total),
        "payment_status": "unpaid" if total else "no_payment_required",
        "status": "open",
        "total_details": {
            "amount_discount": 0,
            "amount_shipping": 0,
            "amount_tax": sum(item["amount_tax"] for item in items),
        },
        "url": f"{world.url}/c/pay/{id_}",
    }
    for name in ("allowed_payment_method_types", "excluded_payment_method_types"):
        if name in given:  # else Stripe leaves the key out
            row[name] = given[name]
    return row


def _branding(world: World) -> Row:
    return {
        "background_color": "#ffffff",
        "border_style": "rounded",
        "button_color": "#2b3a8f",
        "display_name": world.shop_name,
        "font_family": "default",
        "icon": None,
        "logo": None,
    }


def customer_details(email: str | None, name: str | None = None, country: str | None = None) -> Row:
    """What the page learned about the buyer, as a session shows it."""
    return {
        "address": {**blanks.NO_ADDRESS, "country": country},
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def find_session(world: World, id_: str) -> Row:
    row = world.state.get("session", id_)
    if row is None:
        raise missing("checkout.session", id_, "session")
    return row


def expire_session(world: World, id_: str, *, by_clock: bool = False) -> Row:
    """Close an open session. Raises Refusal unless it is open (the clock passes silently)."""
    row = find_session(world, id_)
    if row["status"] != "open":
        if by_clock:
            return row
        raise Refusal(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of `{row['status']}`.",
            param="session",
        )  # fmt: skip
    row = {**row, "status": "expired", "url": None}
    world.state.put("session", id_, row)
    _cancel_intent(world, world.state.rows["checkout"][id_].get("intent"))
    emit(world, "checkout.session.expired", row)
    return row


def _cancel_intent(world: World, id_: str | None) -> None:
    """The intent of a first, declined attempt ends with its session."""
    if id_ is None:
        return
    intent = world.state.rows["payment_intent"][id_] | {
        "status": "canceled",
        "canceled_at": world.now,
        "cancellation_reason": "expired",
        "next_action": None,
    }
    world.state.put("payment_intent", id_, intent)
    emit(world, "payment_intent.canceled", intent)
