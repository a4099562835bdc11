"""What can go wrong, as facts. Knows no HTTP, no terminal: each entrance chooses its own answer.

Every error carries a stable ``code`` (documented in docs/api.md) and a sentence for a person.
"""

from dataclasses import dataclass
from typing import ClassVar


class CommandeError(Exception):
    """Something the shop's rules or surroundings do not allow."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: its path in the body (``items.0.quantity``), a stable code, the mend."""

    field: str
    code: str
    detail: str


class InputInvalid(CommandeError):
    """The caller's input breaks a rule; nothing was written."""

    code = "invalid_input"

    def __init__(self, *errors: FieldError) -> None:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{first.field}: {first.detail}{more}" if first.field else first.detail)
        self.errors = errors


class TotalOutOfRange(InputInvalid):
    """The cart's total lies outside what Stripe accepts for the currency."""

    code = "total_out_of_range"


class CommandsModuleMissing(CommandeError):
    """No module with type "commands" exists: the shop was not initialised."""

    code = "commands_module_missing"


class CommandNotFound(CommandeError):
    """No such command, or the caller may not know whether there is one."""

    code = "command_not_found"


class PaymentNotCompleted(CommandeError):
    """Stripe says that this session is not paid (yet)."""

    code = "payment_not_completed"


class SessionInvalid(CommandeError):
    """No session of ours, or one that Stripe no longer knows."""

    code = "session_invalid"


class SessionMismatch(CommandeError):
    """Another command's session, or another amount, currency, mode or livemode than frozen."""

    code = "session_mismatch"


class AlreadyPaid(CommandeError):
    """The command is paid: there is nothing to pay again."""

    code = "already_paid"


class PaymentProcessing(CommandeError):
    """A delayed payment of this command is under way: paying again would pay twice."""

    code = "payment_processing"


class CommandExpired(CommandeError):
    """The command was closed by clean-up or by a person: it can no longer be paid."""

    code = "command_expired"


class PriceChanged(CommandeError):
    """The catalogue moved since the command was quoted; the customer must accept the new total."""

    code = "price_changed"

    def __init__(self, old_minor: int, new_minor: int, currency: str) -> None:
        super().__init__("The price changed; repeat with acceptTotal set to newTotal to accept it.")
        self.old_minor, self.new_minor, self.currency = old_minor, new_minor, currency


class IdempotencyConflict(CommandeError):
    """The same Idempotency-Key came with another body."""

    code = "idempotency_conflict"


class StripeUnavailable(CommandeError):
    """Stripe is down, slow or over its limit; nothing is lost and the call may be repeated."""

    code = "stripe_unavailable"

    def __init__(self, detail: str, *, retry_after: int = 5, indeterminate: bool = False) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        """Seconds after which a repeat makes sense."""
        self.indeterminate = indeterminate
        """Stripe answered 5xx: it may have executed the call, and replays the 5xx for its key."""


class StripeRefused(CommandeError):
    """Stripe refused a call of ours (key, parameters): a person must look at the configuration."""

    code = "stripe_refused"

    def __init__(self, detail: str, *, stripe_code: str | None = None, param: str | None = None):
        super().__init__(detail)
        self.stripe_code, self.param = stripe_code, param


class StripeObjectMissing(CommandeError):
    """Stripe does not know the object we asked for."""

    code = "stripe_object_missing"


class QuoteMismatch(CommandeError):
    """Stripe's total differs from our quote; the session was expired and nobody can pay it."""

    code = "quote_mismatch"


class WebhookUnconfigured(CommandeError):
    """No webhook secret is set, so no event can be believed."""

    code = "webhook_unconfigured"


class SignatureInvalid(CommandeError):
    """The webhook's signature is missing, wrong or too old, or its body is no event."""

    code = "signature_invalid"


class EventForeign(CommandeError):
    """A verified checkout event whose metadata names no command of ours."""

    code = "event_foreign"


class MailUnavailable(CommandeError):
    """The outgoing mail server did not take the letter; it stays in the outbox."""

    code = "mail_unavailable"


class DatabaseBusy(CommandeError):
    """The database cannot take the work now; nothing was written."""

    code = "database_busy"


class DatabaseNotMigrated(DatabaseBusy):
    """The database lacks tables or columns that this program reads; nothing was written."""

    code = "database_not_migrated"

    def __init__(self) -> None:
        super().__init__("The database is not up to date: run “commande migrate”.")


class OutcomeUnknown(CommandeError):
    """The connection died during COMMIT: re-read before doing anything again."""

    code = "outcome_unknown"


class SettingInvalid(CommandeError):
    """A setting is missing or wrong; names the variable and the mend, never the value."""

    code = "setting_invalid"

    def __init__(self, variable: str, detail: str, mend: str) -> None:
        super().__init__(f"{variable}: {detail} {mend}")
        self.variable, self.mend = variable, mend


class CatalogueInvalid(CommandeError):
    """A catalogue file or product is wrong; names the row and the field."""

    code = "catalogue_invalid"


class RefundRefused(CommandeError):
    """The refund is larger than what is left of the payment, or there is no payment."""

    code = "refund_refused"


class FormRefused(CommandeError):
    """A form that no page of ours sent: foreign origin, other type, too large."""

    code = "form_refused"
