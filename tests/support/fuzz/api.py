"""The API under fuzz: rounds of drawn requests over real HTTP, each answer judged."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup

from tests.support.fuzz.forgeries import Forger, an_event, unseen
from tests.support.fuzz.judge import Judge
from tests.support.fuzz.requests import CHECKOUT, POSTED, gets, posts
from tests.support.fuzz.wire import Heard, Sent, Wire, as_bytes
from tests.support.stage import BOUQUET, BREAD, SERVICE

# Negative cases are drawn from the schema, and ours is read generously on purpose: what the docs
# take besides (null for a field left out, blanks around a country) would count as accepted wrongly.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance",
)  # fmt: skip
# A stranger finds out more from a small piece than from a long list.
MOST_FOUND = 20
Tick = Callable[[int], None]


class Found(AssertionError):
    """An answer that must not be."""


@dataclass
class Fuzz:
    """One server under fuzz, and what was seen."""

    url: str
    secret: str
    tick: Tick = unseen
    cases: int = 0
    found: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wire = Wire(self.url)
        self.judge = Judge.of(self.wire)
        order = an_order()
        opened = self.wire.ask(posted("create-stripe-checkout-session", order)).json
        self.opened: dict[str, Any] = opened
        pair = {"sessionId": session_of(opened), "commandId": opened["commandId"]}
        again = {"commandId": opened["commandId"], "token": opened["token"], "acceptTotal": 59.98}
        event = an_event(datetime.now(UTC))
        self.documents = [order, order, order, pair, again, event]

    def close(self) -> None:
        self.wire.close()

    # rounds: each is as good as its seed, and may be run again

    def hostile(self, number: int, count: int) -> None:
        """Raw requests that no front end sends."""
        drawn = posts(self.documents) | posts(self.documents) | gets([self.opened["commandId"]])
        self._round(number, count, drawn, self.ask_everywhere)

    def ask_everywhere(self, sent: Sent) -> None:
        """A body is hostile at every address that takes one."""
        for target in [f"{CHECKOUT}/{name}" for name in POSTED]:
            self.ask(sent if sent.method != "POST" else replace(sent, target=target))
            if sent.method != "POST":
                return

    def honest(self, number: int, count: int) -> None:
        """Orders as front ends send them, with what follows until the payment: all goes well."""
        rng = Random(number)
        for _ in range(count):
            order = an_order() | {"note": rng.choice([None, "Merci !", f"{rng.random()}"])}
            for item in order["items"]:
                item["quantity"] = rng.randint(1, 9)
            key = (b"Idempotency-Key", rng.randbytes(12).hex().encode())
            again = posted("create-stripe-checkout-session", order, key)
            opened = [self.expect(200, again) for _ in range(2)][-1]
            pair = {"sessionId": session_of(opened), "commandId": opened["commandId"]}
            ours = {"commandId": opened["commandId"], "token": opened["token"]}
            self.expect(200, posted("retry-payment", ours))
            self.expect(400, posted("confirm-payment", pair))
            address = f"{CHECKOUT}/commands/{ours['commandId']}?token={ours['token']}"
            self.expect(200, Sent("GET", address))

    def expect(self, status: int, sent: Sent) -> dict[str, Any]:
        """One request whose answer is certain; its document. Raises Found for any other."""
        heard = self.ask(sent)
        if heard is None or heard.status != status:
            self._report(f"{heard and heard.status}, not {status} ← {sent.target} {sent.body!r}")
            raise Found(self.found[-1])
        document: dict[str, Any] = heard.json
        return document

    def ask(self, sent: Sent) -> Heard | None:
        """One request; every fault of its answer is kept. None when there was no answer."""
        self._count()
        heard = None
        try:
            heard = self.wire.ask(sent)
            faults = self.judge.faults(sent, heard)
        except Exception as error:  # noqa: BLE001 – a server that breaks off is a finding as well
            faults = [f"{type(error).__name__}: {error}"]
        for fault in faults:
            what = f"{sent.method} {sent.target[:80]} {sent.headers} {sent.body[:300]!r}"
            self._report(f"{fault} ← {what} ({len(sent.body)} bytes, chunks {sent.chunks})")
        return heard

    def described(self, number: int, count: int) -> None:
        """Schemathesis draws what the description allows, and what it does not."""
        operations = list(self._operations())
        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        drawn = st.one_of([
            operation.as_strategy(generation_mode=mode)
            for operation in operations
            for mode in modes
            if mode is GenerationMode.POSITIVE or operation.body or operation.query
        ])  # fmt: skip
        self._round(number, count, drawn, self.call)

    def call(self, case: Any) -> None:
        """One case of Schemathesis."""
        self._count()
        try:
            response = case.call(timeout=60)
            self.judge.statuses[response.status_code] += 1
            case.validate_response(response, checks=_checks())
        except FailureGroup as failures:
            for failure in failures.exceptions:
                title = getattr(failure, "title", "")
                self._report(f"{title} {str(failure)[:300]} ← {case.as_curl_command()[:400]}")

    def linked(self, number: int, count: int) -> None:
        """Schemathesis follows links: what create answered goes into confirm, retry and status."""
        fuzz = self

        class Machine(self._schema(tame=True).as_state_machine()):  # type: ignore[misc]
            def call(self, case: Any, **kwargs: Any) -> Any:
                fuzz._count()
                response = super().call(case, **kwargs)
                fuzz.judge.statuses[response.status_code] += 1
                return response

            def validate_response(self, response: Any, case: Any, **_more: Any) -> None:
                try:
                    case.validate_response(response, checks=_checks())
                except FailureGroup as failures:
                    for failure in failures.exceptions:
                        fuzz._report(f"{str(failure)[:300]} ← {case.as_curl_command()[:400]}")

        machine = seed(number)(Machine)
        machine.run(settings=_settings(count, stateful_step_count=6))

    def forged(self, number: int, count: int) -> None:
        """Forged webhooks over HTTP; the database must not feel them."""
        now = datetime.now(UTC)
        forger = Forger(number, an_event(now), self.secret, now)
        while count:
            forgery = forger.draw()
            if forger.may_pass(forgery):
                continue  # the real thing, and it may be taken
            count -= 1
            header = () if forgery.header is None else (as_bytes(forgery.header),)
            headers = [(b"Stripe-Signature", value) for value in header]
            kind = (b"Content-Type", b"application/json")
            sent = Sent("POST", f"{CHECKOUT}/webhook", forgery.body, (kind, *headers))
            self._count()
            heard = self.wire.ask(sent)
            faults = self.judge.faults(sent, heard)
            if heard.status != 400:
                faults.append(f"a forgery was answered {heard.status}")
            for fault in faults:
                self._report(f"{fault} ← {forgery.how} {forgery.header!r}")

    # how

    def _round(
        self, number: int, count: int, drawn: SearchStrategy[Any], do: Callable[[Any], None]
    ) -> None:
        seed(number)(_settings(count)(given(drawn)(do)))()

    def _count(self) -> None:
        self.cases += 1
        self.tick(1)

    def _report(self, fault: str) -> None:
        if len(self.found) < MOST_FOUND and fault not in self.found:
            self.found.append(fault)

    def _schema(self, *, tame: bool = False) -> Any:
        description = with_links(self.judge.description)
        if tame:
            tame_customers(description)
        schema = schemathesis.openapi.from_dict(description)
        schema.config.update(base_url=self.url)
        return schema

    def _operations(self) -> Any:
        return [found.ok() for found in self._schema().get_all_operations()]


def posted(name: str, document: dict[str, Any], *more: tuple[bytes, bytes]) -> Sent:
    """A document on its way to one of the addresses of the checkout."""
    kind = (b"Content-Type", b"application/json")
    return Sent("POST", f"{CHECKOUT}/{name}", json.dumps(document).encode(), (kind, *more))


def session_of(opened: dict[str, Any]) -> str:
    """The payment session in the answer to an order."""
    return str(opened["url"]).rsplit("/", 1)[-1].partition("#")[0]


def _checks() -> list[Any]:
    checks.load_all_checks()
    return checks.CHECKS.get_by_names(list(CHECKS))


def _settings(count: int, **more: Any) -> settings:
    return settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        **more,
    )


def an_order() -> dict[str, Any]:
    """A good order of every product of the stage, and of every field."""
    at = datetime.now(UTC) + timedelta(days=30)
    return {
        "items": [
            {"product_id": BOUQUET, "quantity": 2, "type": "grand"},
            {"product_id": BREAD, "quantity": 1},
            {"product_id": SERVICE, "quantity": 1, "type": "standard"},
        ],
        "customer": {
            "firstName": "Ada", "lastName": "Martin", "email": "ada@example.com",
            "phone": "+33612345678", "address": "12 rue des Lilas", "postalCode": "75020",
            "city": "Paris", "country": "FR", "fax": "+33142345678",
        },
        "appointment": at.replace(minute=0, second=0, microsecond=0).isoformat(),
        "note": "Sonner deux fois.", "locale": "fr",
    }  # fmt: skip


def with_links(description: dict[str, Any]) -> dict[str, Any]:
    """The description with links from create and retry to what their answers open."""
    described: dict[str, Any] = json.loads(json.dumps(description))
    body = "$response.body#/"
    links = {
        "pay again": {"operationId": "retryPayment", "requestBody": {
            "commandId": f"{body}commandId", "token": f"{body}token"}},
        "pay again at another total": {"operationId": "retryPayment", "requestBody": {
            "commandId": f"{body}commandId", "token": f"{body}token", "acceptTotal": 1.005}},
        "confirm the address": {"operationId": "confirmPayment", "requestBody": {
            "commandId": f"{body}commandId", "sessionId": f"{body}url#regex:(cs_test_[^#/]+)"}},
        "confirm the reference": {"operationId": "confirmPayment", "requestBody": {
            "commandId": f"{body}commandId", "sessionId": f"{body}ref"}},
        "look": {"operationId": "showCommand", "parameters": {
            "path.command_id": f"{body}commandId", "query.token": f"{body}token"}},
        "look with another key": {"operationId": "showCommand", "parameters": {
            "path.command_id": f"{body}commandId", "query.token": f"{body}ref"}},
    }  # fmt: skip
    for operation in ("create-stripe-checkout-session", "retry-payment"):
        described["paths"][f"{CHECKOUT}/{operation}"]["post"]["responses"]["200"]["links"] = links
    # Otherwise no drawn order would be one: what only this shop knows stands in.
    item = described["components"]["schemas"]["Item"]["properties"]
    item["product_id"]["enum"] = [BOUQUET, BREAD, SERVICE, "f" * 24]
    buyer = described["components"]["schemas"]["Buyer"]["properties"]
    buyer["phone"]["enum"] = ["+33612345678", "06 12 34 56 78", "112", "phone"]
    buyer["country"]["enum"] = ["FR", "fr", None, "ZZ"]
    item["type"] = {"enum": ["standard", "grand", None, "none"]}
    order = described["components"]["schemas"]["CheckoutRequest"]["properties"]
    years = [datetime.now(UTC) + timedelta(days=days) for days in (1, 400, -1, 4000)]
    order["appointment"]["enum"] = [at.isoformat() for at in years]
    return described


def tame_customers(description: dict[str, Any]) -> None:
    """Let every drawn customer be a good one, so that orders come about that links can follow."""
    schemas = description["components"]["schemas"]
    good = an_order()["customer"]
    for name, value in good.items():
        schemas["Buyer"]["properties"][name] = {"enum": [value]}
    order = schemas["CheckoutRequest"]["properties"]
    order["appointment"]["enum"] = [an_order()["appointment"]]
    order["note"] = {"enum": [None, "a", "b"]}
    order["items"]["maxItems"] = 3
    item = schemas["Item"]["properties"]
    item |= {"product_id": {"enum": [BOUQUET]}, "type": {"enum": ["grand"]}}
    item["quantity"]["maximum"] = 9
