"""Stripe for a simulated process: the real gateway over the stand-in's engine, without HTTP.

Requests, reports, event parsing and signature checks are the real ones; only the transport is
ours, with the same patience, retries, pace and breaker in simulated time.
"""

from itertools import count
from types import SimpleNamespace
from typing import Any, Final, cast

import orjson

from commande.sandbox.engine import AnswerLost
from commande.settings import Settings
from commande.simulation.stage import Stage
from commande.simulation.watch import Watch
from commande.stripe_gateway import Limits
from commande.stripe_gateway.gateway import Gateway
from commande.stripe_gateway.patience import Breaker, Pace
from commande.stripe_gateway.troubles import Call, Trouble, judge_answer, unreadable

LIMITS: Final = Limits()
_SILENT: Final = Trouble("silent", "Stripe did not answer in time.", "some", answered=False)


class StripeLine:
    """The way to Stripe, shared by all processes: what arrives there, and what is noticed of it."""

    def __init__(self, stage: Stage, watch: Watch) -> None:
        self.stage, self._watch = stage, watch

    def ask(
        self, call: Call, request: tuple[str, str, dict[str, Any], dict[str, str]]
    ) -> tuple[int, dict[str, str], bytes]:
        """A request of ours arrives at Stripe. Raises AnswerLost."""
        sessions = self.stage.engine.state.rows["session"]
        before = len(sessions)
        try:
            answer = self.stage.engine.handle(*request)
        finally:
            if len(sessions) > before:
                self._watch.session_made(sessions[next(reversed(sessions))])
        if answer[0] != 200:
            self._note_trouble(call, answer, made=len(sessions) > before)
        return answer

    def _note_trouble(
        self, call: Call, answer: tuple[int, dict[str, str], bytes], *, made: bool
    ) -> None:
        if made:
            self.stage.reach("C5")
        elif call.operation == "expire_session" and answer[0] == 400:
            if self._watch.truth(call.id)["status"] == "complete":
                self.stage.reach("C36")
        elif answer[0] == 429:
            self.stage.reach("C3")
        if b"idempotency_error" in answer[2] and answer[0] == 400:
            self._watch.cry("I0", f"{call.operation}: a key came again with other parameters")

    def reach_lost(self, call: Call, lost: AnswerLost) -> None:
        """An answer was lost: after the deed, or before it."""
        self.stage.reach("C4" if lost.done and call.operation == "create_session" else "C3")

    def straggle(
        self, call: Call, request: tuple[str, str, dict[str, Any], dict[str, str]], after: float
    ) -> None:
        """The request arrives at Stripe after its caller gave up."""

        async def arrive() -> None:
            try:
                self.ask(call, request)
            except AnswerLost:
                return

        self.stage.scheduler.spawn(f"late:{call.operation}", arrive, after=after)


class SimulatedClient:
    """``stripe_gateway.client.Client`` with the scheduler's time and the engine's answers."""

    def __init__(self, line: StripeLine, key: str) -> None:
        self._line, self._stage = line, line.stage
        self._headers = {"authorization": f"Bearer {key}"}
        self._breaker, self._pace = Breaker(LIMITS), Pace(LIMITS)

    def deadline(self) -> float:
        """The time by which a call that begins now gives up."""
        return self._stage.scheduler.now + LIMITS.deadline

    async def call(self, call: Call, until: float | None = None) -> dict[str, Any]:
        """Stripe's JSON answer. Raises StripeUnavailable, StripeRefused, StripeObjectMissing."""
        scheduler = self._stage.scheduler
        probe = self._breaker.enter(scheduler.now)
        answer, unsure = await self._insist(call, until or scheduler.now + LIMITS.deadline)
        answered = answer.answered if isinstance(answer, Trouble) else True
        self._breaker.leave(scheduler.now, probe=probe, answered=answered)
        if isinstance(answer, Trouble):
            raise answer.as_error(unsure=unsure)
        return answer

    async def close(self) -> None:
        """There is no connection."""

    async def _insist(self, call: Call, until: float) -> tuple[dict[str, Any] | Trouble, bool]:
        unsure, scheduler = False, self._stage.scheduler
        for tries in count(1):
            answer = await self._try(call, until)
            if not isinstance(answer, Trouble):
                return answer, False
            unsure = unsure or answer.unsure
            if answer.status == 429:
                self._pace.slow_down(call.operation, scheduler.now)
            wait = min(LIMITS.first_pause * 2.0 ** min(tries - 1, 10), LIMITS.longest_pause)
            wait = max(wait * (0.5 + self._stage.dice().random() / 2), answer.retry_after or 0.0)
            if answer.retry == "never" or (answer.retry == "some" and tries >= LIMITS.tries):
                return answer, unsure
            if scheduler.now + wait >= until:
                return answer, unsure
            await self._stage.step(f"stripe:{call.operation}:again", wait)
        raise AssertionError("count() ends never")

    async def _try(self, call: Call, until: float) -> dict[str, Any] | Trouble:
        stage, now = self._stage, self._stage.scheduler.now
        turn = self._pace.take_turn(call.operation, now, until)
        if turn is None:
            return Trouble("limited", "Stripe's limit is reached.", answered=None)
        patience = max(0.0, min(LIMITS.one_try, until - now - turn))
        there, back = stage.latency("stripe"), stage.latency("stripe")
        if there > patience or stage.outage or stage.strikes("straggler"):
            if not stage.outage:
                self._line.straggle(call, self._request(call), there + patience)
            stage.reach("C52" if stage.outage else "C3")
            await stage.step(f"stripe:{call.operation}:silent", turn + patience)
            return _SILENT
        await stage.step(f"stripe:{call.operation}", turn + there)
        try:
            status, headers, body = self._line.ask(call, self._request(call))
        except AnswerLost as lost:
            self._line.reach_lost(call, lost)
            wait = min(back, 1.0) if lost.kind == "cut_body" else patience
            await stage.step(f"stripe:{call.operation}:{lost.kind}", wait)
            return _SILENT
        if there + back > patience:
            await stage.step(f"stripe:{call.operation}:too_late", patience - there)
            return _SILENT
        await stage.step(f"stripe:{call.operation}:{status}", back)
        return _read(call, status, headers, body)

    def _request(self, call: Call) -> tuple[str, str, dict[str, Any], dict[str, str]]:
        headers = self._headers
        if call.key:
            headers = headers | {"idempotency-key": call.key}
        return call.method.upper(), call.path.format(id=call.id), call.params, headers


def _read(
    call: Call, status: int, headers: dict[str, str], body: bytes
) -> dict[str, Any] | Trouble:
    """The answer of one try, judged as the real client judges it."""
    try:
        data = orjson.loads(body)
    except ValueError:
        data = None
    if status < 300:
        return data if isinstance(data, dict) else unreadable(status)
    # What the SDK's exception carries, and all that the judgement looks at.
    error = SimpleNamespace(json_body=data, headers=headers, request_id=headers.get("request-id"))
    return judge_answer(cast("Any", error), status, call)


class SimulatedGateway(Gateway):
    """The real gateway on the simulated client."""

    def __init__(self, line: StripeLine, settings: Settings) -> None:
        # Not the real one's: it would open a connection pool.
        key = settings.stripe_secret_key.get_secret_value()
        self._client = cast("Any", SimulatedClient(line, key))
        self._secrets = tuple(s.get_secret_value() for s in settings.stripe_webhook_secrets)
