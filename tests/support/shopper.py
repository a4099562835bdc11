"""A customer without a browser: orders, pays at Stripe, comes back, over real HTTP."""

import http.client
import itertools
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

from commande.db.journal import Fact
from tests.support.frontend import CONFIRM, CREATE, RETRY, Answer
from tests.support.premises import Premises
from tests.support.stage import BOUQUET
from tests.support.stand import eventually

T = TypeVar("T")
GOOD, DECLINED, ASKS_THE_BANK = "4242424242424242", "4000000000000002", "4000002500003155"
# SEPA debits whose bank answers three minutes later: yes, and no.
SEPA_PAYS, SEPA_FAILS = "DE08370400440532013003", "DE78370400440532013004"
BANK_TAKES = 181.0
PATIENCE = 90.0  # seconds: an event is handled within one, on a machine that is not busy
_numbers = itertools.count(1)
# Of the whole run, so that no hour strikes between an order and its repeat.
APPOINTMENT = (datetime.now(UTC) + timedelta(days=2)).replace(minute=0, second=0, microsecond=0)


class Shopper:
    """One customer with one order; knows no more than a browser would."""

    def __init__(self, premises: Premises) -> None:
        self.premises = premises
        self.email = f"client{next(_numbers)}@example.com"
        self.opened: dict[str, Any] = {}
        self.answer = Answer(0, {}, b"")

    # what they do

    def orders(self, quantity: int = 2, key: str | None = None) -> Answer:
        headers = {} if key is None else {"Idempotency-Key": key}
        self.answer = self.post(CREATE, wishes(self.email, quantity), **headers)
        if self.answer.status == 200:
            self.opened = self.answer.json
        return self.answer

    def pays_with(self, means: str, **how: str) -> Answer:
        """Pay at Stripe and close the tab; `three_d_secure` is what the customer tells the bank."""
        page = f"{self.premises.stripe_url}/v1/payment_pages/{self.session_id}/confirm"
        fields = urlencode({"payment_method": means, **how})
        kind = "application/x-www-form-urlencoded"
        return ask("POST", page, fields.encode(), {"Content-Type": kind})

    def comes_back(self) -> Answer:
        """To the success address, whose page confirms with the two ids that it finds there."""
        query = self.address_back("success_url")
        pair = {"sessionId": query["session_id"], "commandId": query["command_id"]}
        self.answer = self.post(CONFIRM, pair)
        return self.answer

    def turns_back(self) -> Answer:
        """Stripe's back link, whose page offers to pay after all; one press on that."""
        query = self.address_back("cancel_url")
        body = {"commandId": query["command_id"], "token": query["token"]}
        self.answer = self.post(RETRY, body)
        if self.answer.status == 200:
            self.opened = self.answer.json
        return self.answer

    def looks(self) -> dict[str, Any]:
        """At the own command, which asks nobody and writes nothing."""
        token = urlencode({"token": self.opened["token"]})
        path = f"/api/checkout/commands/{self.command_id}?{token}"
        command: dict[str, Any] = ask("GET", self.premises.next_door() + path).json["command"]
        return command

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        sent = {"Content-Type": "application/json", **headers}
        return ask("POST", self.premises.next_door() + path, json.dumps(body).encode(), sent)

    # what they see

    @property
    def command_id(self) -> str:
        return str(self.opened["commandId"])

    @property
    def session_id(self) -> str:
        return str(urlsplit(self.opened["url"]).path.rsplit("/", 1)[-1])

    def session(self) -> dict[str, Any]:
        """The payment session as Stripe has it now."""
        with self.premises.stripe.lock:
            found: dict[str, Any] = dict(
                self.premises.stripe.state.rows["session"][self.session_id]
            )
        return found

    def address_back(self, name: str) -> dict[str, str]:
        """The parameters of the address to which Stripe sends the customer."""
        url = str(self.session()[name]).replace("{CHECKOUT_SESSION_ID}", self.session_id)
        assert url.startswith(self.premises.environment["COMMANDE_SITE_URL"] + "/commande/")
        return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}

    def sees(self, status: str) -> dict[str, Any]:
        """Wait until the command says so (webhooks need a moment); the command."""
        eventually(lambda: self.looks()["status"] == status, PATIENCE, f"a command {status}")
        return self.looks()

    def sees_paid(self, by: str) -> dict[str, Any]:
        """Paid, once, through that door, for what Stripe charged, with one letter.

        Where both are open, "browser or webhook" are taken: which comes first is chance.
        """
        command = self.sees("paid")
        snapshot = command["cartSnapshot"]
        assert command["paid"] is True
        assert round(snapshot["totalPrice"] * 100) == self.session()["amount_total"]
        assert snapshot["products"][0]["product_id"] == BOUQUET
        doors = [fact.source for fact in self.facts("paid")]
        assert len(doors) == 1 and doors[0] in by.split(" or "), doors
        eventually(lambda: "paid" in self.letters(), PATIENCE, "a letter that says so")
        assert self.letters().count("paid") == 1
        return command

    def letters(self) -> list[str]:
        """What the letters are about that lie in the mail folder, as the history tells it too."""
        told = sorted(str(fact.detail["letter"]) for fact in self.facts("mail_sent"))
        lying = self.premises.letters_about(str(self.opened["ref"]))
        return told if len(told) == len(lying) else []

    def sees_unpaid(self) -> None:
        command = self.looks()
        assert (command["status"], command["paid"], command["cartSnapshot"]) == (
            "unpaid",
            False,
            None,
        )

    def facts(self, kind: str) -> list[Fact]:
        """The lines of the command's history of one kind."""
        return [fact for fact in self.premises.history(self.command_id) if fact.kind == kind]


def wishes(email: str, quantity: int = 2) -> dict[str, Any]:
    """The body of the reference's example, for the day after tomorrow."""
    return {
        "items": [{"product_id": BOUQUET, "quantity": quantity}],
        "customer": {
            "firstName": "John",
            "lastName": "Doe",
            "email": email,
            "phone": "+33612345678",
            "address": "123 Main St",
            "postalCode": "75001",
            "city": "Paris",
        },
        "appointment": APPOINTMENT.isoformat(),
    }


def ask(
    method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request as it is."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        given = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, given, answer.read())
    finally:
        connection.close()


def at_once(*things: Callable[[], T]) -> list[T]:
    """Do them all at the same moment, each in a thread of its own."""
    gate = threading.Barrier(len(things))

    def do(thing: Callable[[], T]) -> T:
        gate.wait()
        return thing()

    with ThreadPoolExecutor(len(things)) as threads:
        return list(threads.map(do, things))
