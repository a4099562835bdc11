"""What the storefront says, French and English side by side (see stationery/wording.py)."""

from typing import Final

from commande.stationery import Texts

_SHOP: Final[Texts] = {
    "nav": ("Boutique", "Shop"),
    "nav.cart": ("Panier", "Basket"),
    "nav.back": ("Retour à la boutique", "Back to the shop"),
    "shelf.lead": (
        "Choisissez, réservez une heure, payez en ligne.",
        "Choose, book an hour, pay online.",
    ),
    "shelf.types": ("{title}, au choix", "{title}, which one"),
    "shelf.each": ("La pièce", "Each"),
    "shelf.left": ("plus que {count}", "only {count} left"),
    "shelf.add": ("Ajouter", "Add"),
    "shelf.add.sr": (" au panier : {title}", " to the basket: {title}"),
    "shelf.sold_out": ("Épuisé", "Sold out"),
    "shelf.empty.title": ("Rien en vente pour l'instant", "Nothing on sale yet"),
    "shelf.empty": (
        "Les produits apparaissent ici dès que le catalogue est rempli. Revenez bientôt.",
        "Products appear here as soon as the catalogue is filled. Please come back soon.",
    ),
    "cart.title": ("Votre panier", "Your basket"),
    "cart.bar.one": ("Panier, {count} article", "Basket, {count} item"),
    "cart.bar.other": ("Panier, {count} articles", "Basket, {count} items"),
    "cart.change": ("Modifier", "Change"),
    "cart.change.sr": (" le panier", " the basket"),
    "cart.quantity": ("Quantité, {title}", "Quantity, {title}"),
    "cart.update": ("Mettre à jour", "Update"),
    "cart.remove": ("Retirer", "Remove"),
    "cart.remove.sr": (" {title} du panier", " {title} from the basket"),
    "cart.gone": ("n'est plus en vente", "is no longer on sale"),
    "cart.gone.note": (
        "Un article n'est plus en vente. Retirez-le pour continuer ; rien n'a été débité.",
        "An item is no longer on sale. Remove it to go on; nothing was charged.",
    ),
    "cart.range.note": (
        "Stripe n'accepte pas ce total. Changez les quantités pour continuer ; rien n'a été "
        "débité.",
        "Stripe does not take this total. Change the quantities to go on; nothing was charged.",
    ),
    "cart.full.note": (
        "Le panier est plein. Passez cette commande, puis ouvrez-en une autre.",
        "The basket is full. Place this order, then begin another one.",
    ),
    "cart.next": ("Choisir un rendez-vous", "Choose an appointment"),
    "cart.more": ("Continuer mes achats", "Continue shopping"),
    "cart.empty": ("Votre panier est vide", "Your basket is empty"),
    "cart.empty.lead": (
        "Ce que vous choisissez dans la boutique apparaîtra ici, avec son prix.",
        "What you choose in the shop will appear here, with its price.",
    ),
    "cart.empty.go": ("Voir la boutique", "See the shop"),
    "drawing.bouquet.svg": (
        "Bouquet d'anémones, de chrysanthèmes et de renoncules dans un papier kraft",
        "Anemones, chrysanthemums and ranunculi wrapped in brown paper",
    ),
    "drawing.eucalyptus.svg": (
        "Branches d'eucalyptus dans un vase de terre cuite",
        "Eucalyptus branches in a terracotta vase",
    ),
    "drawing.couronne.svg": (
        "Couronne de feuillage à baies rouges, nouée d'un ruban doré",
        "Wreath of leaves and red berries, tied with a golden ribbon",
    ),
    "drawing.pain.svg": (
        "Pain de campagne rond, scarifié d'un épi, sur une planche",
        "Round country loaf scored with an ear of wheat, on a board",
    ),
    "drawing.brioche.svg": (
        "Brioche à tête, dorée, sur une assiette", "Golden brioche on a plate",
    ),
    "drawing.lunettes.svg": (
        "Lunettes en acétate écaille, posées sur leur étui vert",
        "Tortoiseshell glasses on their green case",
    ),
}  # fmt: skip

