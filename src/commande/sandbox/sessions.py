"""Checkout Sessions: made, looked up, expired. Paying one is `payments.py`."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from commande.sandbox import money
from commande.sandbox.errors import Refusal, missing
from commande.sandbox.events import emit
from commande.sandbox.session_form import PLAYED_METHODS
from commande.sandbox.store import Row
from commande.sandbox.tax import LineTax, tax_lines
from commande.sandbox.world import World

SHORTEST, LONGEST = 30 * 60, 24 * 3600
_NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def create_session(world: World, given: Row) -> Row:
    """Make an open session out of checked parameters. Raises Refusal for what Stripe refuses."""
    _check_required(given)
    lines = given["line_items"]
    currency = _check_currency(given, lines)
    amounts = [_line_amount(line, currency, index) for index, line in enumerate(lines)]
    rates = [_find_rates(world, line, index) for index, line in enumerate(lines)]
    taxes = tax_lines(
        [(unit * line["quantity"], rate)
         for (unit, _), line, rate in zip(amounts, lines, rates, strict=True)],
        world.settings.tax_rounding,
    )  # fmt: skip
    items = [
        _line_item(world, line, currency, amount, tax)
        for line, amount, tax in zip(lines, amounts, taxes, strict=True)
    ]
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
    for index, line in enumerate(given["line_items"]):
        _check_line(line, f"line_items[{index}]")


def _check_line(line: Row, spot: str) -> None:
    if "price" in line and "price_data" not in line:
        raise missing("price", line["price"], f"{spot}[price]", status=400)
    _check_one_of(line, ("price_data", "price"), spot)
    if "quantity" not in line:
        raise Refusal(f"Quantity is required. Add `quantity` to `{spot}`",
                      code="parameter_missing", param=f"{spot}[quantity]")  # fmt: skip
    price, spot = line["price_data"], f"{spot}[price_data]"
    if "product" in price and "product_data" not in price:
        raise missing("product", price["product"], f"{spot}[product]", status=400)
    _check_one_of(price, ("product_data", "product"), spot)
    _check_one_of(price, ("unit_amount", "unit_amount_decimal"), spot)


def _check_one_of(given: Row, names: tuple[str, str], spot: str) -> None:
    present = [name for name in names if name in given]
    if not present:
        raise Refusal(f"Missing required param: {spot}[{names[0]}].", code="parameter_missing",
                      param=f"{spot}[{names[0]}]")  # fmt: skip
    if len(present) > 1:
        raise Refusal(f"You may only specify one of these parameters: {', '.join(present)}.",
                      code="parameters_exclusive", param=f"{spot}[{present[0]}]")  # fmt: skip


def _check_currency(given: Row, lines: list[Row]) -> str:
    for index, line in enumerate(lines):
        spot = f"line_items[{index}][price_data][currency]"
        currency = line["price_data"]["currency"].lower()
        line["price_data"]["currency"] = currency
        if currency not in money.CURRENCIES:
            raise Refusal(
                f"Invalid currency: {currency}. Stripe currently supports these currencies: "
                f"{', '.join(sorted(money.CURRENCIES))}",
                param=spot,
            )
        wanted = given.get("currency", lines[0]["price_data"]["currency"]).lower()
        if currency != wanted:
            raise Refusal(f"All line items must be in the same currency: found {currency}, "
                          f"expected {wanted}.", param=spot)  # fmt: skip
    return str(lines[0]["price_data"]["currency"])


def _line_amount(line: Row, currency: str, index: int) -> tuple[int, Decimal]:
    """Unit amount in whole minor units, and as it was given."""
    price = line["price_data"]
    exact = Decimal(price.get("unit_amount", price.get("unit_amount_decimal")))
    unit = int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    money.check_digits(unit, currency, f"line_items[{index}][price_data][unit_amount]")
    return unit, exact


def _find_rates(world: World, line: Row, index: int) -> list[Row]:
    rates = []
    for place, id_ in enumerate(line.get("tax_rates", [])):
        spot = f"line_items[{index}][tax_rates][{place}]"
        rate = world.state.get("tax_rate", id_)
        if rate is None:
            raise missing("tax rate", id_, spot, status=400)
        if not rate["active"]:
            raise Refusal(f"The tax rate {id_} is archived and can't be used on new sessions.",
                          param=spot)  # fmt: skip
        rates.append(rate)
    return rates


def _line_item(
    world: World, line: Row, currency: str, amount: tuple[int, Decimal], taxes: list[LineTax]
) -> Row:
    unit, exact = amount
    subtotal = unit * line["quantity"]
    added = sum(tax.amount for tax in taxes if not tax.rate["inclusive"])
    product = line["price_data"]["product_data"]
    return {
        "id": world.ids.new("li_1"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": subtotal,
        "amount_tax": sum(tax.amount for tax in taxes),
        "amount_total": subtotal + added,
        "currency": currency,
        "description": product["name"],
        "metadata": line.get("metadata") or {},
        "price": _price(world, line, currency, unit, exact),
        "quantity": line["quantity"],
        "taxes": [
            {"amount": tax.amount, "rate": tax.rate, "taxability_reason": None,
             "taxable_amount": tax.taxable}
            for tax in taxes
        ],
    }  # fmt: skip


def _price(world: World, line: Row, currency: str, unit: int, exact: Decimal) -> Row:
    whole = exact == unit
    product = world.ids.new("prod_", 14)
    described = {"created": world.now, **line["price_data"]["product_data"]}
    world.state.put("product", product, described)
    return {
        "id": world.ids.new("price_1"),
        "object": "price",
        "active": False,  # made for this line alone
        "billing_scheme": "per_unit",
        "created": world.now,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": product,
        "recurring": None,
        "tax_behavior": line["price_data"].get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": unit if whole else None,
        "unit_amount_decimal": str(unit) if whole else format(exact.normalize(), "f"),
    }


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
    subtotal = sum(item["amount_subtotal"] for item in items)
    total = sum(item["amount_total"] for item in items)
    email = given.get("customer_email")
    branding = {"background_color": "#ffffff", "border_style": "rounded",
                "button_color": "#2b3a8f", "display_name": world.shop_name,
                "font_family": "default", "icon": None, "logo": None}  # fmt: skip
    texts = dict.fromkeys(
        ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
    )
    row: dict[str, Any] = {
        "id": id_,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": given.get("allow_promotion_codes"),
        "amount_subtotal": subtotal,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": given.get("billing_address_collection"),
        "branding_settings": branding | given.get("branding_settings", {}),
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": world.now,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": texts | given.get("custom_text", {}),
        "customer": None,
        "customer_account": None,
        "customer_creation": given.get("customer_creation", "if_required"),
        "customer_details": {**customer_details(email), "address": None, "tax_ids": None}
        if email
        else None,
        "customer_email": email,
        "discounts": [],
        "expires_at": expires_at,
        "integration_identifier": given.get("integration_identifier"),
        "invoice": None,
        "invoice_creation": {
            "enabled": False,
            "invoice_data": {
                "account_tax_ids": None, "custom_fields": None, "description": None,
                "footer": None, "issuer": None, "metadata": {}, "rendering_options": None,
            },
        },
        "livemode": False,
        "locale": given.get("locale"),
        "managed_payments": {"enabled": False},
        "metadata": given.get("metadata") or {},
        "mode": "payment",
        "optional_items": [],
        "origin_context": given.get("origin_context"),
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": {"id": world.account["configuration"],
                                                 "parent": None},
        "payment_method_options": {
            "card": {"request_three_d_secure": "automatic"}
            | given.get("payment_method_options", {}).get("card", {})
        },
        "payment_method_types": _methods(given, currency, total),
        "payment_status": "unpaid" if total else "no_payment_required",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": given.get("submit_type"),
        "subscription": None,
        "success_url": given["success_url"],
        "tax_id_collection": {"enabled": False, "required": "never"},
        "total_details": {
            "amount_discount": 0,
            "amount_shipping": 0,
            "amount_tax": sum(item["amount_tax"] for item in items),
        },
        "ui_mode": "hosted_page",
        "url": f"{world.url}/c/pay/{id_}",
        "wallet_options": None,
    }  # fmt: skip
    for name in ("allowed_payment_method_types", "excluded_payment_method_types"):
        if name in given:  # else Stripe leaves the key out
            row[name] = given[name]
    return row


def customer_details(email: str | None, name: str | None = None, country: str | None = None) -> Row:
    """What the page learned about the buyer, as a session shows it."""
    return {
        "address": {**_NO_ADDRESS, "country": country},
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
    emit(world, "checkout.session.expired", row)
    return row


def breakdown(items: list[Row]) -> Row:
    """Taxes by rate over all lines, for `expand[]=total_details.breakdown`."""
    taxes: dict[str, Row] = {}
    for item in items:
        for tax in item["taxes"]:
            sum_ = taxes.setdefault(tax["rate"]["id"], {**tax, "amount": 0, "taxable_amount": 0})
            sum_["amount"] += tax["amount"]
            sum_["taxable_amount"] += tax["taxable_amount"]
    return {"discounts": [], "taxes": list(taxes.values())}
