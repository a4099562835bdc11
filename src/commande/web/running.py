"""Flows under way: each runs to its end, whoever hangs up.

Between Stripe's answer and the transaction that records it nothing may be cut, so a flow is a task
of its own and the request only waits for it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import structlog
from starlette.requests import Request

from commande.errors import CommandeError, StripeUnavailable

T = TypeVar("T")

# A flow makes at most a few calls to Stripe, each with its deadline of 11 s; at shutdown one such
# call and its transaction may still end. What is cut later is taken up again by the next start.
PATIENCE: Final = 15.0
# Each call to Stripe ends within 11 s, but a flow may make two (a new tax rate, then the session):
# the caller gets an answer within 12 s all the same (contract), and a repeat finds the work done.
ANSWER_WITHIN: Final = 11.5

log = structlog.get_logger("commande.web")


class RunningFlows:
    """Keeps flows alive until they are done."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, flow: Coroutine[Any, Any, T]) -> T:
        """What the flow returns or raises; a caller that is cancelled leaves the flow running.

        Raises StripeUnavailable when the flow takes too long to wait for; it goes on all the same.
        """
        task = asyncio.create_task(flow)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_tell_failure)
            raise
        except TimeoutError:
            if task.done():
                return task.result()
            task.add_done_callback(_tell_failure)
            raise StripeUnavailable("This takes longer than usual. Please try again.") from None

    async def finish(self, patience: float = PATIENCE) -> int:
        """Wait for what is under way, at most so many seconds; how many were still running then."""
        if not self._tasks:
            return 0
        _, left = await asyncio.wait(self._tasks, timeout=patience)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if left:
            log.warning("flows_cut", count=len(left))
        return len(left)


def _tell_failure(task: asyncio.Task[Any]) -> None:
    """Nobody waits for this flow any more: its failure is worth a line, not a crash."""
    error = None if task.cancelled() else task.exception()
    if isinstance(error, CommandeError):
        log.info("flow_unattended", code=error.code)
    elif error is not None:
        log.error("flow_unattended", exc_info=error)


async def run_to_end(request: Request, flow: Coroutine[Any, Any, T]) -> T:
    """Run a flow for a request; a client that hangs up cuts nothing."""
    running: RunningFlows = request.app.state.running
    return await running.run(flow)
