"""What all pages say, French and English side by side, so that neither can be forgotten.

Braces are filled in; French is typeset (narrow spaces, ’) when it is read.
"""

from collections.abc import Mapping
from typing import Final

Texts = Mapping[str, tuple[str, str]]

FRAME: Final[Texts] = {
    "skip": ("Aller au contenu", "Skip to content"),
    "tongue.fr": ("En français", "En français"),
    "tongue.en": ("In English", "In English"),
    "home": ("Boutique", "Shop"),
    "failure.busy.title": ("Un instant, s'il vous plaît", "One moment, please"),
    "failure.busy": (
        "La boutique ne peut pas répondre tout de suite. Rien n'a été débité ; rechargez la page "
        "dans quelques secondes.",
        "The shop cannot answer right now. Nothing was charged; reload the page in a few seconds.",
    ),
    "failure.closed.title": ("La boutique est fermée", "The shop is closed"),
    "failure.closed": (
        "Elle ne peut pas prendre de commande pour l'instant. Rien n'a été débité.",
        "It cannot take orders at the moment. Nothing was charged.",
    ),
    "failure.refused.title": ("Ce formulaire n'est pas accepté", "This form is not accepted"),
    "failure.refused": (
        "Il ne vient pas d'une page de la boutique. Rien n'a été changé ; ouvrez la page et "
        "recommencez.",
        "It was not sent by a page of this shop. Nothing was changed; open the page and try "
        "again.",
    ),
    "failure.home": ("Retour à la boutique", "Back to the shop"),
}

STATUSES: Final[Texts] = {
    "status.unpaid": ("Impayée", "Unpaid"),
    "status.processing": ("En cours", "Processing"),
    "status.paid": ("Payée", "Paid"),
    "status.partially_refunded": ("Remboursée en partie", "Partly refunded"),
    "status.refunded": ("Remboursée", "Refunded"),
    "status.expiring": ("En fermeture", "Closing"),
    "status.expired": ("Expirée", "Expired"),
}

RECEIPT: Final[Texts] = {
    "receipt.each": ("{type}, {price} pièce", "{type}, {price} each"),
    "receipt.within": ("dont TVA {percent}", "includes VAT {percent}"),
    "receipt.on_top": ("TVA {percent}", "VAT {percent}"),
    "receipt.total": ("Total", "Total"),
    "receipt.total_taxed": ("Total TTC", "Total incl. VAT"),
    "receipt.net": ("HT", "Excl. VAT"),
    "receipt.paid": ("Payé", "Paid"),
    "receipt.due": ("À payer", "To pay"),
}

SOURCES: Final[Texts] = {
    "source.browser": ("navigateur", "browser"),
    "source.shop": ("boutique", "shop"),
    "source.stripe": ("Stripe", "Stripe"),
    "source.webhook": ("webhook", "webhook"),
    "source.reconcile": ("réconciliation", "reconciliation"),
    "source.worker": ("worker", "worker"),
    "source.person": ("une personne", "a person"),
    "source.catalogue": ("catalogue", "catalogue"),
}

