"""The stand-in without HTTP: one request in, one answer out, no event loop, no sockets.

    engine = Engine(clock=StandingClock(), seed=7)
    status, headers, body = engine.handle("POST", "/v1/tax_rates", {...}, {"authorization": ...})

Thousands of checkouts a second fit through it, so a simulation can call it in its own process.
"""

from pathlib import Path
from typing import Any

from commande.sandbox import webhooks
from commande.sandbox.account import Account
from commande.sandbox.call import Call
from commande.sandbox.clock import Clock
from commande.sandbox.dashboard import Dashboard
from commande.sandbox.errors import Refusal
from commande.sandbox.faults import Fault
from commande.sandbox.store import Row
from commande.sandbox.tax import Rounding

_LOGGED = 10_000


class AnswerLost(Exception):
    """The caller never gets (all of) the answer. `done` tells what it cannot know."""

    def __init__(self, kind: str, *, done: bool) -> None:
        super().__init__(kind)
        self.kind, self.done = kind, done


class Engine(Account):
    """The stand-in itself. One request at a time: whoever comes from another thread waits."""

    def __init__(
        self,
        *,
        url: str = "http://127.0.0.1:4242/sandbox",
        api_key: str | None = None,
        endpoints: list[tuple[str, str]] | None = None,
        state: Path | None = None,
        seed: int | str | None = None,
        clock: Clock | None = None,
        tax_rounding: Rounding = "line",
        shop_name: str = "Le Petit Passage",
    ) -> None:
        super().__init__(
            url=url, api_key=api_key, state=state, seed=seed, clock=clock,
            tax_rounding=tax_rounding, shop_name=shop_name,
        )  # fmt: skip
        self.dashboard = Dashboard(self)
        for address, secret in endpoints or []:
            self._register(address, secret)
        self.tick()

    def _register(self, address: str, secret: str) -> None:
        """Register an endpoint given at the start; one that is on file gets its secret again."""
        for id_, row in self.state.rows["webhook_endpoint"].items():
            if row["url"] == address:
                self.state.put("webhook_secret", id_, {"secret": secret})
                return
        webhooks.create_endpoint(self.world, {"url": address, "enabled_events": ["*"]}, secret)

    def next_parcel(self) -> webhooks.Parcel | None:
        """The next webhook to send; report it with `report_parcel`."""
        with self.lock:
            self.tick()
            return webhooks.next_parcel(self.world)

    def report_parcel(self, delivery: str, status: int | None) -> None:
        """Tell how a webhook was received (None: not at all)."""
        with self.lock:
            webhooks.report_parcel(self.world, delivery, status)
            self.state.commit()

    def fail(self, kind: str, **how: Any) -> Fault:
        """Order a fault: see `faults.py` for the kinds; count, probability, method, path, type."""
        return self.world.faults.add(kind, **how)

    def begin(self, method: str, path: str, params: Row | Refusal, headers: dict[str, str]) -> Call:
        """Take a request in: log it, choose its faults, take its idempotency key."""
        with self.lock:
            return Call(self, method, path, params, headers)

    def handle(
        self, method: str, path: str, params: Row | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:  # fmt: skip
        """Answer one request at once. `params` nested, headers in lower case.

        Raises AnswerLost where HTTP would hang or break off; latency is not slept.
        """
        call = self.begin(method, path, params or {}, headers or {})
        if call.hang_before:
            call.give_up()
            raise AnswerLost("hang_before", done=False)
        answer = call.run()
        if answer.hang or answer.cut:
            raise AnswerLost("hang_after" if answer.hang else "cut_body", done=True)
        return answer.status, answer.headers, answer.body

    def close(self) -> None:
        self.state.close()
