"""What the letters say, by language. Braces are filled in; French is typeset when it is read."""

from typing import Final

from commande.format import typeset

_FRENCH: Final = {
    "paid.subject": "Votre commande {ref} est payée",
    "paid.preview": "Payé : {total}. Rendez-vous {moment}.",
    "paid.title": "Merci {name}, c'est payé",
    "paid.title_nameless": "Merci, c'est payé",
    "paid.expected": "Nous vous attendons :",
    "paid.button": "Suivre ma commande",
    "paid.order": "Commande {ref}",
    "paid.each": "{type}, {price} pièce",
    "paid.total": "Payé",
    "tax.within": "dont TVA {percent}",
    "tax.on_top": "TVA {percent}",
    "payment_failed.subject": "Le paiement de votre commande {ref} n'a pas abouti",
    "payment_failed.preview": "Rien n'a été prélevé. Vous pouvez payer à nouveau.",
    "payment_failed.title": "Votre paiement n'a pas abouti",
    "payment_failed.fact": (
        "Votre banque n'a pas exécuté le paiement de la commande {ref}. Rien n'a été prélevé."
    ),
    "payment_failed.next": (
        "La commande n'est pas encore confirmée. Vous pouvez payer à nouveau, par le même moyen "
        "ou par un autre."
    ),
    "payment_failed.button": "Payer ma commande",
    "payment_failed.order": "Commande {ref}, pour le {moment}.",
    "question": "Une question ? Répondez à ce message.",
    "why": "Vous recevez ce message parce que vous avez commandé le {date}.",
}

_ENGLISH: Final = {
    "paid.subject": "Your order {ref} is paid",
    "paid.preview": "Paid: {total}. We expect you on {moment}.",
    "paid.title": "Thank you {name}, it’s paid",
    "paid.title_nameless": "Thank you, it’s paid",
    "paid.expected": "We expect you on",
    "paid.button": "Follow my order",
    "paid.order": "Order {ref}",
    "paid.each": "{type}, {price} each",
    "paid.total": "Paid",
    "tax.within": "includes VAT {percent}",
    "tax.on_top": "VAT {percent}",
    "payment_failed.subject": "The payment for your order {ref} did not go through",
    "payment_failed.preview": "No money was taken. You can pay again.",
    "payment_failed.title": "Your payment did not go through",
    "payment_failed.fact": (
        "Your bank did not carry out the payment for order {ref}. No money was taken."
    ),
    "payment_failed.next": (
        "The order is not confirmed yet. You can pay again, the same way or another."
    ),
    "payment_failed.button": "Pay for my order",
    "payment_failed.order": "Order {ref}, for {moment}.",
    "question": "A question? Reply to this message.",
    "why": "You receive this message because you placed an order on {date}.",
}

WORDING: Final = {
    "fr": {key: typeset(text, "fr") for key, text in _FRENCH.items()},
    "en": _ENGLISH,
}
