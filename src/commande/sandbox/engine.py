"""The stand-in without HTTP: one request in, one answer out, no event loop, no sockets.

    engine = Engine(clock=StandingClock(), seed=7)
    status, headers, body = engine.handle("POST", "/v1/tax_rates", {...}, {"authorization": ...})

Thousands of checkouts a second fit through it, so a simulation can call it in its own process.
"""

import threading
from collections import Counter, deque
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from commande.sandbox import payments, refunds, sessions, webhooks
from commande.sandbox.clock import Clock, RunningClock
from commande.sandbox.dashboard import Dashboard
from commande.sandbox.errors import Refusal
from commande.sandbox.faults import REQUEST_FAULTS, Fault, Faults
from commande.sandbox.idempotency import Keys
from commande.sandbox.ids import Ids
from commande.sandbox.keys import check_key, refuse_live
from commande.sandbox.routes import Route, find_route
from commande.sandbox.store import FileState, Row, State
from commande.sandbox.tax import Rounding
from commande.sandbox.world import API_VERSION, Cause, Settings, World

_LOGGED = 10_000
_BROKEN = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


class AnswerLost(Exception):
    """The caller never gets (all of) the answer. `done` tells what it cannot know."""

    def __init__(self, kind: str, *, done: bool) -> None:
        super().__init__(kind)
        self.kind, self.done = kind, done


class Answer(NamedTuple):
    """What goes back: the three of HTTP, and what goes wrong on the way (seconds, cut)."""

    status: int
    headers: dict[str, str]
    body: bytes
    hang: float = 0.0
    cut: bool = False


GATEWAY_TIMEOUT = Answer(
    504,
    {"content-type": "text/html"},
    b"<html><head><title>504 Gateway Time-out</title></head></html>",
)


class Engine:
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
        refuse_live(api_key)
        self.lock = threading.RLock()  # a test looks in from its own thread
        self.api_key = api_key
        kept = FileState(state) if state is not None else State()
        started = kept.get("settings", "settings") or {"starts": 0, "offset": 0.0}
        settings = Settings(tax_rounding=tax_rounding)
        faults = Faults()
        if seed is not None:
            faults.dice.seed(f"{seed}/faults/{started['starts']}")
        self.world = World(
            kept,
            clock or RunningClock(started["offset"]),
            Ids(seed, started["starts"]),
            settings,
            faults,
            url.rstrip("/"),
            shop_name,
        )
        self.state = kept
        self.keys = Keys(self.world)
        self.dashboard = Dashboard(self)
        self.requests: deque[Row] = deque(maxlen=_LOGGED)
        self.calls: Counter[str] = Counter()
        self._seconds: Counter[tuple[str, int]] = Counter()
        self._starts = started["starts"] + 1
        self.remember_clock()
        for address, secret in endpoints or []:
            self._register(address, secret)
        self.tick()

    def remember_clock(self) -> None:
        offset = getattr(self.world.clock, "offset", 0.0)
        self.state.put("settings", "settings", {"starts": self._starts, "offset": offset})

    def _register(self, address: str, secret: str) -> None:
        """Register an endpoint given at the start; one that is on file gets its secret again."""
        for id_, row in self.state.rows["webhook_endpoint"].items():
            if row["url"] == address:
                self.state.put("webhook_secret", id_, {"secret": secret})
                return
        webhooks.create_endpoint(self.world, {"url": address, "enabled_events": ["*"]}, secret)

    # -- time -----------------------------------------------------------------------------------

    def tick(self) -> None:
        """Do what the clock says is due (expiries, bank answers), and write it down."""
        with self.lock:
            timer = self.world.take_timer()
            while timer is not None:
                self.world.cause = Cause()
                _do_timer(self.world, timer["action"], timer["target"])
                timer = self.world.take_timer()
            self.state.commit()

    def next_due(self) -> float | None:
        """When something is due next, by the stand-in's clock."""
        return self.world.next_due()

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

    # -- requests -------------------------------------------------------------------------------

    def fail(self, kind: str, **how: Any) -> Fault:
        """Order a fault: see `faults.py` for the kinds; count, probability, method, path, type."""
        return self.world.faults.add(kind, **how)

    def begin(
        self, method: str, path: str, params: Row | Refusal, headers: dict[str, str]
    ) -> "Call":
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

    def over_limit(self, route: Route) -> bool:
        """Whether this address has had its requests for this second."""
        limit = self.world.settings.rate_limit
        if limit is None:
            return False
        second = self.world.now
        if not any(at == second for _, at in self._seconds):
            self._seconds.clear()
        self._seconds[f"{route.method} {'/'.join(route.path)}", second] += 1
        return self._seconds[f"{route.method} {'/'.join(route.path)}", second] > limit

    def close(self) -> None:
        self.state.close()


def _do_timer(world: World, action: str, target: str) -> None:
    if action == "expire_session":
        sessions.expire_session(world, target, by_clock=True)
    elif action == "settle_debit":
        payments.finish_debit(world, target, succeeds=True)
    elif action == "fail_debit":
        payments.finish_debit(world, target, succeeds=False)
    elif action == "settle_refund":
        refunds.settle_refund(world, target)
    elif action == "fail_refund":
        refunds.fail_refund(world, target)
    elif action == "open_dispute":
        charge = world.state.get("charge", target)
        if charge and charge["status"] == "succeeded" and not charge["disputed"]:
            refunds.open_dispute(world, target)


