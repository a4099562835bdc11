"""What every page is written on, the storefront's and the merchant's alike.

The frame, the style, the two languages, and how facts, receipts and statuses are put into words.
"""

from commande.errors import FormRefused
from commande.stationery.drawer import answer_static
from commande.stationery.press import Press, Voice
from commande.stationery.receipt import Receipt, write_receipt
from commande.stationery.timeline import Line, tell, tell_by_day
from commande.stationery.visit import Form, Visit
from commande.stationery.wording import Texts, read_wording

__all__ = [
    "Form", "FormRefused", "Line", "Press", "Receipt", "Texts", "Visit", "Voice", "answer_static",
    "read_wording", "tell", "tell_by_day", "write_receipt",
]  # fmt: skip
