"""A stand-in for Stripe: Checkout in payment mode, with signed webhooks and faults on demand.

It shares nothing with the product, so that a misunderstanding of Stripe cannot cancel out.
"""

from commande.sandbox.app import create_sandbox
from commande.sandbox.clock import RunningClock, StandingClock
from commande.sandbox.engine import AnswerLost, Engine

__all__ = ["AnswerLost", "Engine", "RunningClock", "StandingClock", "create_sandbox"]
