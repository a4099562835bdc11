"""What objects show of things that never happen here: keys that Stripe always sends."""

from commande.sandbox.store import Row


def _nulls(names: str) -> Row:
    return dict.fromkeys(names.split())


NO_ADDRESS = _nulls("city country line1 line2 postal_code state")

# Rows are copied before anything in them changes, so the empty lists may be shared.
SESSION: Row = (
    {"object": "checkout.session"}
    | _nulls(
        "after_expiration client_secret collected_information consent consent_collection "
        "currency_conversion customer customer_account invoice payment_intent payment_link "
        "permissions recovered_from saved_payment_method_options setup_intent "
        "shipping_address_collection shipping_cost subscription wallet_options"
    )
    | {
        "adaptive_pricing": {"enabled": False},
        "automatic_tax": _nulls("liability provider status") | {"enabled": False},
        "custom_fields": [],
        "discounts": [],
        "invoice_creation": {
            "enabled": False,
            "invoice_data": _nulls(
                "account_tax_ids custom_fields description footer issuer rendering_options"
            )
            | {"metadata": {}},
        },
        "livemode": False,
        "managed_payments": {"enabled": False},
        "mode": "payment",
        "optional_items": [],
        "payment_method_collection": "if_required",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "tax_id_collection": {"enabled": False, "required": "never"},
        "ui_mode": "hosted_page",
    }
)
SESSION_TEXTS = _nulls("after_submit shipping_address submit terms_of_service_acceptance")

INTENT: Row = (
    {"object": "payment_intent"}
    | _nulls(
        "application application_fee_amount automatic_payment_methods canceled_at "
        "cancellation_reason customer customer_account last_payment_error latest_charge "
        "next_action on_behalf_of payment_method payment_method_configuration_details processing "
        "review setup_future_usage source transfer_data transfer_group"
    )
    | {
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "confirmation_method": "automatic",
        "livemode": False,
        "managed_payments": {"enabled": False},
        "payment_method_options": {
            "card": _nulls("installments mandate_options network")
            | {"request_three_d_secure": "automatic"}
        },
    }
)

CHARGE: Row = (
    {"object": "charge"}
    | _nulls(
        "application application_fee application_fee_amount balance_transaction customer "
        "failure_balance_transaction on_behalf_of receipt_number receipt_url review source "
        "source_transfer transfer_data transfer_group"
    )
    | {
        "amount_refunded": 0,
        "disputed": False,
        "fraud_details": {},
        "livemode": False,
        "radar_options": {},
        "refunded": False,
    }
)
CHARGED_CARD: Row = _nulls(
    "authorization_code installments mandate network_transaction_id transaction_link_id wallet"
) | {
    "extended_authorization": {"status": "disabled"},
    "incremental_authorization": {"status": "unavailable"},
    "multicapture": {"status": "unavailable"},
    "network_token": {"used": False},
    "regulated_status": "unregulated",
}