FACTS: Final[Texts] = {
    "fact.opened": ("Ouverte", "Opened"),
    "fact.opened.customer": ("Commande ouverte", "Order opened"),
    "fact.opened.more": ("{total}, impayée", "{total}, unpaid"),
    "fact.session_requested": ("Session demandée à Stripe", "Session requested from Stripe"),
    "fact.session_requested.more": (
        "{total}, prix figés, essai {number}", "{total}, prices frozen, attempt {number}",
    ),
    "fact.session_opened": ("Session ouverte", "Session opened"),
    "fact.session_opened.customer": (
        "Paiement ouvert chez Stripe", "Payment page opened at Stripe",
    ),
    "fact.session_delayed": ("Stripe n'a pas répondu", "Stripe did not answer"),
    "fact.session_delayed.customer": (
        "Stripe tarde à ouvrir le paiement", "Stripe is slow to open the payment page",
    ),
    "fact.session_delayed.more": (
        "L'ouverture est reprise toute seule ({reason}).", "The opening resumes by itself ({reason}).",
    ),
    "fact.session_abandoned": ("Session abandonnée", "Session abandoned"),
    "fact.session_abandoned.more": (
        "Personne n'a pu la payer. Raison : {reason}.", "Nobody could pay it. Reason: {reason}.",
    ),
    "fact.session_adopted": ("Session retrouvée chez Stripe", "Session found again at Stripe"),
    "fact.session_adopted.more": (
        "Stripe l'avait faite, nous ne l'avions pas encore notée.",
        "Stripe had made it and we had not noted it yet.",
    ),
    "fact.session_expired": ("Session expirée, impayée", "Session expired, unpaid"),
    "fact.session_expired.customer": (
        "Page de paiement fermée, rien n'a été débité", "Payment page closed, nothing was charged",
    ),
    "fact.session_forgotten": (
        "Session inconnue de Stripe, close", "Session unknown to Stripe, closed",
    ),
    "fact.paid": ("Payée", "Paid"),
    "fact.paid.customer": ("Payée, {total}", "Paid, {total}"),
    "fact.paid.more": (
        "Stripe annonce {total}, {total} étaient attendus. Instantané écrit. {method}",
        "Stripe reports {total}, {total} were expected. Snapshot written. {method}",
    ),
    "fact.confirmed": ("Confirmée, déjà payée", "Confirmed, already paid"),
    "fact.confirmed.customer": ("Confirmée à votre retour", "Confirmed on your return"),
    "fact.confirmed.more": ("Rien à changer.", "Nothing to change."),
    "fact.payment_processing": ("Paiement différé en cours", "Delayed payment under way"),
    "fact.payment_processing.customer": ("Paiement en cours à la banque", "Payment under way at the bank"),
    "fact.payment_processing.more": (
        "Stripe l'a accepté, la banque répondra plus tard.",
        "Stripe accepted it, the bank will answer later.",
    ),
    "fact.payment_failed": ("Paiement refusé par la banque", "Payment declined by the bank"),
    "fact.payment_failed.more": (
        "Rien n'a été encaissé. Le client peut payer à nouveau.",
        "No money arrived. The customer can pay again.",
    ),
    "fact.refunded": ("Remboursée, {refunded}", "Refunded, {refunded}"),
    "fact.refunded.more": ("{refunded} sur {total} rendus.", "{refunded} of {total} given back."),
    "fact.event_repeated": ("Même événement reçu à nouveau", "Same event received again"),
    "fact.event_repeated.more": ("{type} : reconnu, sans effet.", "{type}: recognised, no effect."),
    "fact.price_moved": ("À savoir : prix du catalogue changé", "Note: catalogue price changed"),
    "fact.price_moved.more": (
        "{title}, {type} : {current} au catalogue. L'instantané garde {charged}.",
        "{title}, {type}: {current} in the catalogue. The snapshot keeps {charged}.",
    ),
    "fact.price_moved.gone": (
        "{title}, {type} : n'est plus au catalogue. L'instantané garde {charged}.",
        "{title}, {type}: no longer in the catalogue. The snapshot keeps {charged}.",
    ),
    "fact.mail_sent": ("E-mail parti", "E-mail sent"),
    "fact.mail_sent.customer": ("E-mail parti : {letter}", "E-mail sent: {letter}"),
    "fact.mail_sent.more": ("{letter}", "{letter}"),
    "fact.mail_skipped": ("E-mail non envoyé", "E-mail not sent"),
    "fact.mail_skipped.more": (
        "{letter} : aucun serveur d'envoi n'est réglé, ou les données sont effacées.",
        "{letter}: no outgoing server is configured, or the data was erased.",
    ),
    "fact.mail_failed": ("E-mail abandonné après le dernier essai", "E-mail given up after the last try"),
    "fact.mail_failed.more": (
        "{letter} : joignez le client autrement.", "{letter}: reach the customer another way.",
    ),
    "fact.expired": ("Expirée, données personnelles effacées", "Expired, personal data erased"),
    "fact.expired.customer": ("Commande fermée", "Order closed"),
    "fact.attention_cleared": ("Vue par une personne", "Seen by a person"),
    "fact.attention_cleared.more": ("C'était : {reason}.", "It was: {reason}."),
    "letter.paid": ("confirmation", "confirmation"),
    "letter.payment_failed": ("paiement non abouti", "payment failed"),
}  # fmt: skip

