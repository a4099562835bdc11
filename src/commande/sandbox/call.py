"""One request on its way through the engine: taken in, run, answered."""

from typing import NamedTuple

import orjson

from commande.sandbox.account import Account
from commande.sandbox.errors import Refusal
from commande.sandbox.faults import REQUEST_FAULTS, Fault
from commande.sandbox.keys import check_key
from commande.sandbox.routes import Route, find_route
from commande.sandbox.store import Row
from commande.sandbox.world import API_VERSION, Cause

_BROKEN = b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"


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


class Call:
    """One request on its way: begun, then run (or given up, when it hangs until nobody waits)."""

    def __init__(
        self,
        account: Account,
        method: str,
        path: str,
        params: Row | Refusal,
        headers: dict[str, str],
    ) -> None:
        self.account, self.world = account, account.world
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
        account.tick()
        self._log: Row = {
            "id": self.id, "at": self.world.clock.now(), "method": method, "path": path,
            "idempotency_key": self.key,
            "params": params if isinstance(params, dict) else None, "status": None,
        }  # fmt: skip
        account.requests.append(self._log)
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
        self.scope = check_key(headers, self.account.api_key, self.params,
                               public=found is not None and found[0].public)  # fmt: skip
        if found is None:
            raise Refusal(
                f"Unrecognized request URL ({self.method}: {self.path}). Please see "
                "https://stripe.com/docs or we can help at https://support.stripe.com/.",
                status=404,
            )
        self.route, self.target = found
        self.account.calls[f"{self.method} /{'/'.join(self.route.path)}"] += 1
        version = headers.get("stripe-version", API_VERSION)
        if not version.endswith(".endive"):
            raise Refusal(f"The stand-in speaks {API_VERSION} only, not {version:.40}.")
        self._faults = self.world.faults.strike(REQUEST_FAULTS, method=self.method, path=self.path)
        if "429" in self._faults or self.account.over_limit(self.route):
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
            self._kept = self.account.keys.begin(self.scope, self.key, request, self.params)
            self._held = self._kept is None

    def give_up(self) -> None:
        """Nobody waits any more and nothing was done."""
        self._release()

    def _release(self) -> None:
        if self._held and self.key is not None:
            self.account.keys.release(self.scope, self.key)
            self._held = False

    def run(self) -> Answer:
        """Do it, write it down together with its idempotency result, and answer."""
        if self._ready is not None:
            return self._ready
        if self._kept is not None:
            return self._trouble(self._again(self._kept))
        with self.account.lock:
            try:
                if "500_before" in self._faults:
                    return self._answered(500, _stripe_is_broken(self.id))
                answer = self._execute()
            finally:
                self._release()
                self.account.state.commit()
        return self._trouble(answer)

    def _execute(self) -> Answer:
        assert self.route is not None  # noqa: S101 - without a route there is an answer already
        assert isinstance(self.params, dict)  # noqa: S101
        try:
            given = self.route.form.check(self.params, "")
        except Refusal as refusal:
            return self._refused(refusal)
        self.account.tick()  # time may have passed since it was taken in
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
            self.account.keys.keep(self.scope, self.key, f"{self.method} {self.path}", self.params,
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
