"""The pages under a prefix: every address of theirs carries it."""

import re
from collections.abc import Iterator

import pytest

from tests.pages.street import Street, open_street


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with open_street(tmp_path_factory.mktemp("mounted"), mount="/boutique") as opened:
        yield opened


def test_the_whole_way_works_under_a_prefix(street: Street) -> None:
    visitor = street.visitor()
    back = street.pay(visitor.order())
    assert f"{street.url}/commande/terminee?" in back
    waiting = visitor.get(back)
    page = visitor.post("/commande/terminee", waiting.form("/commande/terminee"))
    assert page.title == "Merci Camille, c’est payé"
    assert all("Path=/boutique/" in line for line in visitor.set_cookies)


@pytest.mark.parametrize("path", ["/", "/panier", "/commande", "/commande/terminee", "/marchand"])
def test_no_address_of_a_page_leaves_the_prefix(street: Street, path: str) -> None:
    visitor = street.visitor()
    visitor.buy()
    body = visitor.get(path).body
    addresses = re.findall(r'(?:href|src|action)="(/[^"]*)"', body)
    assert addresses
    assert [a for a in addresses if not a.startswith("/boutique/")] == []


def test_s28_the_host_header_builds_no_address(street: Street) -> None:
    visitor = street.visitor()
    for headers in (
        {"Host": "evil.example"}, {"X_Forwarded_Host": "evil.example"},
        {"Forwarded": "host=evil.example"},
    ):  # fmt: skip
        for path in ("/", "/panier", "/commande", "/marchand", "/commande/annulee"):
            page = visitor.get(path, follow=False, **headers)
            assert "evil.example" not in page.body + page.headers.get("location", "")
