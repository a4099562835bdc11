"""Paying a session: the payment intent, its charges, what the bank says now and later."""

from operator import itemgetter

from commande.sandbox import blanks, charges
from commande.sandbox.cards import BANK_SAYS_NO, Buyer, Decline, Means
from commande.sandbox.errors import Refusal
from commande.sandbox.events import emit
from commande.sandbox.sessions import customer_details, find_session
from commande.sandbox.store import Row
from commande.sandbox.world import World

_AS_GIVEN = (
    "description", "receipt_email", "shipping", "statement_descriptor",
    "statement_descriptor_suffix",
)  # fmt: skip
_AUTHENTICATION_FAILED = Decline(
    "payment_intent_authentication_failure",
    None,
    "We are unable to authenticate your payment method. Please choose a different payment method "
    "and try again.",
)


def confirm_session(
    world: World, id_: str, means: Means, buyer: Buyer, authenticate: str | None = None
) -> Row:
    """Pay an open session; the session as it then is.

    `authenticate` answers 3-D Secure: `approve`, `fail`, `ask` (the intent is then
    `requires_action`), or None: asked at first, approved when the same card comes again.
    Raises Refusal: 402 `card_error` for a decline, 400 when the session is not open.
    """
    session = find_session(world, id_)
    _check_open(session, means)
    email = session["customer_email"] or buyer.email
    if not email:
        raise Refusal("Missing required param: email.", code="parameter_missing", param="email")
    buyer = buyer._replace(email=email)
    if session["payment_status"] == "no_payment_required":
        return _complete(world, session, buyer, "no_payment_required")
    intent = _intent(world, session)
    if means.kind == "card" and _always_asks(session):
        means = means._replace(authenticate=True)
    if means.authenticate and not _answered(world, id_, intent, means, authenticate):
        return _ask_bank(world, id_, intent, means, buyer)
    if means.authenticate and authenticate == "fail":
        raise _decline(world, intent, means, buyer, _AUTHENTICATION_FAILED, charged=False)
    if means.decline is not None:
        raise _decline(world, intent, means, buyer, means.decline, charged=True)
    session = find_session(world, id_)
    if means.kind == "sepa_debit":
        return _start_debit(world, session, intent, means, buyer)
    _succeed(world, intent, charges.charge(world, intent, means, buyer, "succeeded"))
    return _complete(world, session, buyer, "paid", intent, means)


def _always_asks(session: Row) -> bool:
    wanted: str = session["payment_method_options"]["card"]["request_three_d_secure"]
    return wanted != "automatic"


def _answered(world: World, id_: str, intent: Row, means: Means, authenticate: str | None) -> bool:
    if authenticate is not None:
        return authenticate != "ask"
    asked = world.state.rows["checkout"][id_].get("asked", [None])[0]
    return bool(intent["status"] == "requires_action" and asked == means.number)


def _check_open(session: Row, means: Means) -> None:
    if session["status"] == "complete":
        raise Refusal("This Checkout Session has already been completed.",
                      code="payment_intent_unexpected_state")  # fmt: skip
    if session["status"] == "expired":
        raise Refusal("This Checkout Session has expired.")
    if means.kind not in session["payment_method_types"]:
        raise Refusal(f"The payment method type `{means.kind}` is not allowed for this Checkout "
                      "Session.", param="payment_method")  # fmt: skip


def _intent(world: World, session: Row) -> Row:
    """The session's one intent, made at the first attempt to pay."""
    kept = world.state.rows["checkout"][session["id"]]
    intent = world.state.get("payment_intent", kept.get("intent", ""))
    if intent is not None:
        return intent
    data = kept["given"]["payment_intent_data"]
    id_ = world.ids.new("pi_3")
    intent = {
        "id": id_,
        **blanks.INTENT,
        **{name: data.get(name) for name in _AS_GIVEN},
        "amount": session["amount_total"],
        "capture_method": data.get("capture_method", "automatic_async"),
        "client_secret": world.ids.new(f"{id_}_secret_", 25),
        "created": world.now,
        "currency": session["currency"],
        "excluded_payment_method_types": session.get("excluded_payment_method_types"),
        # Stripe copies nothing from the session here (assumed: nobody here could ask it).
        "metadata": data.get("metadata") or {},
        "payment_method_types": session["payment_method_types"],
        "status": "requires_payment_method",
    }
    world.state.put("payment_intent", id_, intent)
    world.state.put("checkout", session["id"], {**kept, "intent": id_})
    world.state.put("session_of", id_, {"session": session["id"]})
    if world.settings.intent_after_decline:
        world.state.put("session", session["id"], {**session, "payment_intent": id_})
    emit(world, "payment_intent.created", intent)
    return intent


def _set_intent(world: World, intent: Row, **changes: object) -> Row:
    intent.update(changes)  # events hold snapshots, so the row itself may change
    world.state.put("payment_intent", intent["id"], intent)
    return intent


def _ask_bank(world: World, id_: str, intent: Row, means: Means, buyer: Buyer) -> Row:
    session = find_session(world, id_)
    kept = world.state.rows["checkout"][id_]
    world.state.put("checkout", id_, {**kept, "asked": [means.number, *buyer]})
    method = charges.note_method(world, means, buyer)
    _set_intent(
        world, intent, status="requires_action", last_payment_error=None, payment_method=method,
        next_action={"type": "redirect_to_url",
                     "redirect_to_url": {"return_url": None,
                                         "url": f"{world.url}/c/pay/{id_}/3ds"}},
    )  # fmt: skip
    emit(world, "payment_intent.requires_action", intent)
    return session


