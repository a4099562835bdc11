"""The ``command`` object of the API."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import orjson
import pytest

from commande.core.command import Status, take_snapshot
from commande.core.customer import KEYS
from commande.core.document import Command, command_document, instant
from commande.core.money import to_major
from commande.core.pricing import PricedLine, quote
from commande.core.tax import TaxRate
from tests.support.carts import carts
from tests.support.properties import catches, forall

# Contract section 2, and what we add.
PROMISED = {"_id", "ref", "status", "paid", "paidAt", "module", "cart", "customer", "appointment",
            "cartSnapshot", "currency", "createdAt", "updatedAt"}  # fmt: skip
ADDED = {"note", "refunded", "refundedMinor"}
CANARY = "canary"
NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)


def a_command(**changes: Any) -> Command:
    command = Command(
        id="507f1f77bcf86cd799439011",
        ref="#ABC12345",
        status=Status.UNPAID,
        module_id="507f1f77bcf86cd799439012",
        currency="eur",
        cart=[{"product_id": "507f1f77bcf86cd799439013", "quantity": 2, "type": "standard"}],
        customer=dict.fromkeys(KEYS, f"X{CANARY}") | {"country": "FR"},
        appointment_at=NOON + timedelta(days=3),
        note=f"Digicode {CANARY}",
        locale="fr",
        snapshot=None,
        paid_at=None,
        paid_session_id=None,
        refunded_minor=0,
        attention=None,
        created_at=NOON,
        updated_at=NOON,
    )
    return replace(command, **changes)


def a_paid_command(currency: str = "eur", lines: list[PricedLine] | None = None) -> Command:
    rate = TaxRate("FR", Decimal("5.5"), inclusive=True)
    bread = PricedLine("507f1f77bcf86cd799439013", "Brioche", "standard", 2, 2999, rate)
    snapshot = take_snapshot(quote([bread] if lines is None else lines, currency))
    return a_command(
        status=Status.PAID,
        currency=currency,
        paid_at=NOON,
        paid_session_id=f"cs_test_{CANARY}",
        snapshot=snapshot,
    )


@pytest.mark.parametrize(
    "command",
    [a_command(), a_paid_command(), a_command(customer=None, note=None, status=Status.EXPIRED)],
    ids=["unpaid", "paid", "erased"],
)
@pytest.mark.parametrize("masked", [False, True])
def test_all_keys_are_always_there(command: Command, masked: bool) -> None:
    document = command_document(command, masked=masked)
    assert set(document) == PROMISED | ADDED
    assert document["paid"] is (command.paid_at is not None)
    assert (document["cartSnapshot"] is None) == (document["paidAt"] is None)
    if command.customer is not None:
        assert set(document["customer"]) == set(KEYS)
    orjson.dumps(document)


def test_the_reference_reads_as_written() -> None:
    document = command_document(a_paid_command())
    snapshot = document["cartSnapshot"]
    assert document["cart"]["products"][0]["quantity"] == 2
    (line,) = snapshot["products"]
    assert (line["title"], line["price"], line["quantity"]) == ("Brioche", 29.99, 2)
    assert (line["taxRate"], line["taxInclusive"]) == (5.5, True)
    assert snapshot["totalPrice"] == 59.98
    assert snapshot["taxes"] == [
        {"rate": 5.5, "country": "FR", "inclusive": True, "base": 56.85, "baseMinor": 5685,
         "amount": 3.13, "amountMinor": 313}
    ]  # fmt: skip
    assert '"totalPrice": 59.98,' in json.dumps(snapshot)


def test_every_amount_prints_exactly_beside_its_minor_units() -> None:
    @forall(carts())
    def _(cart: tuple[str, list[PricedLine]]) -> None:
        currency, lines = cart
        document = command_document(a_paid_command(currency, lines))
        text = orjson.dumps(document)
        snapshot = json.loads(text, parse_float=Decimal)["cartSnapshot"]
        for part in (snapshot, *snapshot["products"], *snapshot["taxes"]):
            for key in {key for key in part if f"{key}Minor" in part}:
                assert Decimal(part[key]) == to_major(part[f"{key}Minor"], currency)
        total = snapshot["totalPriceMinor"]
        assert total == sum(line["totalMinor"] for line in snapshot["products"])
        assert total == quote(lines, currency).total_minor
        by_rate = sum(tax["baseMinor"] + tax["amountMinor"] for tax in snapshot["taxes"])
        untaxed = sum(x["totalMinor"] for x in snapshot["products"] if x["taxRate"] is None)
        assert by_rate + untaxed == total


def the_masked_view_keeps_quiet(document: Callable[..., dict[str, Any]]) -> None:
    for command in (a_command(), a_paid_command()):
        assert CANARY in json.dumps(document(command))  # the canary sings at all
        assert CANARY not in json.dumps(document(command, masked=True))


def test_a_masked_command_tells_nothing_about_the_customer() -> None:
    the_masked_view_keeps_quiet(command_document)


def test_control_a_view_that_shows_the_note_would_be_caught() -> None:
    def shows_the_note(command: Command, *, masked: bool = False) -> dict[str, Any]:
        return command_document(command, masked=masked) | {"note": command.note}

    catches(the_masked_view_keeps_quiet, shows_the_note)


def test_what_is_ours_alone_is_not_shown() -> None:
    text = json.dumps(command_document(a_paid_command()) | {"customer": None, "note": None})
    assert CANARY not in text  # the session id


@pytest.mark.parametrize("status", [Status.PAID, Status.PARTIALLY_REFUNDED, Status.REFUNDED])
def test_a_refunded_command_stays_paid(status: Status) -> None:
    command = replace(a_paid_command(), status=status, refunded_minor=1010)
    document = command_document(command)
    assert document["paid"] is True
    assert document["status"] == status.value
    assert (document["refunded"], document["refundedMinor"]) == (10.1, 1010)


def test_times_are_utc_with_a_z() -> None:
    paris = NOON.astimezone(timezone(timedelta(hours=1)))
    assert instant(NOON) == instant(paris) == "2026-11-23T12:00:00.123Z"
    assert instant(NOON.replace(microsecond=0)) == "2026-11-23T12:00:00.000Z"
    assert instant(None) is None
