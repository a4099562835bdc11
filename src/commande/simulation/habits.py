"""What customers do with an open payment page: each follows one of these scripts."""

from collections.abc import Callable
from typing import Any, Final

from commande.errors import PaymentNotCompleted, PriceChanged
from commande.simulation.customers import CARD, Shopper
from commande.simulation.scheduler import pause, wait_for

_DECLINED: Final = ("4000000000000002", "4000000000009995")
_SEPA_GOOD: Final = "DE89370400440532013000"
_SEPA_BAD: Final = "DE62370400440532013001"
_DISPUTED: Final = "4000000000000259"
_HOUR: Final = 3600.0
# What customers do with an open payment page, and how often.
_HABITS: Final = (
    ("pays", 40), ("pays twice", 6), ("declined", 8), ("closes the tab", 14), ("goes back", 8),
    ("two tabs", 8), ("direct debit", 10), ("comes late", 6), ("leaves", 16), ("disputes", 2),
)  # fmt: skip


async def _pays(me: Shopper) -> None:
    if me.pay():
        await pause(me.rng.random() * 4)
        await me.come_back()


async def _pays_twice(me: Shopper) -> None:
    """Pays, comes back in two windows at once, opens the page again; some want the same twice."""
    if not me.pay():
        return
    address = me.addresses[-1]
    await pause(me.rng.random() * 2)
    for reply in [me.confirm(address), me.confirm(address), me.confirm(address)]:
        await wait_for(reply)
    await pause(me.rng.choice((1.0, 60.0, 30 * _HOUR)))
    await me.come_back(address)
    await me.retry()
    if me.addresses[-1] == address and me.key is None:
        reply = me.ask_for(None)
        await wait_for(reply)
        me.learn(reply)
    again = me.addresses[-1]
    if again != address and me.pay():
        if me.commands[again] == me.commands[address]:
            me.world.watch.cry("I4", "a customer could pay twice", me.commands[again])
        me.world.reach("C11")


async def _declined(me: Shopper) -> None:
    for _ in range(me.rng.randint(1, 3)):
        me.pay(me.rng.choice(_DECLINED))
        await pause(me.rng.random() * 60)
    if me.rng.random() < 0.3:
        await me.retry()
    if me.pay():
        await me.come_back()


async def _closes_the_tab(me: Shopper) -> None:
    """Pays and sees no answer; some doubt later whether they did, and try to pay again."""
    if not me.pay(hasty=0.5) or me.rng.random() < 0.6:
        return
    paid = me.addresses[-1]
    await pause(me.rng.choice((20.0, 280.0, 3000.0, 22.6 * _HOUR)))
    await me.retry()
    again = me.addresses[-1]
    if again != paid and me.pay() and me.commands[again] == me.commands[paid]:
        me.world.watch.cry("I4", "a customer in doubt could pay twice", me.commands[paid])


async def _goes_back(me: Shopper) -> None:
    """Back and forth; sometimes an address from before is still open in the history."""
    for _ in range(me.rng.randint(1, 4)):
        await me.retry()
        await pause(me.rng.choice((1.0, 60.0, 1800.0, 4 * _HOUR)))
    address = me.rng.choice(me.addresses)
    if me.pay(address=address):
        await me.come_back(address)
    elif me.pay():
        await me.come_back()


async def _two_tabs(me: Shopper) -> None:
    """The cancel page twice at once; then both tabs pay."""
    await pause(me.rng.choice((0.0, 600.0, 22.6 * _HOUR, 23.2 * _HOUR)))
    if me.command is None:
        return
    replies = [me.ask_again(None), me.ask_again(None)]
    for reply in replies:
        await wait_for(reply)
        if isinstance(reply.error, PriceChanged) and not reply.lost:
            reply = me.ask_again(reply.error.new_minor)  # noqa: PLW2901 – the tab's next answer
            await wait_for(reply)
        me.learn(reply)
    paid = [address for address in dict.fromkeys(me.addresses) if me.pay(address=address)]
    if len({me.commands[address] for address in paid}) < len(paid):
        me.world.watch.cry("I4", "two tabs paid one command twice", me.commands[paid[0]])
    if len(paid) > 1:
        me.world.reach("C11")
    for address in paid:
        await me.come_back(address)


async def _direct_debit(me: Shopper) -> None:
    means = _SEPA_BAD if me.rng.random() < 0.5 else _SEPA_GOOD
    if not me.pay(means):
        return
    if me.rng.random() < 0.7:
        await pause(1.0)
        reply = me.confirm(me.addresses[-1])
        await wait_for(reply)
        if isinstance(reply.error, PaymentNotCompleted):
            me.world.outcomes["debit failed at once"] += 1
    if means == _SEPA_GOOD and me.rng.random() < 0.5:
        return
    again = me.rng.choice((CARD, _SEPA_GOOD, _SEPA_BAD))
    for _ in range(3):
        await pause(me.world.profile.sepa * me.rng.choice((0.5, 1.0, 1.2)) + 30.0)
        before = len(me.addresses)
        await me.retry()
        if len(me.addresses) > before and me.pay(again):
            await me.come_back()


async def _comes_late(me: Shopper) -> None:
    """Pays around the hour when the session expires and clean-up comes."""
    await pause(me.rng.choice((22.4, 22.95, 22.999, 23.5, 24.0, 24.02)) * _HOUR)
    if me.rng.random() < 0.6:
        await me.retry()
    await pause(me.rng.random() * me.rng.choice((2.0, 120.0)))
    if me.pay():
        if me.rng.random() < 0.5:
            await me.come_back()
    else:
        await me.retry()
        if me.pay():
            await me.come_back()


async def _leaves(me: Shopper) -> None:
    if me.rng.random() < 0.3:
        await pause(me.rng.random() * 26 * _HOUR)
        await me.retry()


async def _disputes(me: Shopper) -> None:
    if me.pay(_DISPUTED):
        await me.come_back()


_SCRIPTS: Final[dict[str, Callable[[Shopper], Any]]] = {
    "pays": _pays, "pays twice": _pays_twice, "declined": _declined,
    "closes the tab": _closes_the_tab, "goes back": _goes_back, "two tabs": _two_tabs,
    "direct debit": _direct_debit, "comes late": _comes_late, "leaves": _leaves,
    "disputes": _disputes,
}  # fmt: skip


async def live(me: Shopper) -> None:
    """The customer's whole story."""
    await me.place_order()
    if not me.addresses:
        me.world.outcomes["gave up"] += 1
        return
    names, weights = zip(*_HABITS, strict=True)
    habit = me.rng.choices(names, weights)[0]
    me.world.outcomes[habit] += 1
    await pause(me.rng.expovariate(1 / 40.0))
    await _SCRIPTS[habit](me)