def _decline(
    world: World, intent: Row, means: Means, buyer: Buyer, why: Decline, charged: bool
) -> Refusal:
    """Record a decline; returns the error to raise. The session stays open."""
    charge = charges.charge(world, intent, means, buyer, "failed", why) if charged else None
    method = charge["payment_method"] if charge else intent["payment_method"]
    method = method or charges.note_method(world, means, buyer)
    error: Row = {
        "code": why.code,
        "doc_url": f"https://docs.stripe.com/error-codes#{why.code.replace('_', '-')}",
        "message": why.message,
        "type": "card_error" if means.kind == "card" else "invalid_request_error",
        "payment_method": charges.method_object(world, method),
    }
    if charge:
        error["charge"] = charge["id"]
    if why.decline_code:
        error["decline_code"] = why.decline_code
    _set_intent(world, intent, status="requires_payment_method", last_payment_error=error,
                latest_charge=charge["id"] if charge else intent["latest_charge"],
                next_action=None, payment_method=None, processing=None)  # fmt: skip
    if charge:
        emit(world, "charge.failed", charge)
    emit(world, "payment_intent.payment_failed", intent)
    refusal = Refusal(why.message, status=402, type="card_error", code=why.code)
    refusal.more = {name: error[name] for name in ("charge", "decline_code") if name in error}
    refusal.more["payment_intent"] = dict(intent)
    return refusal


def _succeed(world: World, intent: Row, charge: Row) -> None:
    _set_intent(world, intent, status="succeeded", amount_received=intent["amount"],
                latest_charge=charge["id"], payment_method=charge["payment_method"],
                last_payment_error=None, next_action=None, processing=None)  # fmt: skip
    emit(world, "charge.succeeded", charge)
    emit(world, "payment_intent.succeeded", intent)
    charges.settle_balance(world, charge)


def _complete(
    world: World, session: Row, buyer: Buyer, paid: str, intent: Row | None = None,
    means: Means | None = None,
) -> Row:  # fmt: skip
    session = {
        **session,
        "status": "complete",
        "payment_status": paid,
        "payment_intent": intent["id"] if intent else None,
        "customer_details": customer_details(buyer.email, buyer.name, buyer.country),
        "collected_information": {
            "business_name": None, "individual_name": None, "shipping_details": None,
        },
        "url": None,
    }  # fmt: skip
    world.state.put("session", session["id"], session)
    event = emit(world, "checkout.session.completed", session)
    kept = world.state.rows["checkout"][session["id"]]
    world.state.put("checkout", session["id"], {**kept, "completed_event": event})
    if means is not None and means.later == "disputed":
        due = world.clock.now() + world.settings.dispute_delay
        world.schedule(due, "open_dispute", intent["latest_charge"] if intent else "")
    return session


def _start_debit(world: World, session: Row, intent: Row, means: Means, buyer: Buyer) -> Row:
    """A SEPA debit: the session completes unpaid, the bank answers later."""
    charge = charges.charge(world, intent, means, buyer, "pending")
    _set_intent(world, intent, status="processing", latest_charge=charge["id"],
                payment_method=charge["payment_method"], last_payment_error=None)  # fmt: skip
    emit(world, "charge.pending", charge)
    emit(world, "payment_intent.processing", intent)
    session = _complete(world, session, buyer, "unpaid", intent)
    wait = means.wait if means.wait is not None else world.settings.sepa_delay
    action = "fail_debit" if means.later == "fails" else "settle_debit"
    world.schedule(world.clock.now() + wait, action, intent["id"])
    if means.later == "disputed":
        due = world.clock.now() + wait + world.settings.dispute_delay
        world.schedule(due, "open_dispute", charge["id"])
    return session


def list_debits(world: World) -> list[Row]:
    """The debits that the bank has still to answer, by when it will: `due` and `target`."""
    timers = world.state.rows["timer"].values()
    debits = [timer for timer in timers if timer["action"] in ("settle_debit", "fail_debit")]
    return sorted(debits, key=itemgetter("due"))


def finish_debit(world: World, intent_id: str, *, succeeds: bool) -> None:
    """The bank's answer to a debit. Repeats change nothing."""
    intent = world.state.get("payment_intent", intent_id)
    if intent is None or intent["status"] != "processing":
        return
    session = find_session(world, world.state.rows["session_of"][intent_id]["session"])
    charge = world.state.rows["charge"][intent["latest_charge"]]
    if succeeds:
        charges.finish(world, charge, None)
        _succeed(world, intent, charge)
        session = {**session, "payment_status": "paid"}
        world.state.put("session", session["id"], session)
        emit(world, "checkout.session.async_payment_succeeded", session)
        return
    charges.finish(world, charge, BANK_SAYS_NO)
    error = {"code": BANK_SAYS_NO.code, "message": BANK_SAYS_NO.message,
             "type": "invalid_request_error", "charge": charge["id"],
             "decline_code": BANK_SAYS_NO.decline_code}  # fmt: skip
    _set_intent(world, intent, status="requires_payment_method", last_payment_error=error,
                payment_method=None)  # fmt: skip
    emit(world, "charge.failed", charge)
    emit(world, "payment_intent.payment_failed", intent)
    emit(world, "checkout.session.async_payment_failed", session)
