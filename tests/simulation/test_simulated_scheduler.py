"""The scheduler: simulated time, replies, and processes that die."""

from random import Random

from commande.simulation.scheduler import Process, Reply, Scheduler, pause, wait_for


async def _say(said: list[str], word: str, seconds: float) -> None:
    await pause(seconds)
    said.append(word)


def test_who_waits_less_goes_on_first() -> None:
    said: list[str] = []
    scheduler = Scheduler(0.0)
    scheduler.spawn("late", lambda: _say(said, "late", 5.0))
    scheduler.spawn("soon", lambda: _say(said, "soon", 1.0))
    scheduler.run(3.0)
    assert said == ["soon"]
    assert scheduler.now == 3.0
    scheduler.run(10.0)
    assert said == ["soon", "late"]


def test_a_reply_wakes_whoever_waits_and_is_given_once() -> None:
    heard: list[object] = []
    scheduler, reply = Scheduler(0.0), Reply()

    async def listen() -> None:
        await wait_for(reply)
        heard.append(reply.value)

    async def answer() -> None:
        await pause(2.0)
        scheduler.settle(reply, "yes")
        scheduler.settle(reply, "no")

    scheduler.spawn("listen", listen)
    scheduler.spawn("answer", answer)
    scheduler.run(1.0)
    assert heard == []
    scheduler.run(3.0)
    assert heard == ["yes"]


def test_a_killed_coroutine_never_goes_on_and_runs_no_finally() -> None:
    said: list[str] = []
    scheduler, process = Scheduler(0.0), Process("server", Random(0))
    process.alive = True

    async def work() -> None:
        try:
            await pause(1.0)
            said.append("worked")
        finally:
            said.append("tidied up")

    scheduler.spawn("work", work, process=process)
    scheduler.run(0.5)
    process.alive = False
    scheduler.run(5.0)
    assert said == []


def test_a_task_of_an_earlier_life_does_not_go_on_after_the_restart() -> None:
    said: list[str] = []
    scheduler, process = Scheduler(0.0), Process("server", Random(0))
    process.alive = True
    scheduler.spawn("work", lambda: _say(said, "old", 1.0), process=process)
    scheduler.run(0.5)
    process.life += 1
    scheduler.spawn("work", lambda: _say(said, "new", 1.0), process=process)
    scheduler.run(5.0)
    assert said == ["new"]


def test_a_process_that_stands_still_goes_on_later() -> None:
    said: list[str] = []
    scheduler, process = Scheduler(0.0), Process("server", Random(0))
    process.alive = True
    scheduler.spawn("work", lambda: _say(said, "worked", 1.0), process=process)
    scheduler.run(0.5)
    process.stands_until = 4.0
    scheduler.run(3.0)
    assert said == []
    scheduler.run(5.0)
    assert said == ["worked"]
