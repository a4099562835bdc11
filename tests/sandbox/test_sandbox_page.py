"""The hosted payment page as plain HTML: forms, messages, languages, headers."""

import html
import http.client
import re
import time
from urllib.parse import urlencode, urlsplit

import pytest

from tests.support.stand import Receiver, Stand, a_line, eventually

GOOD = {
    "email": "camille@shop.example",
    "payment_method": "card",
    "cardNumber": "4242 4242 4242 4242",
    "cardExpiry": "12 / 34",
    "cardCvc": "123",
    "billingName": "Camille Roussel",
}


class Visitor:
    """A browser without JavaScript."""

    def __init__(self, language: str = "fr") -> None:
        self.language = language
        self.location = ""
        self.headers: dict[str, str] = {}

    def get(self, url: str) -> tuple[int, str]:
        return self._ask("GET", url)

    def post(self, url: str, **fields: str) -> tuple[int, str]:
        return self._ask("POST", url, urlencode(fields))

    def _ask(self, method: str, url: str, body: str | None = None) -> tuple[int, str]:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        try:
            connection.request(
                method, parts.path, body,
                {"Accept-Language": self.language,
                 "Content-Type": "application/x-www-form-urlencoded"},
            )  # fmt: skip
            answer = connection.getresponse()
            self.headers = {name.lower(): value for name, value in answer.getheaders()}
            self.location = self.headers.get("location", "")
            return answer.status, html.unescape(answer.read().decode())
        finally:
            connection.close()


def address(stand: Stand, **changes: object) -> str:
    url = stand.order(**changes).url
    assert url is not None
    return url


def test_a_card_is_paid_and_the_buyer_sent_back(stand: Stand, receiver: Receiver) -> None:
    visitor = Visitor()
    session = stand.order()
    url = str(session.url)
    assert "Payer 59,98\u202f€" in visitor.get(url)[1]
    status, _ = visitor.post(url, **GOOD)
    assert status == 303
    assert visitor.location == f"https://shop.example/done?session={session.id}"
    # The shop was told before the buyer came back.
    assert "checkout.session.completed" in receiver.types
    paid = stand.look(session.id)
    assert paid.payment_status == "paid"
    assert paid.customer_details is not None
    assert paid.customer_details.email == GOOD["email"]
    assert paid.customer_details.name == "Camille Roussel"


def test_one_click_fills_in_and_pays(stand: Stand) -> None:
    visitor, url = Visitor(), address(stand)
    assert visitor.post(url, test="4242424242424242")[0] == 303


def test_every_test_button_of_the_page_works(stand: Stand) -> None:
    visitor, url = Visitor(), address(stand)
    numbers = re.findall(r'name="test" value="([0-9A-Z]+)"', visitor.get(url)[1])
    assert len(numbers) == 18
    outcomes = {}
    for number in numbers:
        status, text = visitor.post(address(stand), test=number)
        found = re.search(r'role="alert"[^>]*>\s*(?:<p>|<ul><li><a[^>]*>)([^<]+)', text)
        outcomes[number] = found[1] if found else visitor.location.rpartition("/")[2][:4]
        assert status in {200, 303}
    messages = [text for text in outcomes.values() if text not in {"3ds", "done"}]
    assert len(set(messages)) == len(messages)  # each its own
    paid = [number for number, text in outcomes.items() if text == "done"]
    asked = [number for number, text in outcomes.items() if text == "3ds"]
    assert (len(paid), len(asked), len(messages)) == (6, 4, 8), outcomes


def test_a_decline_is_told_and_another_card_may_follow(stand: Stand) -> None:
    visitor, url = Visitor(), address(stand)
    status, text = visitor.post(url, **GOOD | {"cardNumber": "4000000000009995"})
    assert status == 200
    assert "fonds insuffisants" in text
    assert "Rien n’a été débité" in text
    assert 'value="Camille Roussel"' in text
    assert visitor.post(url, **GOOD)[0] == 303


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("cardNumber", "4242424242424241", "n’est pas valide"),
        ("cardNumber", "4242", "incomplet"),
        ("cardNumber", "", "incomplet"),
        ("cardExpiry", "13 / 30", "mois et l’année"),
        ("cardExpiry", "01 / 20", "a expiré"),
        ("cardCvc", "1", "3 chiffres"),
        ("billingName", "", "nom du titulaire"),
        ("email", "nobody", "adresse e-mail"),
    ],
)
def test_what_is_wrong_is_told_at_its_field_and_nothing_is_sent(
    stand: Stand, field: str, value: str, says: str
) -> None:
    visitor, url = Visitor(), address(stand)
    status, text = visitor.post(url, **GOOD | {field: value})
    assert status == 200
    assert says in text
    assert f'aria-describedby="{field}-error"' in text
    assert f'href="#{field}"' in text
    assert not stand.engine.state.rows["payment_intent"]


