"""Settings: each variable, its wrong values, and the one line that names it and never the value."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from commande.errors import SettingInvalid
from commande.settings import Settings, load_settings, parse_duration
from tests.support.properties import forall

KEY = "sk_test_canary123"
# variable: (field, a good value as written, what it becomes, values that are refused)
VARIABLES: dict[str, tuple[str, str, object, list[str]]] = {
    "STRIPE_SECRET_KEY": ("stripe_secret_key", f" {KEY}\n", KEY,
        ["canary", "pk_test_canary", "sk_canary", "whsec_canary", "xsk_test_canary"]),
    "STRIPE_WEBHOOK_SECRET": ("stripe_webhook_secrets", "whsec_a1, whsec_b2",
        ("whsec_a1", "whsec_b2"), ["canary", "whsec_a1,canary", "sk_test_canary"]),
    "STRIPE_API_BASE": ("stripe_api_base", "http://127.0.0.1:12111/stripe/",
        "http://127.0.0.1:12111/stripe", ["canary", "ftp://canary", "http://canary?x=1"]),
    "COMMANDE_DATABASE_URL": ("database_url", "postgresql://u:p@db/shop",
        "postgresql://u:p@db/shop", []),  # the database judges its own address
    "COMMANDE_SITE_URL": ("site_url", "https://shop.example/fr/", "https://shop.example/fr",
        ["canary.example", "//canary.example", "javascript:canary", "https://", "https://canary?a",
         "https://canary#a", "https://user:canary@shop.example", "http://[canary",
         "https://can ary", "https://canary:port", "https://canary\n.example"]),
    "COMMANDE_SUCCESS_PATH": ("success_path", "/merci", "/merci", ["canary", "/canary?a", "/a b"]),
    "COMMANDE_CANCEL_PATH": ("cancel_path", "/panier", "/panier", ["canary", "/canary#a"]),
    "COMMANDE_ALLOWED_HOSTS": ("allowed_hosts", "shop.example, www.shop.example,",
        ("shop.example", "www.shop.example"), []),
    "COMMANDE_CORS_ORIGINS": ("cors_origins", "https://a.example", ("https://a.example",), []),
    "COMMANDE_SECRET_KEY": ("secret_key", "long and random", "long and random", ["   ", "\t"]),
    "COMMANDE_SHOP_NAME": ("shop_name", "Le Fournil", "Le Fournil", ["canary" * 20]),
    "COMMANDE_COUNTRY": ("country", "de", "DE", ["canary", "D", "F1", "ZZ"]),
    "COMMANDE_TIMEZONE": ("timezone", "America/Guadeloupe", "America/Guadeloupe",
        ["canary", "../canary", "Europe/Canary"]),
    "COMMANDE_CURRENCY": ("currency", "CHF", "chf", ["canary", "xxx", "€"]),
    "COMMANDE_LOCALE": ("locale", "en", "en", ["canary", "FR"]),
    "COMMANDE_FOREIGN_EVENTS": ("foreign_events", "ignore", "ignore", ["canary"]),
    "COMMANDE_DUPLICATE_PAYMENTS": ("duplicate_payments", "person", "person", ["canary"]),
    "COMMANDE_LATE_PAYMENTS": ("late_payments", "refund", "refund", ["canary"]),
    "COMMANDE_CLEANUP_AFTER": ("cleanup_after", "36h", timedelta(hours=36),
        ["canary", "24", "h", "-1h", "1.5h", "24 h", "P1D", "9999999d"]),
    "COMMANDE_STOREFRONT": ("storefront", "true", True, ["canary"]),
    "COMMANDE_ADMIN_PASSWORD": ("admin_password", "four words in line", "four words in line",
        ["   "]),
    "COMMANDE_MAIL_URL": ("mail_url", "smtp://u:p@mail.example:587", "smtp://u:p@mail.example:587",
        []),  # the post judges its own address
    "COMMANDE_MAIL_FROM": ("mail_from", "shop@shop.example", "shop@shop.example", []),
    "COMMANDE_LOG_FORMAT": ("log_format", "json", "json", ["canary"]),
    "COMMANDE_LOG_LEVEL": ("log_level", "debug", "debug", ["canary"]),
}  # fmt: skip
REFUSED = [(name, wrong) for name, (_, _, _, wrongs) in VARIABLES.items() for wrong in wrongs]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty directory, and an environment that says nothing about the shop."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def plain(value: Any) -> object:
    """The value with its secrets opened."""
    if isinstance(value, tuple):
        return tuple(plain(one) for one in value)
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def refusal() -> SettingInvalid:
    with pytest.raises(SettingInvalid) as refused:
        load_settings()
    return refused.value


def test_the_table_above_knows_every_variable() -> None:
    known = {field: name for name, (field, *_) in VARIABLES.items()}
    declared = {name: field.validation_alias for name, field in Settings.model_fields.items()}
    assert known == declared


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    field, written, meant, _ = VARIABLES[name]
    monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
    monkeypatch.setenv(name, written)
    assert plain(getattr(load_settings(), field)) == meant


@pytest.mark.parametrize(("name", "wrong"), REFUSED)
def test_a_wrong_value_gives_one_line_with_the_variable_and_the_mend_and_not_the_value(
    name: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
    monkeypatch.setenv(name, wrong)
    error = refusal()
    assert error.variable == name
    assert str(error).startswith(f"{name}: ")
    assert error.mend in str(error)
    assert len(error.mend) > 15
    for text in (str(error), repr(error)):
        assert "\n" not in text
        assert "canary" not in text.lower()
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_only_the_stripe_key_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refusal()
    assert error.variable == "STRIPE_SECRET_KEY"
    assert str(error).startswith("STRIPE_SECRET_KEY: Not set.")
    monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
    settings = load_settings()
    assert settings.site_url == "http://localhost:8000"
    assert (settings.currency, settings.country, settings.locale) == ("eur", "FR", "fr")
    assert settings.foreign_events == "reject"
    assert settings.cleanup_after == timedelta(hours=24)
    assert settings.zone.key == settings.timezone == "Europe/Paris"
    assert settings.allowed_hosts == ("*",)
    assert not settings.livemode


def test_variables_of_the_platform_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
    before = load_settings()
    for name in Settings.model_fields:
        monkeypatch.setenv(name.upper(), "en" if name == "locale" else "canary")
    monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
    monkeypatch.delenv("STRIPE_API_BASE")
    assert load_settings() == before


def test_the_env_file_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        f'# the shop\nSTRIPE_SECRET_KEY="{KEY}"\nCOMMANDE_CURRENCY=chf\n'
        "COMMANDE_SHOP_NAME=Épicerie\nSOMETHING_ELSE=1\n",
        encoding="utf-8",
    )
    assert plain(load_settings().stripe_secret_key) == KEY
    assert load_settings().shop_name == "Épicerie"
    assert load_settings().currency == "chf"
    monkeypatch.setenv("COMMANDE_CURRENCY", "gbp")
    assert load_settings().currency == "gbp"
    assert load_settings(currency="usd").currency == "usd"
    monkeypatch.setenv("COMMANDE_CURRENCY", "")  # an empty variable says nothing
    assert load_settings().currency == "chf"


def test_an_env_file_in_another_encoding_gives_one_line_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("COMMANDE_SHOP_NAME=Épicerie canary\n".encode("latin-1"))
    error = refusal()
    assert error.variable == ".env"
    assert "UTF-8" in str(error)
    assert "canary" not in str(error)


@pytest.mark.parametrize("written", [None, "", "   ", "whsec_", " whsec_ ,", ",,", "whsec_,whsec_"])
def test_s07_an_empty_webhook_secret_is_none(
    written: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
    if written is not None:
        monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", written)
    assert load_settings().stripe_webhook_secrets == ()


def test_s07_an_empty_secret_beside_a_real_one_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", KEY)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_, whsec_real ,  ,")
    assert plain(load_settings().stripe_webhook_secrets) == ("whsec_real",)


@pytest.mark.parametrize("key", ["sk_live_canary", "rk_live_canary"])
def test_s05_a_live_key_is_never_sent_to_a_stand_in(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", key)
    monkeypatch.setenv("COMMANDE_SITE_URL", "https://shop.example")
    assert load_settings().livemode
    monkeypatch.setenv("STRIPE_API_BASE", "https://api.canary.example")
    error = refusal()
    assert error.variable == "STRIPE_API_BASE"
    assert "canary" not in str(error)


@pytest.mark.parametrize("site", [None, "http://canary.example", "http://localhost:8000"])
def test_s05_a_live_key_needs_https(site: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_canary")
    if site:
        monkeypatch.setenv("COMMANDE_SITE_URL", site)
    error = refusal()
    assert error.variable == "COMMANDE_SITE_URL"
    assert "https://" in error.mend
    assert "canary" not in str(error)


@pytest.mark.parametrize("key", ["sk_test_x_live_", "rk_test_live", "sk_test_"])
def test_s05_a_key_is_judged_by_its_prefix_alone(key: str) -> None:
    assert not load_settings(stripe_secret_key=key).livemode


def test_no_secret_stands_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "STRIPE_SECRET_KEY": "sk_test_canary",
        "STRIPE_WEBHOOK_SECRET": "whsec_canary,whsec_canary2",
        "COMMANDE_SECRET_KEY": "canary",
        "COMMANDE_ADMIN_PASSWORD": "canary",
        "COMMANDE_DATABASE_URL": "postgresql://shop:canary@db/shop",
        "COMMANDE_MAIL_URL": "smtp://shop:canary@mail.example",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    for text in (str(settings), repr(settings), f"{settings}"):
        assert "canary" not in text
    assert "site_url" in repr(settings)  # it says something at all


def test_the_seal_follows_its_own_secret_or_else_the_stripe_key() -> None:
    assert load_settings(stripe_secret_key=KEY).seal_secret == KEY
    assert load_settings(stripe_secret_key=KEY, secret_key="own").seal_secret == "own"


def test_settings_do_not_change() -> None:
    settings = load_settings(stripe_secret_key=KEY)
    with pytest.raises(ValueError, match="frozen"):
        settings.currency = "usd"  # type: ignore[misc]
    assert settings.zone is settings.zone


def test_a_wrong_override_names_the_variable_too() -> None:
    with pytest.raises(SettingInvalid, match="COMMANDE_CURRENCY"):
        load_settings(stripe_secret_key=KEY, currency="canary")


def test_durations_are_a_number_and_a_unit() -> None:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

    @forall(st.integers(0, 999_999), st.sampled_from(sorted(units)))
    def _(number: int, unit: str) -> None:
        assert parse_duration(f"{number}{unit}") == timedelta(**{units[unit]: number})

    @forall(st.text(max_size=8))
    def _(text: str) -> None:
        if not (text.strip()[:-1].isdecimal() and text.strip()[-1:] in units):
            with pytest.raises(ValueError, match="such as 0s, 15m, 24h or 3d"):
                parse_duration(text)
