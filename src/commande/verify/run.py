"""A visit: is this a server that may be tested, every check once, and nothing payable left."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from commande.verify import outside, paying
from commande.verify.check import Broken, Check, NotRun, Result, Visit
from commande.verify.shop import Order, Shop, Unreachable
from commande.verify.stand_in import StandIn

CHECKS: Final[tuple[Check, ...]] = (*outside.FIRST, *paying.ALL, *outside.LAST)
LIVE: Final = "cs_live_"
Progress = Callable[[int, int], None]


class Refused(Exception):
    """This server is not tested; says why."""


def _ignore(_done: int, _total: int) -> None:
    """Nobody watches."""


def verify(
    url: str,
    stripe: str | None = None,
    *,
    token: str | None = None,
    key: str = "sk_test_verify",
    mails: Path | None = None,
    appointment: str | None = None,
    patience: float = 30.0,
    settles: float = 2.5,
    progress: Progress = _ignore,
) -> list[Result]:
    """Hold a test server to its promises; every check and what came of it, in order.

    ``stripe`` names the stand-in that the server was given, ``mails`` the folder of its letters;
    what needs one that is missing is not run. ``patience`` and ``settles`` are seconds to wait for
    what the server must do by itself, and for what it must not do. Leaves nothing that can be paid
    at the stand-in. Raises Refused for a live server, one that is away, or a stand-in that is not
    the server's own.
    """
    shop = Shop(url.rstrip("/"), token, appointment)
    box = None if stripe is None else StandIn(stripe.rstrip("/"), key)
    visit = Visit(shop, box, mails, patience, settles)
    try:
        _enter(visit)
        return list(_run(visit, progress))
    except Unreachable as error:
        raise Refused(str(error)) from None
    finally:
        with suppress(Unreachable):
            leave(visit)


def _enter(visit: Visit) -> None:
    """Look once whether this is play money. Raises Refused, Unreachable."""
    if visit.stripe is not None:
        visit.stripe.status()
    order = visit.shop.order()
    if order.session.startswith(LIVE):
        raise Refused(
            f"{visit.shop.url} takes real money ({order.url.partition('#')[0][:60]}…). One unpaid "
            f"command was opened to see that, {order.ref} of verify@example.com; it closes by "
            "itself. Verify a server with a test key."
        )
    if not order.session:
        raise Refused(f"{visit.shop.url} answers no payment address of Stripe: {order.url[:80]}")
    if visit.stripe is not None and not visit.stripe.session(order.session):
        raise Refused(f"{visit.stripe.url} does not know the sessions of {visit.shop.url}")


def _run(visit: Visit, progress: Progress) -> Iterator[Result]:
    for number, check in enumerate(CHECKS):
        progress(number, len(CHECKS))
        yield run_check(check, visit)
    progress(len(CHECKS), len(CHECKS))


def run_check(check: Check, visit: Visit) -> Result:
    """One check; an answer in another shape than the contract's breaks it as well."""
    try:
        return Result(check, "held", check.run(visit))
    except NotRun as reason:
        return Result(check, "not run", str(reason))
    except (Broken, Unreachable) as seen:
        return Result(check, "broken", str(seen))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        evidence = f"an answer is not of the contract's shape: {type(error).__name__} {error}"
        return Result(check, "broken", evidence)


def leave(visit: Visit) -> int:
    """End every session that can still be paid; how many there were."""
    if visit.stripe is None:
        return 0
    opened: dict[str, Order] = {order.command_id: order for order in visit.shop.orders}
    sessions = [each for id_ in opened for each in visit.stripe.payable(id_)]
    for session in sessions:
        visit.stripe.expire(session)
    return len(sessions)