def test_a_debit_is_in_progress(stand: Stand) -> None:
    visitor, url = Visitor(), address(stand)
    debit = {"payment_method": "sepa_debit", "iban": "DE89 3704 0044 0532 0130 00",
             "sepaName": "Camille"}  # fmt: skip
    assert visitor.post(url, **GOOD | debit | {"iban": "DE00"})[0] == 200
    assert visitor.post(url, **GOOD | debit)[0] == 303
    assert "Le paiement est en cours" in visitor.get(url)[1]
    stand.dashboard.advance(6)
    assert "Cette commande est payée" in visitor.get(url)[1]


def test_the_bank_is_asked_and_may_say_no(stand: Stand) -> None:
    visitor, url = Visitor(), address(stand)
    bank = f"{url}/3ds"
    assert visitor.get(bank)[0] == 303  # nobody asked it yet
    assert visitor.post(url, test="4000002500003155")[0] == 303
    assert "•••• 3155" in visitor.get(bank)[1]
    status, text = visitor.post(bank, decision="fail")
    assert status == 200
    assert "n’a pas pu vous identifier" in text
    visitor.post(url, test="4000008400001629")
    assert "refusée par la banque" in visitor.post(bank, decision="approve")[1]
    visitor.post(url, test="4000002500003155")
    assert visitor.post(bank, decision="approve")[0] == 303
    assert visitor.location.startswith("https://shop.example/done")


def test_a_finished_page_says_so(stand: Stand) -> None:
    visitor = Visitor()
    paid = address(stand)
    visitor.post(paid, **GOOD)
    assert "Cette commande est payée" in visitor.get(paid)[1]
    assert "Cette commande est payée" in visitor.post(paid, **GOOD)[1]
    assert len(stand.engine.state.rows["charge"]) == 1
    gone = address(stand)
    stand.dashboard.advance(90_000)
    status, text = visitor.get(gone)
    assert status == 200
    assert "Cette page de paiement a expiré" in text
    assert "https://shop.example/cancelled" in text
    assert visitor.get(f"{stand.url}/c/pay/cs_test_nobody")[0] == 404


def test_the_language_is_the_sessions_else_the_browsers(stand: Stand) -> None:
    assert "Pay €59.98" in Visitor("fr").get(address(stand, locale="en"))[1]
    assert "Payer 59,98" in Visitor("en").get(address(stand, locale="fr-CA"))[1]
    assert "Pay €59.98" in Visitor("en-GB,fr;q=0.5").get(address(stand, locale="auto"))[1]
    assert "Payer 59,98" in Visitor("en;q=0.1,fr").get(address(stand))[1]
    assert "Payer 59,98" in Visitor("ja").get(address(stand))[1]


def test_markup_in_what_the_shop_sends_stays_text(stand: Stand) -> None:
    line = a_line()
    line["price_data"]["product_data"] = {"name": "<script>alert(1)</script>"}
    visitor = Visitor()
    url = address(stand, line_items=[line])
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", urlsplit(url).path)
    raw = connection.getresponse().read()
    connection.close()
    assert b"<script>alert" not in raw
    assert "<script>alert(1)</script>" in visitor.get(url)[1]


def test_the_page_allows_nothing_but_itself_and_the_shop(stand: Stand) -> None:
    visitor = Visitor()
    visitor.get(address(stand))
    policy = visitor.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' https://shop.example;" in policy
    assert "unsafe" not in policy
    assert visitor.headers["cache-control"] == "no-store"


def test_the_buyer_waits_for_the_shop_but_not_for_a_lost_webhook(
    stand: Stand, receiver: Receiver
) -> None:
    receiver.delay = 0.6
    visitor = Visitor()
    begun = time.monotonic()
    visitor.post(address(stand), **GOOD)
    assert time.monotonic() - begun >= 0.6
    eventually(lambda: not stand.engine.world.flying)
    receiver.delay = 0
    stand.engine.fail("lost", type="checkout.session.completed")
    begun = time.monotonic()
    visitor.post(address(stand), **GOOD)
    assert time.monotonic() - begun < 10, "as long as the page would have waited"


def test_a_free_order_needs_no_card(stand: Stand) -> None:
    visitor, url = Visitor(), address(stand, line_items=[a_line(0, 1)])
    text = visitor.get(url)[1]
    assert "Terminer la commande" in text
    assert "cardNumber" not in text
    assert visitor.post(url, email="a@b.fr")[0] == 303
