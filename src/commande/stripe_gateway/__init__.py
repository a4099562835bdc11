"""Stripe in the shop's words: the only place that imports ``stripe`` and sees its errors."""

from commande.stripe_gateway.events import HANDLED_EVENTS
from commande.stripe_gateway.gateway import open_gateway
from commande.stripe_gateway.patience import Limits
from commande.stripe_gateway.reports import report_charge, report_refund, report_session

__all__ = [
    "HANDLED_EVENTS",
    "Limits",
    "open_gateway",
    "report_charge",
    "report_refund",
    "report_session",
]
