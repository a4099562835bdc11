"""The payment page's words, in French and English."""

from typing import Any, Final

# U+202F stands before : ; ! ? % and € in French, U+00A0 keeps words together.
FR: Final[dict[str, Any]] = {
    "lang": "fr",
    "sandbox": "Bac à sable",
    "nothing_charged": "essai, rien n’est débité",
    "your_purchase": "Votre achat",
    "back": "Revenir sans payer",
    "back_to": "Revenir chez",
    "pay_to": "Payer",
    "subtotal": "Sous-total",
    "total": "Total dû",
    "quantity": "Qté {quantity}, {each} pièce",
    "included": "{name} {percentage} incluse",
    "added": "{name} {percentage}",
    "payment": "Paiement",
    "pay": "Payer {total}",
    "finish": "Terminer la commande",
    "email": "E-mail",
    "email_given": "Donnée par la boutique\u202f: c’est cette adresse qui compte.",
    "method": "Moyen de paiement",
    "card": "Carte",
    "sepa": "Prélèvement SEPA",
    "number": "Numéro de carte",
    "expiry": "Expiration",
    "expiry_hint": "MM / AA",
    "cvc": "Cryptogramme",
    "cvc_hint": "3 chiffres",
    "holder": "Nom sur la carte",
    "account_holder": "Titulaire du compte",
    "sepa_help": "La réponse de la banque arrive plus tard\u202f: la commande reste en cours "
    "jusque-là.",
    "waiting": "Paiement en cours, la boutique est prévenue…",
    "not_stripe": "Page de remplacement pour les essais. Elle n’appartient pas à Stripe et "
    "n’accepte que les numéros d’essai.",
    "one_click": "Payer en un clic",
    "one_click_help": "Un clic remplit le formulaire et l’envoie.",
    "more": "{count} autres cas",
    "not_charged": "Rien n’a été débité. Corrigez, ou choisissez un autre moyen de paiement.",
    "not_sent": "Rien n’a été envoyé ni débité.",
    "bank": "Banque d’essai · 3-D Secure",
    "bank_title": "Confirmer ce paiement",
    "bank_text": "Votre banque demande si ce paiement vient bien de vous.",
    "bank_shop": "Commerçant",
    "bank_amount": "Montant",
    "bank_card": "Carte",
    "bank_approve": "Oui, approuver",
    "bank_fail": "Non, refuser",
    "complete": "Cette commande est payée",
    "complete_text": "Il n’y a plus rien à faire ici. Rien n’est débité deux fois.",
    "processing": "Le paiement est en cours",
    "processing_text": "La banque répond plus tard. Il n’y a plus rien à faire ici.",
    "failed": "Le prélèvement a été rejeté",
    "failed_text": "La banque a refusé\u202f: rien n’a été débité. Retournez à la boutique pour "
    "payer autrement.",
    "expired": "Cette page de paiement a expiré",
    "expired_text": "Rien n’a été débité. Retournez à la boutique pour recommencer.",
    "unknown": "Cette page de paiement n’existe pas",
    "unknown_text": "Vérifiez le lien, ou retournez à la boutique. Rien n’a été débité.",
    "errors": {
        "email": "Écrivez une adresse e-mail complète, comme nom@exemple.fr.",
        "invalid_number": "Le numéro de carte est incomplet.",
        "incorrect_number": "Ce numéro de carte n’est pas valide. Vérifiez les chiffres.",
        "incomplete_expiry": "Écrivez le mois et l’année, comme 12 / 30.",
        "past_expiry": "Cette carte a expiré. Vérifiez la date.",
        "incomplete_cvc": "Le cryptogramme a 3 chiffres (American Express\u202f: 4).",
        "name": "Écrivez le nom du titulaire.",
        "invalid_iban": "Cet IBAN n’est pas valide. Vérifiez les caractères.",
        "testmode_charges_only": "Seuls les IBAN d’essai de cette page sont acceptés.",
        "generic_decline": "Votre carte a été refusée par la banque.",
        "insufficient_funds": "Votre carte a été refusée\u202f: fonds insuffisants.",
        "lost_card": "Votre carte a été refusée\u202f: elle est déclarée perdue.",
        "stolen_card": "Votre carte a été refusée\u202f: elle est déclarée volée.",
        "fraudulent": "Votre carte a été refusée\u202f: la banque soupçonne une fraude.",
        "card_velocity_exceeded": "Votre carte a été refusée\u202f: trop d’essais, ou plafond "
        "atteint.",
        "expired_card": "Votre carte a expiré.",
        "incorrect_cvc": "Le cryptogramme de votre carte est faux.",
        "processing_error": "Une erreur est survenue pendant le traitement de votre carte. "
        "Réessayez dans un instant.",
        "test_mode_live_card": "Ce n’est pas une carte d’essai. N’écrivez jamais ici le numéro "
        "d’une vraie carte.",
        "payment_intent_authentication_failure": "La banque n’a pas pu vous identifier.",
    },
    "tests": {
        "4242424242424242": "Payée tout de suite",
        "4000002500003155": "Demande 3-D Secure, puis payée",
        "4000000000000002": "Refusée par la banque, on peut réessayer",
        "4000000000009995": "Refusée, fonds insuffisants",
        "DE89370400440532013000": "SEPA, en cours, puis payée",
        "DE62370400440532013001": "SEPA, en cours, puis rejetée",
        "4000002760003184": "Demande 3-D Secure à chaque fois, puis payée",
        "4000000000003220": "3-D Secure 2 obligatoire, puis payée",
        "4000008400001629": "3-D Secure, puis refusée",
        "4000000000009987": "Refusée, carte perdue",
        "4000000000009979": "Refusée, carte volée",
        "4000000000000069": "Refusée, carte expirée",
        "4000000000000127": "Refusée, cryptogramme faux",
        "4000000000000119": "Erreur de traitement",
        "4242424242424241": "Numéro faux, arrêté avant l’envoi",
        "4000000000007726": "Payée\u202f; son remboursement sera d’abord en attente",
        "4000000000005126": "Payée\u202f; son remboursement échouera plus tard",
        "4000000000000259": "Payée, puis contestée",
    },
}
EN: Final[dict[str, Any]] = {
    "lang": "en",
    "sandbox": "Sandbox",
    "nothing_charged": "a test, nothing is charged",
    "your_purchase": "Your purchase",
    "back": "Go back without paying",
    "back_to": "Back to",
    "pay_to": "Pay",
    "subtotal": "Subtotal",
    "total": "Total due",
    "quantity": "Qty {quantity}, {each} each",
    "included": "{name} {percentage}, included",
    "added": "{name} {percentage}",
    "payment": "Payment",
    "pay": "Pay {total}",
    "finish": "Complete order",
    "email": "Email",
    "email_given": "Given by the shop: that address is the one that counts.",
    "method": "Payment method",
    "card": "Card",
    "sepa": "SEPA debit",
    "number": "Card number",
    "expiry": "Expiry",
    "expiry_hint": "MM / YY",
    "cvc": "Security code",
    "cvc_hint": "3 digits",
    "holder": "Name on card",
    "account_holder": "Account holder",
    "sepa_help": "The bank answers later: until then the order stays in progress.",
    "waiting": "Paying; the shop is being told…",
    "not_stripe": "A stand-in page for tests. It is not Stripe’s, and takes test numbers only.",
    "one_click": "Pay in one click",
    "one_click_help": "One click fills in the form and sends it.",
    "more": "{count} more cases",
    "not_charged": "Nothing was charged. Correct it, or choose another way to pay.",
    "not_sent": "Nothing was sent or charged.",
    "bank": "Test bank · 3-D Secure",
    "bank_title": "Confirm this payment",
    "bank_text": "Your bank asks whether this payment is really yours.",
    "bank_shop": "Merchant",
    "bank_amount": "Amount",
    "bank_card": "Card",
    "bank_approve": "Yes, approve",
    "bank_fail": "No, refuse",
    "complete": "This order is paid",
    "complete_text": "There is nothing left to do here. Nothing is charged twice.",
    "processing": "The payment is in progress",
    "processing_text": "The bank answers later. There is nothing left to do here.",
    "failed": "The debit was returned",
    "failed_text": "The bank refused: nothing was charged. Go back to the shop to pay another way.",
    "expired": "This payment page has expired",
    "expired_text": "Nothing was charged. Go back to the shop to start again.",
    "unknown": "There is no such payment page",
    "unknown_text": "Check the link, or go back to the shop. Nothing was charged.",
    "errors": {
        "email": "Write a complete email address, such as name@example.com.",
        "invalid_number": "The card number is incomplete.",
        "incorrect_number": "This card number is not valid. Check the digits.",
        "incomplete_expiry": "Write month and year, such as 12 / 30.",
        "past_expiry": "This card has expired. Check the date.",
        "incomplete_cvc": "The security code has 3 digits (4 for American Express).",
        "name": "Write the holder’s name.",
        "invalid_iban": "This IBAN is not valid. Check the characters.",
        "testmode_charges_only": "Only this page’s test IBANs are taken.",
        "generic_decline": "Your card was declined by the bank.",
        "insufficient_funds": "Your card was declined: insufficient funds.",
        "lost_card": "Your card was declined: it is reported lost.",
        "stolen_card": "Your card was declined: it is reported stolen.",
        "fraudulent": "Your card was declined: the bank suspects fraud.",
        "card_velocity_exceeded": "Your card was declined: too many attempts, or over its limit.",
        "expired_card": "Your card has expired.",
        "incorrect_cvc": "Your card’s security code is incorrect.",
        "processing_error": "An error occurred while processing your card. Try again in a moment.",
        "test_mode_live_card": "This is no test card. Never type the number of a real card here.",
        "payment_intent_authentication_failure": "The bank could not identify you.",
    },
    "tests": {
        "4242424242424242": "Paid at once",
        "4000002500003155": "Asks for 3-D Secure, then paid",
        "4000000000000002": "Declined by the bank, may be retried",
        "4000000000009995": "Declined, insufficient funds",
        "DE89370400440532013000": "SEPA, in progress, then paid",
        "DE62370400440532013001": "SEPA, in progress, then returned",
        "4000002760003184": "Asks for 3-D Secure every time, then paid",
        "4000000000003220": "3-D Secure 2 required, then paid",
        "4000008400001629": "3-D Secure, then declined",
        "4000000000009987": "Declined, lost card",
        "4000000000009979": "Declined, stolen card",
        "4000000000000069": "Declined, expired card",
        "4000000000000127": "Declined, wrong security code",
        "4000000000000119": "Processing error",
        "4242424242424241": "Wrong number, stopped before sending",
        "4000000000007726": "Paid; its refund will be pending first",
        "4000000000005126": "Paid; its refund will fail later",
        "4000000000000259": "Paid, then disputed",
    },
}
FIRST_TESTS = 6
_COUNTS = {"fr": "Zéro Un Deux Trois Quatre Cinq Six Sept Huit Neuf Dix Onze Douze Treize".split(),
           "en": "Zero One Two Three Four Five Six Seven Eight Nine Ten Eleven Twelve "
                 "Thirteen".split()}  # fmt: skip


