"""Settings: the environment and ``.env`` become one frozen object. The only reader of either.

docs/settings.md explains each; a test fails when one is missing there.
"""

import re
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic import model_validator as validate_together
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from commande.core.command import Policy
from commande.core.country import is_country
from commande.core.money import is_currency
from commande.errors import SettingInvalid

_KEY: Final = re.compile(r"(sk|rk)_(test|live)_")
_URL: Final = re.compile(r"https?://([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[\w.~/-]*)?")
_DURATION: Final = re.compile(r"(\d{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """A duration such as ``0s``, ``15m``, ``24h``, ``3d``. Raises ValueError with the mend."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("Write a number and a unit, such as 0s, 15m, 24h or 3d.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _words(value: object) -> object:
    """Comma separated words, as environments carry lists."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


def _key(value: SecretStr) -> SecretStr:
    key = value.get_secret_value().strip()  # files of secrets end in a line break
    if not _KEY.match(key):
        raise ValueError("Give a secret key: sk_test_…, sk_live_…, rk_test_… or rk_live_…")
    return SecretStr(key)


def _filled(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise ValueError("Give a long random text, or leave the variable out.")
    return value


def _secrets(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    # An empty or bare secret would let anybody sign: it counts as none (the webhook answers 503).
    given = tuple(s for s in value if s.get_secret_value() != "whsec_")
    if any(not s.get_secret_value().startswith("whsec_") for s in given):
        raise ValueError("Give signing secrets that begin with whsec_, comma separated.")
    return given


def _url(value: str) -> str:
    if not _URL.fullmatch(value):
        raise ValueError("Give an absolute address such as https://shop.example, without a query.")
    return value.rstrip("/")


def _path(value: str) -> str:
    if not re.fullmatch(r"/[\w./-]*", value):
        raise ValueError("Give a path such as /commande/terminee.")
    return value


def _currency(value: str) -> str:
    if not is_currency(value.lower()):
        raise ValueError("Give an ISO 4217 code that Stripe charges in, such as eur.")
    return value.lower()


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("Give a tz database name such as Europe/Paris.")
    return value


def _country(value: str) -> str:
    code = value.upper()
    if not is_country(code):
        raise ValueError("Give an ISO 3166-1 alpha-2 code such as FR.")
    return code


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Url = Annotated[str, AfterValidator(_url)]
UrlPath = Annotated[str, AfterValidator(_path)]
Secret = Annotated[SecretStr, AfterValidator(_filled)]


class Settings(BaseSettings):
    """Everything that a deployment decides. Each field's alias is its environment variable."""

    model_config = SettingsConfigDict(
        env_file=".env",
        # Fields may be given by name too; unprefixed, that would read DATABASE_URL or LOCALE, which
        # belong to the platform.
        env_prefix="COMMANDE_",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    stripe_secret_key: Annotated[SecretStr, AfterValidator(_key)] = Field(
        validation_alias="STRIPE_SECRET_KEY"
    )
    stripe_webhook_secrets: Annotated[
        tuple[SecretStr, ...], NoDecode, BeforeValidator(_words), AfterValidator(_secrets)
    ] = Field(default=(), validation_alias="STRIPE_WEBHOOK_SECRET")
    stripe_api_base: Url | None = Field(default=None, validation_alias="STRIPE_API_BASE")

    # An address may hold a password, so it stays out of repr(); whoever opens it judges its form.
    database_url: str = Field(
        default="sqlite:///commande.sqlite",
        validation_alias="COMMANDE_DATABASE_URL",
        repr=False,
    )
    site_url: Url = Field(default="http://localhost:8000", validation_alias="COMMANDE_SITE_URL")
    success_path: UrlPath = Field(
        default="/commande/terminee", validation_alias="COMMANDE_SUCCESS_PATH"
    )
    cancel_path: UrlPath = Field(
        default="/commande/annulee", validation_alias="COMMANDE_CANCEL_PATH"
    )
    allowed_hosts: Words = Field(default=("*",), validation_alias="COMMANDE_ALLOWED_HOSTS")
    cors_origins: Words = Field(default=("*",), validation_alias="COMMANDE_CORS_ORIGINS")
    secret_key: Secret | None = Field(default=None, validation_alias="COMMANDE_SECRET_KEY")

    shop_name: str = Field(
        default="commande", min_length=1, max_length=100, validation_alias="COMMANDE_SHOP_NAME"
    )
    country: Annotated[str, AfterValidator(_country)] = Field(
        default="FR", validation_alias="COMMANDE_COUNTRY"
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field(
        default="Europe/Paris", validation_alias="COMMANDE_TIMEZONE"
    )
    currency: Annotated[str, AfterValidator(_currency)] = Field(
        default="eur", validation_alias="COMMANDE_CURRENCY"
    )
    locale: Literal["fr", "en"] = Field(default="fr", validation_alias="COMMANDE_LOCALE")

    foreign_events: Literal["reject", "ignore"] = Field(
        default="reject", validation_alias="COMMANDE_FOREIGN_EVENTS"
    )
    cleanup_after: Annotated[timedelta, BeforeValidator(_duration)] = Field(
        default=timedelta(hours=24), validation_alias="COMMANDE_CLEANUP_AFTER"
    )
    duplicate_payments: Literal["refund", "person"] = Field(
        default="refund", validation_alias="COMMANDE_DUPLICATE_PAYMENTS"
    )
    late_payments: Literal["keep", "refund"] = Field(
        default="keep", validation_alias="COMMANDE_LATE_PAYMENTS"
    )

    storefront: bool = Field(default=False, validation_alias="COMMANDE_STOREFRONT")
    admin_password: Secret | None = Field(default=None, validation_alias="COMMANDE_ADMIN_PASSWORD")
    mail_url: str | None = Field(default=None, validation_alias="COMMANDE_MAIL_URL", repr=False)
    mail_from: str | None = Field(default=None, validation_alias="COMMANDE_MAIL_FROM")

    log_format: Literal["console", "json"] = Field(
        default="console", validation_alias="COMMANDE_LOG_FORMAT"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="COMMANDE_LOG_LEVEL"
    )

    @property
    def livemode(self) -> bool:
        """Whether the key moves real money. Keys are judged by their prefix alone."""
        return "_live_" in self.stripe_secret_key.get_secret_value()[:8]

    @cached_property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.timezone)

    @cached_property
    def policy(self) -> Policy:
        """What happens to money that cannot simply be applied."""
        return Policy(self.duplicate_payments == "refund", self.late_payments == "keep")

    @property
    def seal_secret(self) -> str:
        """The secret under tokens and session marks.

        Without COMMANDE_SECRET_KEY it follows the Stripe key, so that a bare deployment works;
        rolling that key then ends old links, which is why ``commande init`` writes one.
        """
        return (self.secret_key or self.stripe_secret_key).get_secret_value()

    @validate_together(mode="after")
    def _live_is_guarded(self) -> Self:
        if self.livemode and self.stripe_api_base is not None:
            raise SettingInvalid(
                "STRIPE_API_BASE",
                "A live key must never be sent to a stand-in for Stripe.",
                "Remove STRIPE_API_BASE or use a test key.",
            )
        if self.livemode and not self.site_url.startswith("https://"):
            raise SettingInvalid(
                "COMMANDE_SITE_URL",
                "Stripe Checkout needs HTTPS with a live key.",
                "Set it to the https:// address of your shop.",
            )
        return self


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and ``.env``; keyword arguments (field names) win.

    Raises SettingInvalid: one line that names the variable and the mend, never the value.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise _first_problem(error) from None
    except (UnicodeDecodeError, OSError):
        raise SettingInvalid(".env", "Cannot be read.", "Make it a readable UTF-8 file.") from None


def _first_problem(error: ValidationError) -> SettingInvalid:
    problem = error.errors(include_input=False, include_url=False)[0]
    variable = str(problem["loc"][0]) if problem["loc"] else "settings"
    field = Settings.model_fields.get(variable)
    if field is not None and isinstance(field.validation_alias, str):
        variable = field.validation_alias
    if problem["type"] == "missing":
        mend = "Set it in the environment or in .env (see docs/settings.md)."
        return SettingInvalid(variable, "Not set.", mend)
    mend = problem["msg"].removeprefix("Value error, ")
    return SettingInvalid(variable, "The value cannot be used.", mend)