_FORM: Final[Texts] = {
    "form.title": ("Votre commande", "Your order"),
    "form.faulty": ("Erreur : ", "Error: "),
    "form.errors.one": ("Un champ est à corriger", "One field needs attention"),
    "form.errors.other": ("{count} champs sont à corriger", "{count} fields need attention"),
    "form.kept": (
        "Rien n'a été envoyé ni débité. Le reste de votre saisie est gardé.",
        "Nothing was sent or charged. Everything else you typed is kept.",
    ),
    "form.who": ("Vos coordonnées", "Your details"),
    "form.firstName": ("Prénom", "First name"),
    "form.lastName": ("Nom", "Last name"),
    "form.email": ("E-mail", "E-mail"),
    "form.email.help": ("Pour la confirmation et le reçu.", "For the confirmation and receipt."),
    "form.phone": ("Téléphone", "Phone"),
    "form.address": ("Adresse", "Address"),
    "form.postalCode": ("Code postal", "Postcode"),
    "form.city": ("Ville", "City"),
    "form.fax": ("Fax (facultatif)", "Fax (optional)"),
    "form.fax.add": ("Ajouter un numéro de fax", "Add a fax number"),
    "form.appointment": ("Rendez-vous", "Appointment"),
    "form.when": ("Votre rendez-vous", "Your appointment"),
    "form.where": ("Au comptoir, {address}.", "At the counter, {address}."),
    "form.zone": ("Heures de {place}.", "Times are those of {place}."),
    "form.days": ("Jour", "Day"),
    "form.hours": ("Heure, {day}", "Hour, {day}"),
    "form.hours.closed": ("Fermé, {day}", "Closed, {day}"),
    "form.hours.none": (
        "Choisissez un autre jour : celui-ci n'a plus d'heure libre.",
        "Choose another day: no hour is left on this one.",
    ),
    "form.day.closed": ("fermé", "closed"),
    "form.slot.past": ("passé", "past"),
    "form.recap": ("Récapitulatif", "Summary"),
    "form.recap.change": ("changer", "change"),
    "form.pay": ("Commander et payer {total}", "Order and pay {total}"),
    "form.stripe": (
        "Le paiement se fait sur la page de Stripe ; votre carte ne passe pas par nous.",
        "You pay on Stripe's page; your card never passes through us.",
    ),
    "form.terms": ("En commandant, vous acceptez les", "By ordering you accept the"),
    "form.terms.link": ("conditions de vente", "terms of sale"),
    "form.price.title": ("Le prix vient de changer", "The price has just changed"),
    "form.price": (
        "De {old} à {new}. Rien n'a été débité ; commandez au nouveau prix, ou modifiez le "
        "panier.",
        "From {old} to {new}. Nothing was charged; order at the new price, or change the basket.",
    ),
    "form.stripe_down.title": (
        "Stripe ne répond pas pour l'instant", "Stripe does not answer right now",
    ),
    "form.stripe_down": (
        "Rien n'a été débité et votre saisie est gardée. Réessayez dans un instant.",
        "Nothing was charged and what you typed is kept. Please try again in a moment.",
    ),
    "form.stripe_down.ref": (
        "Votre commande {ref} est enregistrée ; vous pouvez aussi",
        "Your order {ref} is saved; you can also",
    ),
    "form.stripe_down.later": ("la payer plus tard", "pay for it later"),
    "form.closed.title": ("Le paiement n'a pas pu s'ouvrir", "The payment could not be opened"),
    "form.closed": (
        "Rien n'a été débité et votre saisie est gardée. Réessayez plus tard, ou appelez-nous.",
        "Nothing was charged and what you typed is kept. Try again later, or call us.",
    ),
    "leave.title": ("Continuer vers le paiement", "Continue to the payment"),
    "leave.lead": (
        "Votre commande est enregistrée. Le paiement se fait sur {host}.",
        "Your order is saved. You pay on {host}.",
    ),
    "leave.go": ("Continuer vers le paiement", "Continue to the payment"),
    # Why a field is refused, by the API's code; a field of its own first.
    "error.required": ("à remplir", "please fill this in"),
    "error.too_short": ("trop court", "too short"),
    "error.too_long": ("trop long", "too long"),
    "error.email.invalid": (
        "cette adresse n'est pas complète, par exemple nom@exemple.fr",
        "this address is not complete, for example name@example.com",
    ),
    "error.email.refused": (
        "le service de paiement refuse cette adresse", "the payment provider refuses this address",
    ),
    "error.phone.invalid": (
        "ce numéro n'existe pas ; écrivez-le en entier, avec l'indicatif s'il est étranger",
        "there is no such number; write all of it, with the country code if it is foreign",
    ),
    "error.fax.invalid": (
        "ce numéro n'existe pas ; laissez vide si vous n'en avez pas",
        "there is no such number; leave it empty if you have none",
    ),
    "error.card": (
        "cela ressemble à un numéro de carte ; ne l'écrivez que sur la page de Stripe",
        "this looks like a card number; type it on Stripe's page only",
    ),
    "error.appointment.choose": ("choisissez une heure libre", "choose a free hour"),
    "error.appointment.in_the_past": (
        "cette heure est passée ; choisissez-en une autre", "this hour is past; choose another",
    ),
    "error.other": ("à corriger", "please correct this"),
}  # fmt: skip

