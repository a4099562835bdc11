"""Answers as Stripe gives them, each call a new one: the known good to hold mutations against."""

from typing import Any

Json = dict[str, Any]


def nulls(names: str) -> Json:
    return dict.fromkeys(names.split())


def an_address() -> Json:
    return {
        "city": "Colmar",
        "country": "FR",
        "line1": "1 rue des Clefs",
        "line2": None,
        "postal_code": "68000",
        "state": None,
    }


def a_tax_rate() -> Json:
    return {
        "id": "txr_1",
        "object": "tax_rate",
        "active": True,
        "country": "FR",
        "created": 1_795_000_000,
        "display_name": "TVA",
        "inclusive": True,
        "livemode": False,
        "metadata": {},
        "percentage": 5.5,
        **nulls(
            "description effective_percentage flat_amount jurisdiction jurisdiction_level "
            "rate_type state tax_type"
        ),
    }


def a_price() -> Json:
    return {
        "id": "price_1",
        "object": "price",
        "active": False,
        "billing_scheme": "per_unit",
        "created": 1_795_000_000,
        "currency": "eur",
        "livemode": False,
        "metadata": {},
        "product": "prod_1",
        "tax_behavior": "inclusive",
        "type": "one_time",
        "unit_amount": 1250,
        "unit_amount_decimal": "1250",
        **nulls("custom_unit_amount lookup_key nickname recurring tiers_mode transform_quantity"),
    }


def a_line_item() -> Json:
    return {
        "id": "li_1",
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": 2500,
        "amount_tax": 130,
        "amount_total": 2500,
        "currency": "eur",
        "description": "Crémant d’Alsace",
        "metadata": {},
        "price": a_price(),
        "quantity": 2,
        "taxes": [
            {
                "amount": 130,
                "rate": a_tax_rate(),
                "taxability_reason": "standard_rated",
                "taxable_amount": 2370,
            }
        ],
    }


def a_list(url: str, *items: Json) -> Json:
    return {"object": "list", "data": list(items), "has_more": False, "url": url}


def a_custom_field() -> Json:
    return {
        "key": "gift",
        "label": {"custom": "Message", "type": "custom"},
        "optional": True,
        "text": {
            "default_value": None,
            "maximum_length": None,
            "minimum_length": None,
            "value": "Joyeux Noël",
        },
        "type": "text",
    }


def a_payer() -> Json:
    return {
        "address": an_address(),
        "business_name": None,
        "email": "ada@example.com",
        "individual_name": None,
        "name": "Ada L.",
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [{"type": "eu_vat", "value": "FR00000000000"}],
    }


def total_details() -> Json:
    tax = {
        "amount": 130,
        "rate": a_tax_rate(),
        "taxability_reason": None,
        "taxable_amount": 2370,
    }
    return {
        "amount_discount": 0,
        "amount_shipping": 0,
        "amount_tax": 130,
        "breakdown": {"discounts": [], "taxes": [tax]},
    }


def a_session() -> Json:
    """Return a paid session, as an answer with `line_items` and the tax breakdown expanded."""
    return {
        "id": "cs_test_1",
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "amount_subtotal": 2500,
        "amount_total": 2500,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": "https://shop.example/cart",
        "client_reference_id": "65f0c0ffee65f0c0ffee0001",
        "collected_information": {
            "business_name": None,
            "individual_name": None,
            "shipping_details": None,
        },
        "created": 1_795_000_000,
        "currency": "eur",
        "custom_fields": [a_custom_field()],
        "custom_text": nulls("after_submit shipping_address submit terms_of_service_acceptance"),
        "customer_creation": "if_required",
        "customer_details": a_payer(),
        "customer_email": "ada@example.com",
        "discounts": [],
        "expires_at": 1_795_080_000,
        "line_items": a_list("/v1/checkout/sessions/cs_test_1/line_items", a_line_item()),
        "livemode": False,
        "locale": "fr",
        "metadata": {"command": "65f0c0ffee65f0c0ffee0001", "object": "no resource"},
        "mode": "payment",
        "payment_intent": "pi_1",
        "payment_method_collection": "if_required",
        "payment_method_options": {
            "card": {"request_three_d_secure": "automatic", "setup_future_usage": "none"}
        },
        "payment_method_types": ["card"],
        "payment_status": "paid",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "status": "complete",
        "success_url": "https://shop.example/thanks",
        "total_details": total_details(),
        "ui_mode": "hosted_page",
        **nulls(
            "after_expiration allow_promotion_codes billing_address_collection client_secret "
            "consent consent_collection currency_conversion customer customer_account "
            "integration_identifier invoice invoice_creation managed_payments origin_context "
            "payment_link payment_method_configuration_details permissions recovered_from "
            "saved_payment_method_options setup_intent shipping_address_collection shipping_cost "
            "submit_type subscription url wallet_options"
        ),
    }


def an_event(resource: Json) -> Json:
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_795_000_001,
        "data": {"object": resource, "previous_attributes": {"object": "partial", "status": "x"}},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": "checkout.session.completed",
    }
