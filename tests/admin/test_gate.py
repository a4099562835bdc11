"""The gate of the merchant's view (S-27)."""

import re
from pathlib import Path

import pytest

from commande.admin.gate import LASTING, PENANCE
from tests.admin.conftest import PASSWORD, enter
from tests.pages.street import Street, Visitor, open_street
from tests.support.schema import content_of

PATHS = ["/marchand", "/marchand/commandes/" + "a" * 24, "/marchand/evenements", "/demo",
         "/marchand/commandes/" + "a" * 24 + "/chronologie.json"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_without_the_password_every_page_leads_to_the_gate(street: Street, path: str) -> None:
    page = street.visitor().get(path, follow=False)
    assert page.status == 303
    assert page.headers["location"] == "/marchand/connexion"


def test_the_right_password_opens_and_the_cookie_is_for_pages_alone(street: Street) -> None:
    visitor = enter(street.visitor())
    assert visitor.get("/marchand").title == "Commandes"
    cookie = next(line for line in visitor.set_cookies if line.startswith("marchand="))
    for word in ("HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={LASTING}"):
        assert word in cookie


def test_a_wrong_password_takes_a_moment_and_says_so(street: Street) -> None:
    for given in ("", "faux", "ouvre-to", "é😀", "x" * 5000):
        visitor = street.visitor()
        page = visitor.post("/marchand/connexion", {"password": given})
        assert page.status == 401
        assert "n’est pas le bon" in page.text
        assert visitor.cookies.get("marchand") is None


@pytest.mark.parametrize(
    "change",
    [lambda c: "", lambda c: c + "x", lambda c: "x" + c, lambda c: c[::-1],
     lambda c: c.split(".")[0], lambda c: "e30." + c.split(".", 1)[1]],
)  # fmt: skip
def test_a_forged_cookie_opens_nothing(street: Street, change: object) -> None:
    visitor = enter(street.visitor())
    visitor.cookies["marchand"] = change(visitor.cookies["marchand"])  # type: ignore[operator]
    assert visitor.get("/marchand", follow=False).status == 303


def test_a_cookie_of_another_shop_or_of_an_old_password_opens_nothing(
    street: Street, tmp_path: Path
) -> None:
    for name, changes in (
        ("shop", {"secret_key": "another secret of another shop"}),
        ("password", {"admin_password": "autre"}),
        ("same", {}),
    ):
        (tmp_path / name).mkdir()
        with open_street(tmp_path / name, **changes) as other:
            visitor = other.visitor()
            visitor.cookies = dict(enter(street.visitor()).cookies)
            opens = visitor.get("/marchand", follow=False).status == 200
            assert opens is (name == "same")


def test_a_shop_without_a_password_has_no_merchants_view(tmp_path: Path) -> None:
    with open_street(tmp_path, admin_password=None) as closed:
        assert closed.visitor().get("/marchand").status == 404


def test_behind_tls_the_cookie_is_bound_to_the_host(tmp_path: Path) -> None:
    with open_street(tmp_path, site_url="https://shop.example") as street:
        visitor = enter(street.visitor())
        cookie = next(line for line in visitor.set_cookies if line.startswith("__Host-marchand="))
        assert "Secure" in cookie and "Path=/;" in cookie and "Domain" not in cookie
        assert visitor.get("/marchand").title == "Commandes"


def form_token(visitor: Visitor) -> str:
    found = re.search(r'name="form_token" value="(\w+)"', visitor.get("/marchand").body)
    assert found is not None
    return found[1]


def test_leaving_takes_a_post_with_the_sessions_own_token(merchant: Visitor) -> None:
    for fields in ({}, {"form_token": "x"}, {"form_token": "é"}):
        assert merchant.post("/marchand/deconnexion", fields).status == 403
    assert merchant.get("/marchand/deconnexion").status == 405
    assert merchant.get("/marchand").title == "Commandes"
    left = merchant.post("/marchand/deconnexion", {"form_token": form_token(merchant)})
    assert left.title == "Entrée du personnel"
    assert merchant.get("/marchand", follow=False).status == 303


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"},
     {"Sec_Fetch_Site": "same-site"}, {"Content_Type": "text/plain"}],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/marchand/connexion", "/marchand/deconnexion", "/demo"])
def test_s27_no_post_of_another_site_is_taken_even_with_the_token(
    street: Street, merchant: Visitor, path: str, headers: dict[str, str]
) -> None:
    before = street.read(content_of)
    fields = {"form_token": form_token(merchant), "password": PASSWORD, "action": "order:test"}
    assert merchant.post(path, fields, **headers).status == 403
    assert street.read(content_of) == before


def test_s27_a_token_of_another_session_is_none(street: Street, merchant: Visitor) -> None:
    other = form_token(enter(street.visitor()))
    assert other != form_token(merchant)
    assert merchant.post("/marchand/deconnexion", {"form_token": other}).status == 403


def test_a_post_without_a_session_is_refused(street: Street) -> None:
    for path in ("/marchand/deconnexion", "/demo"):
        assert street.visitor().post(path, {"action": "stop:worker"}).status == 403


def test_the_view_is_stored_by_nobody_and_shown_in_no_frame(merchant: Visitor) -> None:
    page = merchant.get("/marchand")
    assert page.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_a_wrong_guess_waits(street: Street) -> None:
    # The street's clock shortens every wait, and notes how long it was to be.
    street.clock.slept.clear()
    street.visitor().post("/marchand/connexion", {"password": "faux"})
    assert street.clock.slept == [PENANCE]
    enter(street.visitor())
    assert street.clock.slept == [PENANCE]
