"""The engine in process: no event loop, a clock that stands, ids from a seed."""

from pathlib import Path

import orjson
import pytest

from commande.sandbox import AnswerLost, Engine, StandingClock, create_sandbox
from commande.sandbox.cards import _KNOWN
from tests.support.sdk_schema import validate_error, validate_object
from tests.support.stand import KEY, an_order

HEADERS = {"authorization": f"Bearer {KEY}"}


def an_engine(seed: int | None = 1, state: Path | None = None) -> Engine:
    return Engine(
        clock=StandingClock(), seed=seed, state=state,
        endpoints=[("http://shop.example/hook", "whsec_1")],
    )  # fmt: skip


def journey(engine: Engine) -> list[bytes]:
    """Two orders, one declined first and then paid, one expired; all that was said."""
    said = []
    for key in ("a", "b"):
        headers = HEADERS | {"idempotency-key": key}
        _, _, body = engine.handle("POST", "/v1/checkout/sessions", an_order(), headers)
        session = orjson.loads(body)["id"]
        said.append(body)
        path = f"/v1/payment_pages/{session}/confirm"
        if key == "a":
            said += [
                engine.handle("POST", path, {"payment_method": method}, HEADERS)[2]
                for method in ("4000000000000002", "4242424242424242")
            ]
    engine.dashboard.advance(90_000)
    while (parcel := engine.next_parcel()) is not None:
        said.append(parcel.body)
        engine.report_parcel(parcel.delivery, 200)
    return said


def test_the_same_seed_replays_to_the_letter() -> None:
    first, second = journey(an_engine()), journey(an_engine())
    assert first == second
    assert len(first) == 4 + 8
    assert journey(an_engine(seed=2)) != first


def test_lost_answers_are_told_apart_by_what_was_done() -> None:
    engine = an_engine()
    for kind, done in [("hang_before", False), ("hang_after", True), ("cut_body", True)]:
        before = len(engine.state.rows["session"])
        engine.fail(kind)
        with pytest.raises(AnswerLost) as lost:
            engine.handle("POST", "/v1/checkout/sessions", an_order(), HEADERS)
        assert (lost.value.kind, lost.value.done) == (kind, done)
        assert len(engine.state.rows["session"]) - before == done


def test_half_a_surrogate_pair_is_refused() -> None:
    engine = an_engine()
    for order in (an_order(metadata={"k": "\ud800"}), an_order(client_reference_id="\udfff")):
        assert engine.handle("POST", "/v1/checkout/sessions", order, HEADERS)[0] == 400


def test_a_key_is_free_again_after_a_hang() -> None:
    engine = an_engine()
    engine.fail("hang_before")
    headers = HEADERS | {"idempotency-key": "k"}
    with pytest.raises(AnswerLost):
        engine.handle("POST", "/v1/checkout/sessions", an_order(), headers)
    assert engine.handle("POST", "/v1/checkout/sessions", an_order(), headers)[0] == 200


@pytest.mark.parametrize("key", ["sk_live_0123456789", "rk_live_0123456789", "nonsense"])
def test_it_does_not_start_with_a_live_key(key: str) -> None:
    with pytest.raises(ValueError, match=r"test keys|begin with") as refusal:
        create_sandbox(api_key=key)
    assert key not in str(refusal.value)


def test_one_key_may_be_the_only_one() -> None:
    engine = Engine(api_key=KEY)
    assert engine.handle("GET", "/v1/balance", {}, HEADERS)[0] == 200
    other = {"authorization": "Bearer sk_test_other_0123"}
    assert engine.handle("GET", "/v1/balance", {}, other)[0] == 401


EXPANDED = [
    "line_items.data.taxes",
    "line_items.data.price.product",
    "payment_intent.payment_method",
    "payment_intent.latest_charge.refunds",
    "payment_intent.latest_charge.balance_transaction",
    "total_details.breakdown",
]