class Call:
    """One request on its way: begun, then run (or given up, when it hangs until nobody waits)."""

    def __init__(
        self, engine: Engine, method: str, path: str, params: Row | Refusal, headers: dict[str, str]
    ) -> None:
        self.engine, self.world = engine, engine.world
        self.method, self.path, self.params = method, path, params
        self.id = self.world.ids.new("req_", 14)
        self.key = headers.get("idempotency-key") if method == "POST" else None
        self.scope = ""
        self._held = False
        self._kept: Row | None = None
        self._ready: Answer | None = None
        self.route: Route | None = None
        self.target = ""
        self._faults: dict[str, Fault] = {}
        engine.tick()
        self._log: Row = {
            "id": self.id, "at": self.world.clock.now(), "method": method, "path": path,
            "idempotency_key": self.key,
            "params": params if isinstance(params, dict) else None, "status": None,
        }  # fmt: skip
        engine.requests.append(self._log)
        try:
            self._take_in(headers)
        except Refusal as refusal:
            self._ready = self._refused(refusal)

    @property
    def latency(self) -> float:
        return self._faults["latency"].seconds if "latency" in self._faults else 0.0

    @property
    def hang_before(self) -> float:
        return self._faults["hang_before"].seconds if "hang_before" in self._faults else 0.0

    def _take_in(self, headers: dict[str, str]) -> None:
        found = find_route(self.method, self.path)
        self.scope = check_key(headers, self.engine.api_key, self.params,
                               public=found is not None and found[0].public)  # fmt: skip
        if found is None:
            raise Refusal(
                f"Unrecognized request URL ({self.method}: {self.path}). Please see "
                "https://stripe.com/docs or we can help at https://support.stripe.com/.",
                status=404,
            )
        self.route, self.target = found
        self.engine.calls[f"{self.method} /{'/'.join(self.route.path)}"] += 1
        version = headers.get("stripe-version", API_VERSION)
        if not version.endswith(".endive"):
            raise Refusal(f"The stand-in speaks {API_VERSION} only, not {version:.40}.")
        self._faults = self.world.faults.strike(REQUEST_FAULTS, method=self.method, path=self.path)
        if "429" in self._faults or self.engine.over_limit(self.route):
            raise Refusal("Request rate limit exceeded. Learn more about rate limits "
                          "https://stripe.com/docs/rate-limits.", status=429,
                          code="rate_limit")  # fmt: skip
        if "502_html" in self._faults:
            self._ready = self._answered(502, _BROKEN, html=True)
            return
        if isinstance(self.params, Refusal):
            raise self.params
        if self.key is not None:
            request = f"{self.method} {self.path}"
            self._kept = self.engine.keys.begin(self.scope, self.key, request, self.params)
            self._held = self._kept is None

    def give_up(self) -> None:
        """Nobody waits any more and nothing was done."""
        self._release()

    def _release(self) -> None:
        if self._held and self.key is not None:
            self.engine.keys.release(self.scope, self.key)
            self._held = False

    def run(self) -> Answer:
        """Do it, write it down together with its idempotency result, and answer."""
        if self._ready is not None:
            return self._ready
        if self._kept is not None:
            return self._again(self._kept)
        with self.engine.lock:
            try:
                if "500_before" in self._faults:
                    return self._answered(500, _stripe_is_broken(self.id))
                answer = self._execute()
            finally:
                self._release()
                self.engine.state.commit()
        return self._trouble(answer)

    def _execute(self) -> Answer:
        assert self.route is not None  # noqa: S101 - without a route there is an answer already
        assert isinstance(self.params, dict)  # noqa: S101
        try:
            given = self.route.form.check(self.params, "")
        except Refusal as refusal:
            return self._refused(refusal)
        self.engine.tick()  # time may have passed since it was taken in
        self.world.cause = Cause(self.id, self.key)
        try:
            answer = self._answered(
                200, orjson.dumps(self.route.do(self.world, self.target, given))
            )
        except Refusal as refusal:
            answer = self._refused(refusal)
            if not self.route.keeps_refusals:
                return answer
        finally:
            self.world.cause = Cause()
        if "500_after" in self._faults:
            answer = self._answered(500, _stripe_is_broken(self.id))
        if self.key is not None:
            self.engine.keys.keep(self.scope, self.key, f"{self.method} {self.path}", self.params,
                                  (answer.status, answer.body), self.id)  # fmt: skip
        return answer

    def _trouble(self, answer: Answer) -> Answer:
        if "502_html_after" in self._faults:
            return self._answered(502, _BROKEN, html=True)
        if "hang_after" in self._faults:
            return answer._replace(hang=self._faults["hang_after"].seconds)
        if "cut_body" in self._faults:
            return answer._replace(cut=True)
        return answer

    def _again(self, kept: Row) -> Answer:
        answer = self._answered(kept["status"], kept["body"].encode())
        answer.headers["idempotent-replayed"] = "true"
        answer.headers["original-request"] = kept["id"]
        return answer

    def _refused(self, refusal: Refusal) -> Answer:
        return self._answered(refusal.status, orjson.dumps(refusal.body(self.id)))

    def _answered(self, status: int, body: bytes, *, html: bool = False) -> Answer:
        self._log["status"] = status
        if html:
            return Answer(status, {"content-type": "text/html"}, body)
        headers = {
            "content-type": "application/json",
            "request-id": self.id,
            "stripe-version": API_VERSION,
        }
        if self.key is not None:
            headers["idempotency-key"] = self.key
            headers["original-request"] = self.id
        return Answer(status, headers, body)


def _stripe_is_broken(request: str) -> bytes:
    refusal = Refusal("An unknown error occurred", status=500, type="api_error")
    return orjson.dumps(refusal.body(request))
