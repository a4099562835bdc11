"""What `POST /v1/checkout/sessions` takes, parameter by parameter.

Source: the API reference of version 2026-10-28.endive. What Stripe knows and the stand-in does not
play is refused by name (`Only`), so that no test passes on something that was silently ignored.
`payment_method_types` was removed in endive and is unknown like any other strange name.
"""

from commande.sandbox.parameters import (
    Address,
    Array,
    Choice,
    Hash,
    Integer,
    Mail,
    Metadata,
    Number,
    Only,
    Text,
)

_OFF = Hash({"enabled": Only(False)}, required=("enabled",))
_EXPAND = Array(Text(200), 0, 20)
LOCALES = (
    "auto bg cs da de el en en-GB es es-419 et fi fil fr fr-CA hi-IN hr hu id it ja ko lt lv ms mt "
    "nb nl pl pt pt-BR ro ru sk sl sv th tr vi zh zh-HK zh-TW"
).split()
PLAYED_METHODS = ("card", "sepa_debit")

_PRODUCT = Hash(
    {
        "name": Text(5000),
        "description": Text(5000),
        "images": Array(Text(2048), 0, 8),
        "metadata": Metadata(),
        "tax_code": Text(100),
        "tax_details": Only(),
        "unit_label": Text(12),
    },
    required=("name",),
)
_PRICE = Hash(
    {
        "currency": Text(3),
        "product": Text(100),
        "product_data": _PRODUCT,
        "recurring": Only(),
        "tax_behavior": Choice("exclusive", "inclusive", "unspecified"),
        "unit_amount": Integer(0, 999_999_999_999),
        "unit_amount_decimal": Number(0, 999_999_999_999, 12),
    },
    required=("currency",),
)
_LINE = Hash(
    {
        "adjustable_quantity": Hash(
            {"enabled": Only(False), "maximum": Integer(), "minimum": Integer()},
            required=("enabled",),
        ),
        "metadata": Metadata(),
        "price": Text(100),
        "price_data": _PRICE,
        "quantity": Integer(1, 999_999),
        "tax_rates": Array(Text(100), 0, 5),
    }
)
_POSTAL = Hash(
    {name: Text() for name in ("city", "country", "line1", "line2", "postal_code", "state")},
    required=("line1",),
)
_INTENT = Hash(
    {
        "application_fee_amount": Only(),
        "capture_method": Only("automatic_async", "automatic"),
        "description": Text(1000),
        "metadata": Metadata(),
        "on_behalf_of": Only(),
        "receipt_email": Mail(),
        "setup_future_usage": Only(),
        "shipping": Hash(
            {"address": _POSTAL, "carrier": Text(), "name": Text(), "phone": Text(),
             "tracking_number": Text()},
            required=("address", "name"),
        ),
        "statement_descriptor": Text(22),
        "statement_descriptor_suffix": Text(22),
        "transfer_data": Only(),
        "transfer_group": Only(),
    }
)  # fmt: skip
_TEXT = Hash({"message": Text(1200)}, required=("message",))
_BRANDING = Hash(
    {
        "background_color": Text(7), "border_style": Choice("pill", "rectangular", "rounded"),
        "button_color": Text(7), "display_name": Text(100), "font_family": Text(40),
        "icon": Only(), "logo": Only(),
    }
)  # fmt: skip
_METHOD_OPTIONS = Hash(
    {
        "card": Hash({"request_three_d_secure": Choice("automatic", "any", "challenge")}),
        "sepa_debit": Hash({"setup_future_usage": Only("none"), "target_date": Only(),
                            "mandate_options": Only()}),
    }
)  # fmt: skip

SESSION = Hash(
    {
        "adaptive_pricing": _OFF,
        "after_expiration": Only(),
        "allow_promotion_codes": Only(False),
        "allowed_payment_method_types": Array(Only(*PLAYED_METHODS), 1, 50),
        "automatic_tax": Hash({"enabled": Only(False), "liability": Only()}, ("enabled",)),
        "billing_address_collection": Only("auto"),
        "branding_settings": _BRANDING,
        "cancel_url": Address(),
        "client_reference_id": Text(200),
        "consent_collection": Only(),
        "currency": Text(3),
        "custom_fields": Only(),
        "custom_text": Hash(
            {"submit": _TEXT, "after_submit": _TEXT, "shipping_address": Only(),
             "terms_of_service_acceptance": Only()}
        ),
        "customer": Text(100),
        "customer_account": Only(),
        "customer_creation": Only("if_required"),
        "customer_email": Mail(),
        "customer_update": Only(),
        "discounts": Only(),
        "excluded_payment_method_types": Array(Text(50), 0, 60),
        "expand": _EXPAND,
        "expires_at": Integer(0),
        "integration_identifier": Text(200),
        "invoice_creation": _OFF,
        "line_items": Array(_LINE, 1, 100),
        "locale": Choice(*LOCALES),
        "managed_payments": _OFF,
        "metadata": Metadata(),
        "mode": Only("payment"),
        "name_collection": Only(),
        "optional_items": Only(),
        "origin_context": Choice("mobile_app", "web"),
        "payment_intent_data": _INTENT,
        "payment_method_collection": Only(),
        "payment_method_configuration": Only(),
        "payment_method_data": Only(),
        "payment_method_options": _METHOD_OPTIONS,
        "permissions": Only(),
        "phone_number_collection": _OFF,
        "redirect_on_completion": Only(),
        "return_url": Only(),
        "saved_payment_method_options": Only(),
        "setup_intent_data": Only(),
        "shipping_address_collection": Only(),
        "shipping_options": Only(),
        "submit_type": Choice("auto", "book", "donate", "pay", "subscribe"),
        "subscription_data": Only(),
        "success_url": Address(),
        "tax_id_collection": _OFF,
        "ui_mode": Only("hosted_page"),
        "wallet_options": Only(),
    }
)  # fmt: skip