@pytest.mark.parametrize("number", list(_KNOWN))
def test_every_object_of_a_payment_is_what_the_sdk_describes(number: str) -> None:
    engine = an_engine()

    def ask(method: str, path: str, **params: object) -> dict[str, object]:
        status, _, body = engine.handle(method, path, params, HEADERS)
        answer: dict[str, object] = orjson.loads(body)
        (validate_object if status == 200 else validate_error)(answer)
        return answer

    rate = ask(
        "POST", "/v1/tax_rates", display_name="TVA", percentage=20, inclusive=True, country="FR"
    )
    order = an_order(client_reference_id="r", locale="fr", metadata={"a": "1"})
    order["line_items"][0]["tax_rates"] = [rate["id"]]
    session = ask("POST", "/v1/checkout/sessions", **order)["id"]
    for _ in range(3):
        ask("POST", f"/v1/payment_pages/{session}/confirm", payment_method=number)
        ask("GET", f"/v1/checkout/sessions/{session}", expand=EXPANDED)
    engine.dashboard.advance(400)
    for kind in ("payment_intent", "charge"):
        for id_ in engine.state.rows[kind]:
            ask("GET", f"/v1/{kind}s/{id_}")
    intent = next(iter(engine.state.rows["payment_intent"]))
    whole = ["charge", "payment_intent", "balance_transaction"]
    ask("POST", "/v1/refunds", payment_intent=intent, amount=100, expand=whole)
    engine.dashboard.advance(400)
    for dispute in list(engine.state.rows["dispute"]):
        engine.dashboard.close_dispute(dispute, won=True)
    for kind in (
        "checkout/sessions payment_intents charges refunds disputes balance_transactions events "
        "tax_rates webhook_endpoints"
    ).split():
        ask("GET", f"/v1/{kind}", limit=100)
    ask("GET", f"/v1/checkout/sessions/{session}/line_items", expand=["data.taxes"])
    ask("GET", "/v1/balance")


def test_everything_is_kept_in_the_file_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "stripe.sqlite"
    first = an_engine(state=path)
    headers = HEADERS | {"idempotency-key": "k"}
    made = first.handle("POST", "/v1/checkout/sessions", an_order(), headers)[2]
    session = orjson.loads(made)["id"]
    iban = {"payment_method": "DE89370400440532013000"}
    first.handle("POST", f"/v1/payment_pages/{session}/confirm", iban, HEADERS)
    parcel = first.next_parcel()
    assert parcel is not None
    before = first.handle("GET", f"/v1/checkout/sessions/{session}", {}, HEADERS)[2]
    first.close()

    second = an_engine(state=path)
    assert second.handle("GET", f"/v1/checkout/sessions/{session}", {}, HEADERS)[2] == before
    assert second.handle("POST", "/v1/checkout/sessions", an_order(), headers)[2] == made
    bodies = []
    while (again := second.next_parcel()) is not None:
        bodies.append(again.body)
        second.report_parcel(again.delivery, 200)
    assert parcel.body in bodies  # it was never reported, so it is sent again
    assert len(bodies) == 4
    second.dashboard.advance(10)
    settled = orjson.loads(second.handle("GET", f"/v1/checkout/sessions/{session}", {}, HEADERS)[2])
    assert settled["payment_status"] == "paid"
    other = orjson.loads(second.handle("POST", "/v1/checkout/sessions", an_order(), HEADERS)[2])
    assert other["id"] != session
    second.close()


def test_a_real_clocks_offset_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "stripe.sqlite"
    first = Engine(state=path)
    first.dashboard.advance(5000)
    first.close()
    second = Engine(state=path)
    assert second.dashboard.status()["offset"] == 5000
    second.close()


def test_a_state_file_that_is_none_is_refused_with_its_name(tmp_path: Path) -> None:
    files = {"text": tmp_path / "text.sqlite", "no folder": tmp_path / "nowhere" / "s.sqlite"}
    files["text"].write_text("no database")
    for name, file in files.items():
        with pytest.raises(ValueError, match=r"cannot keep the stand-in's state") as told:
            Engine(state=file)
        assert str(file) in str(told.value), name
