"""Who may see a command: whoever holds its token, from a link or from the cookie it left.

A token in an address is read once: the page takes it into a cookie of its own and replaces the
address, so that neither history nor a neighbour on the same screen keeps it.
"""

from typing import Final

from commande.db.views import Dossier, read_dossier
from commande.ids import is_object_id
from commande.shop import Shop
from commande.stationery import Form, Visit

_DAY: Final = 24 * 3600


def given(visit: Visit, form: Form | None, name: str) -> str:
    """A parameter of the form, else of the address."""
    return (form.get(name) if form else "") or visit.request.query_params.get(name, "")


def token_of(visit: Visit, form: Form | None, command_id: str) -> str:
    """The command's token as it was brought, by link, form or cookie."""
    return given(visit, form, "token") or visit.cookie(f"c_{command_id}")


async def admit(shop: Shop, visit: Visit, form: Form | None = None) -> Dossier | None:
    """The command that the visitor may see; None without the right token, whatever the id.

    Reads nothing before the token is checked, so that no answer tells which ids exist.
    """
    command_id = given(visit, form, "command_id")
    if not is_object_id(command_id):
        return None
    token = token_of(visit, form, command_id)
    if not shop.seal.opens(token, command_id):
        return None
    visit.keep(f"c_{command_id}", token, _DAY, "/commande")
    return await shop.db.read(read_dossier, command_id)


def came_too_late(dossier: Dossier) -> bool:
    """Whether money arrived for a closed command and was not kept: then nobody says "nothing"."""
    return any(payment.outcome == "late" for payment in dossier.payments)