# Why a person must look: the code, in a few words and in a sentence with what to do.
_ATTENTION: Final[dict[str, tuple[str, str, str, str]]] = {
    "paid_twice": (
        "payée deux fois",
        "paid twice",
        "Une deuxième session a été payée. La commande n'en compte qu'une : remboursez l'autre "
        "chez Stripe.",
        "A second session was paid. The order counts only one: refund the other at Stripe.",
    ),
    "payment_mismatch": (
        "le paiement n'a pas le montant figé",
        "the payment is not for the frozen amount",
        "L'argent est chez Stripe, mais le montant, la devise ou le mode diffère de ce qui était "
        "figé. Il n'est pas appliqué : comparez, puis remboursez ou traitez à la main.",
        "The money is at Stripe, but its amount, currency or mode differs from what was frozen. "
        "It is not applied: compare, then refund it or settle by hand.",
    ),
    "session_mismatch": (
        "la session chez Stripe n'est plus celle qui a été figée",
        "the session at Stripe is not the one that was frozen",
        "Aucun argent n'est arrivé. Regardez qui a changé la session chez Stripe.",
        "No money arrived. Find out who changed the session at Stripe.",
    ),
    "paid_after_expiry": (
        "payée après son expiration",
        "paid after it had expired",
        "L'argent est chez Stripe, et les données du client étaient déjà effacées. Retrouvez-le "
        "par le paiement chez Stripe, ou remboursez.",
        "The money is at Stripe, and the customer's data was already erased. Find them through "
        "the payment at Stripe, or refund it.",
    ),
    "processing_after_expiry": (
        "un paiement différé court après son expiration",
        "a delayed payment is under way after it had expired",
        "S'il aboutit, la commande sera payée sans les données du client. Attendez la réponse de "
        "la banque.",
        "If it succeeds the order will be paid without the customer's data. Wait for the bank's "
        "answer.",
    ),
    "second_payment_processing": (
        "un deuxième paiement est en cours",
        "a second payment is under way",
        "La commande est déjà réglée. S'il aboutit, il faudra le rembourser.",
        "The order is settled already. If it succeeds it will have to be refunded.",
    ),
    "disputed": (
        "le client conteste le paiement",
        "the customer disputes the payment",
        "Répondez à la contestation chez Stripe avant sa date limite.",
        "Answer the dispute at Stripe before its deadline.",
    ),
    "session_missing": (
        "Stripe ne connaît pas sa session",
        "Stripe does not know its session",
        "Clé d'un autre compte ? Tant que la session peut vivre ailleurs, la commande reste "
        "ouverte.",
        "A key of another account? As long as the session may live elsewhere the order stays "
        "open.",
    ),
    "event_failed": (
        "un événement de Stripe n'a pas pu être traité",
        "an event from Stripe could not be handled",
        "Tous les essais ont échoué. Cherchez la raison dans les événements ; la réconciliation "
        "relit la session de son côté.",
        "Every try failed. Look for the reason among the events; reconciliation re-reads the "
        "session on its own.",
    ),
}
ATTENTION: Final = frozenset(_ATTENTION)

_ATTENTION_TEXTS: Final[Texts] = {
    key: text
    for code, (french, english, do_french, do_english) in _ATTENTION.items()
    for key, text in {
        f"attention.{code}": (french, english),
        f"attention.{code}.do": (do_french, do_english),
        f"reason.{code}": (french, english),
        f"fact.{code}": (f"À voir : {french}", f"To look at: {english}"),
    }.items()
}

SHARED: Final[Texts] = {
    **FRAME, **STATUSES, **RECEIPT, **SOURCES, **FACTS, **_ATTENTION_TEXTS,
    "attention.other": ("une raison inconnue de cette version : {code}",
                        "a reason that this version does not know: {code}"),
}  # fmt: skip
