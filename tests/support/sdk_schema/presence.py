"""Which nullable keys of an answer may be missing: the one thing the SDK's annotations leave out.

The SDK writes `Optional` both for "always sent, sometimes null" and for "sometimes not sent". We
take every `Optional` key for always sent, unless this table says otherwise. The table follows the
typings of Stripe's own Node SDK (API version 2026-07-29.dahlia), which do tell `key: T | null`
from `key?: T`; keys newer than that are marked, and are free because nobody could look. A key here
that is present must not be null, unless a `?` follows it.

Keys are JSON paths (lists are transparent). `*` means every `Optional` key, `-key` takes one out
again; a path ending in `.**` speaks for everything below it that has no entry of its own.
"""

MAY_BE_ABSENT = {
    "balance.**": "*",
    "charge": "authorization_code level3 presentment_details radar_options refunds? transfer",
    "charge.fraud_details": "*",
    "charge.level3": "*",
    "charge.outcome": "risk_level risk_score rule",
    "charge.payment_method_details": "*",
    "charge.payment_method_details.card": (
        "capture_before description? extended_authorization fingerprint? iin? "
        "incremental_authorization issuer? moto? multicapture network_token? overcapture "
        "electronic_commerce_indicator? setup_credential_usage? stored_credential_usage?"  # newer
    ),
    "charge.payment_method_details.card.three_d_secure": "exemption_indicator_applied",
    "charge.payment_method_details.card.wallet": "* -dynamic_last4",
    "charge.payment_method_details.link": "funding_source_group?",  # newer
    "charge.payment_method_details.sepa_debit": "expected_debit_date",
    "charge.radar_options": "*",
    "charge.shipping": "address name carrier? phone? tracking_number?",
    "checkout.session": (
        "branding_settings excluded_payment_method_types line_items name_collection "
        "optional_items? phone_number_collection presentment_details redirect_on_completion "
        "return_url tax_id_collection "
        "allowed_payment_method_types?"  # newer
    ),
    "checkout.session.automatic_tax.liability": "account",
    "checkout.session.branding_settings.icon": "file url",
    "checkout.session.branding_settings.logo": "file url",
    "checkout.session.custom_fields": "dropdown numeric text",
    "checkout.session.invoice_creation.invoice_data.issuer": "account",
    "checkout.session.name_collection": "*",
    # One key per payment method in use, and in each only what was asked for.
    "checkout.session.payment_method_options.**": "*",
    "checkout.session.shipping_cost": "taxes",
    "checkout.session.total_details": "breakdown",
    "checkout.session.wallet_options.**": "*",
    "dispute": (
        "network_reason_code? payment_method_details intended_submission_method?"  # newer
    ),
    "dispute.evidence": "appeal?",  # newer
    "dispute.evidence.enhanced_evidence": "*",
    "dispute.evidence_details": "submission_method?",  # newer
    "dispute.evidence_details.enhanced_eligibility": "*",
    "dispute.payment_method_details": "*",
    "error": "*",
    "event": "account context",
    "event.data": "previous_attributes",
    "item": "discounts taxes",
    "payment_intent": (
        "allowed_payment_method_types amount_details hooks payment_details presentment_details "
        "transfer_data? "
        "payment_record?"  # newer
    ),
    "payment_intent.amount_details.**": "*",
    "payment_intent.automatic_payment_methods": "allow_redirects",
    "payment_intent.hooks.**": "*",
    "payment_intent.last_payment_error": "*",
    "payment_intent.next_action": "*",
    "payment_intent.payment_method_options.**": "*",
    "payment_intent.payment_method_options.card": (
        "* -installments -mandate_options -network -request_three_d_secure"
    ),
    "payment_intent.processing.**": "*",
    "payment_intent.shipping": "address name carrier? phone? tracking_number?",
    "payment_intent.transfer_data.**": "*",
    "payment_method": "* -customer -customer_account",
    "payment_method.card": "description? fingerprint? iin? issuer?",
    "payment_method.card.generated_from.payment_method_details": "card_present",
    "payment_method.card.wallet": "* -dynamic_last4",
    "payment_method.link": "persistent_token",
    "price": "currency_options tiers",
    "product": (
        "default_price? statement_descriptor? tax_code? unit_label? tax_details?"  # newer
    ),
    "product.marketing_features": "name",
    "refund": (
        "description destination_details failure_balance_transaction failure_reason "
        "instructions_email next_action pending_reason presentment_details"
    ),
    "refund.destination_details": "*",
    "refund.destination_details.card": "*",
    "refund.destination_details.klarna": "reference? reference_status?",  # newer
    "refund.destination_details.paypal": "reference? reference_status?",  # newer
    "webhook_endpoint": "secret",  # only the answer to its creation tells it
}


def rule_for(path: str) -> set[str]:
    """Return the words of the entry that speaks for a JSON path; none when every key is sent."""
    entry = MAY_BE_ABSENT.get(path)
    above = path
    while entry is None:
        entry = MAY_BE_ABSENT.get(f"{above}.**")
        if "." not in above:
            break
        above = above.rpartition(".")[0]
    return set((entry or "").split())