def count_word(count: int, lang: str) -> str:
    """A small number in words, to begin a sentence with."""
    words = _COUNTS[lang]
    return words[count] if count < len(words) else str(count)


def choose_language(wanted: str | None, accepted: str, fallback: str) -> dict[str, Any]:
    """The page's words: what the session asks for, else the browser, else the shop's."""
    if wanted and wanted != "auto":
        return FR if wanted.startswith("fr") else EN
    ranked = []
    for place, part in enumerate(accepted.split(",")):
        tag, _, weight = part.strip().partition(";q=")
        try:
            ranked.append((-float(weight or 1), place, tag.lower()[:2]))
        except ValueError:
            continue
    for _, _, tag in sorted(ranked):
        if tag in {"fr", "en"}:
            return FR if tag == "fr" else EN
    return FR if fallback.startswith("fr") else EN


def figure(amount: int, currency: str, exponent: int, lang: str) -> str:
    """An amount as the page writes it: `1 234,50 €` or `€1,234.50`."""
    whole, part = divmod(amount, 10**exponent)
    if lang == "fr":
        number = f"{whole:,}".replace(",", "\u202f") + (f",{part:0{exponent}}" if exponent else "")
        return f"{number}\u202f{_SIGNS.get(currency, currency.upper())}"
    number = f"{whole:,}" + (f".{part:0{exponent}}" if exponent else "")
    if currency in _SIGNS:
        return f"{_SIGNS[currency]}{number}"
    return f"{number}\u00a0{currency.upper()}"


_SIGNS = {"eur": "€", "usd": "$", "gbp": "£", "jpy": "¥"}


def percentage(value: float, lang: str) -> str:
    text = f"{value:g}"
    return text.replace(".", ",") + "\u202f%" if lang == "fr" else text + "%"