_RETURN: Final[Texts] = {
    "done.waiting": ("Stripe confirme le paiement…", "Stripe is confirming the payment…"),
    "done.waiting.close": (
        "Vous pouvez fermer cette page : la confirmation arrivera aussi par e-mail.",
        "You may close this page: the confirmation will also arrive by e-mail.",
    ),
    "done.waiting.ask": ("Voir ma commande", "See my order"),
    "done.paid": ("Merci {name}, c'est payé", "Thank you {name}, it's paid"),
    "done.paid.nameless": ("Merci, c'est payé", "Thank you, it's paid"),
    "done.refunded": ("Votre commande est remboursée", "Your order is refunded"),
    "done.partially_refunded": (
        "Votre commande est remboursée en partie", "Your order is partly refunded",
    ),
    "done.mail.sent": ("La confirmation est partie à {email}.", "The confirmation went to {email}."),
    "done.mail.soon": ("La confirmation part à {email}.", "The confirmation is on its way to {email}."),
    "done.late": (
        "Votre paiement est arrivé après la fermeture de la commande. Il est bien chez nous ; "
        "contactez la boutique, la référence suffit.",
        "Your payment arrived after the order had been closed. We have it; contact the shop, the "
        "reference is enough.",
    ),
    "done.money_back": (
        "La somme revient par le moyen de paiement que vous avez utilisé.",
        "The money returns the way you paid.",
    ),
    "done.appointment": ("Votre rendez-vous", "Your appointment"),
    "done.frozen": (
        "Ces prix sont ceux que vous avez payés le {moment}. Ils ne changeront plus.",
        "These are the prices that you paid on {moment}. They will not change any more.",
    ),
    "done.refund": ("Remboursé", "Refunded"),
    "done.story": ("Ce qui s'est passé", "What happened"),
    "done.processing": ("Votre paiement est en cours", "Your payment is under way"),
    "done.processing.lead": (
        "Stripe a accepté votre paiement de {total}. Votre banque le confirme sous deux à cinq "
        "jours ouvrés. Vous n'avez rien à refaire.",
        "Stripe accepted your payment of {total}. Your bank confirms it within two to five "
        "working days. There is nothing you need to do again.",
    ),
    "done.order": ("Commande", "Order"),
    "done.next": ("Ensuite", "Next"),
    "done.next.mail": (
        "un e-mail dès que la banque a répondu, dans un sens ou dans l'autre",
        "an e-mail as soon as the bank has answered, one way or the other",
    ),
    "done.unpaid": ("Le paiement n'est pas fait", "The payment is not done"),
    "done.unpaid.lead": (
        "Stripe n'a pas reçu d'argent pour cette commande. Rien n'a été débité.",
        "Stripe has received no money for this order. Nothing was charged.",
    ),
    "done.unpaid.go": ("Reprendre le paiement de {total}", "Resume the payment of {total}"),
    "done.stripe_down": ("Stripe ne répond pas pour l'instant", "Stripe does not answer right now"),
    "done.stripe_down.lead": (
        "Si vous avez payé, rien n'est perdu : la commande sera confirmée toute seule, et par "
        "e-mail.",
        "If you paid, nothing is lost: the order will be confirmed by itself, and by e-mail.",
    ),
    "done.stripe_down.again": ("Demander à nouveau", "Ask again"),
    "done.mismatch": ("Ce paiement est vérifié par la boutique", "The shop is checking this payment"),
    "done.mismatch.lead": (
        "Il ne correspond pas exactement à cette commande. L'argent n'est pas perdu ; contactez "
        "la boutique, la référence suffit.",
        "It does not exactly match this order. The money is not lost; contact the shop, the "
        "reference is enough.",
    ),
    "unknown.title": ("Ce lien n'ouvre aucune commande", "This link opens no order"),
    "unknown.lead": (
        "Il est incomplet ou n'est plus valable. Ouvrez celui de votre e-mail de confirmation, "
        "ou contactez la boutique.",
        "It is incomplete or no longer valid. Open the one in your confirmation e-mail, or "
        "contact the shop.",
    ),
    "unpaid.title": ("Le paiement n'a pas été fait", "The payment was not made"),
    "unpaid.lead": (
        "Rien n'a été débité. Votre commande est gardée jusqu'au {moment}.",
        "Nothing was charged. Your order is kept until {moment}.",
    ),
    "unpaid.resume": ("Reprendre le paiement de {total}", "Resume the payment of {total}"),
    "unpaid.change": ("Modifier la commande", "Change the order"),
    "unpaid.card": ("Si la carte a été refusée", "If the card was declined"),
    "unpaid.card.help": (
        "Votre banque ne nous dit pas toujours pourquoi. Une autre carte ou un prélèvement SEPA "
        "passe souvent.",
        "Your bank does not always tell us why. Another card or a SEPA debit often works.",
    ),
    "unpaid.card.call": (
        "Sinon, appelez-nous au {phone}, la référence de la commande suffit.",
        "Otherwise call us on {phone}; the reference of the order is enough.",
    ),
    "unpaid.cancel": ("Annuler la commande", "Cancel the order"),
    "unpaid.cancel.help": (
        "La page de paiement sera fermée chez Stripe et vos données effacées.",
        "The payment page will be closed at Stripe and your data erased.",
    ),
    "unpaid.cancel.go": ("Annuler pour de bon", "Cancel for good"),
    "price.title": (
        "Le prix a changé depuis votre commande", "The price changed since your order",
    ),
    "price.lead": ("Rien n'a été débité ; vous choisissez.", "Nothing was charged; you choose."),
    "price.old": ("Ancien total", "Old total"),
    "price.new": ("Nouveau total", "New total"),
    "price.accept": ("Accepter et payer {total}", "Accept and pay {total}"),
    "gone.title": ("Un article n'est plus en vente", "An item is no longer on sale"),
    "gone.lead": (
        "Rien n'a été débité. Cette commande ne peut plus être payée telle quelle ; commandez à "
        "nouveau.",
        "Nothing was charged. This order can no longer be paid as it is; please order again.",
    ),
    "expired.title": ("Cette commande est fermée", "This order is closed"),
    "expired.lead": (
        "Rien n'a été débité et vos données sont effacées. Vous pouvez commander à nouveau.",
        "Nothing was charged and your data is erased. You can order again.",
    ),
    "paid.title": ("Cette commande est déjà payée", "This order is already paid"),
    "paid.lead": ("Il n'y a rien à payer de plus.", "There is nothing more to pay."),
    "paid.go": ("Voir ma commande", "See my order"),
    "held.stripe_down": (
        "Stripe ne répond pas pour l'instant. Rien n'a été débité ; réessayez dans un instant.",
        "Stripe does not answer right now. Nothing was charged; try again in a moment.",
    ),
}  # fmt: skip

TEXTS: Final[Texts] = {**_SHOP, **_FORM, **_RETURN}
