"""The promises as checks that any server can be held to, from outside: it only speaks HTTP."""

from commande.verify.check import Check, Outcome, Result
from commande.verify.run import CHECKS, Refused, verify

__all__ = ["CHECKS", "Check", "Outcome", "Refused", "Result", "verify"]
