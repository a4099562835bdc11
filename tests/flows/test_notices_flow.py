"""Notices: one letter for one fact, sent until it arrives or somebody must look."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from commande.core.letter import Letter
from commande.db.outbox import MAX_TRIES
from commande.db.tables import messages
from commande.errors import MailUnavailable
from commande.flows.notices import send_due
from tests.support.seams import Killed, dying
from tests.support.stage import Letterbox, Stage


async def test_a_paid_command_gets_one_letter_with_its_line_in_the_history(stage: Stage) -> None:
    opened = await stage.buy()
    command = await stage.come_back(opened)
    shops = [stage.shop, stage.another_process(), stage.another_process()]
    await asyncio.gather(*(send_due(shop) for shop in shops))
    await stage.work()
    [letter] = stage.mail.letters
    assert letter.to == "john@example.com"
    assert command.ref in letter.text
    assert f"token={opened.token}" in letter.text
    assert (await stage.kinds(opened)).count("mail_sent") == 1
    [row] = await stage.rows(messages)
    assert (row.state, row.next_at) == ("sent", None)


async def test_c40_a_letter_is_tried_again_with_patience_under_the_same_message_id(
    stage: Stage,
) -> None:
    opened = await stage.buy()
    await stage.come_back(opened)
    stage.mail.broken = True
    waits = []
    for _ in range(4):
        assert await send_due(stage.shop) == 1
        assert await send_due(stage.shop) == 0, "not before its time"
        [row] = await stage.rows(messages)
        assert (row.state, row.last_error) == ("pending", "mail_unavailable")
        waits.append(round((row.next_at - stage.clock.now()).total_seconds() / 60))
        stage.clock.offset += row.next_at - stage.clock.now() + timedelta(seconds=1)
    assert waits == [1, 2, 4, 8]
    stage.mail.broken = False
    with pytest.raises(Killed):  # handed over, but the process died before it was noted
        await send_due(dying(stage.shop, "finish_message", committed=False))
    stage.clock.offset += timedelta(seconds=61)
    await send_due(stage.another_process())
    first, second = stage.mail.letters
    assert first.message_id == second.message_id, "at least once, and receivers can tell"
    assert (await stage.kinds(opened)).count("mail_sent") == 1


async def test_a_letter_that_never_goes_out_is_given_up_visibly(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.come_back(opened)
    stage.mail.broken = True
    for _ in range(MAX_TRIES):
        await send_due(stage.shop)
        stage.clock.offset += timedelta(hours=5)
    [row] = await stage.rows(messages)
    assert (row.state, row.tries) == ("dead", MAX_TRIES)
    assert "mail_failed" in await stage.kinds(opened)
    stage.mail.broken = False
    assert await send_due(stage.shop) == 0
    assert (await stage.command(opened)).paid


async def test_without_a_mail_server_letters_are_skipped_visibly(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.come_back(opened)
    stage.mail.enabled = False
    await stage.work()
    assert [row.state for row in await stage.rows(messages)] == ["skipped"]
    assert "mail_skipped" in await stage.kinds(opened)
    stage.mail.enabled = True
    await stage.work()
    assert stage.mail.letters == []


async def test_an_erased_customer_gets_no_letter(stage: Stage) -> None:
    opened = await stage.buy()
    await stage.come_back(opened)
    await stage.sql(
        "UPDATE commands SET customer = NULL, erased_at = updated_at WHERE id = :id",
        id=opened.command_id,
    )
    await stage.work()
    assert [row.state for row in await stage.rows(messages)] == ["skipped"]
    assert stage.mail.letters == []


async def test_c51_a_letter_that_cannot_be_made_does_not_hold_up_the_others(stage: Stage) -> None:
    paid = [await stage.buy() for _ in range(3)]
    for opened in paid:
        await stage.come_back(opened)

    class Choosy(Letterbox):
        async def send(self, letter: Letter) -> None:
            if paid[0].ref in letter.text:
                raise ValueError("an address that no library can write down")
            await super().send(letter)

    mail = Choosy()
    await send_due(replace(stage.shop, mail=mail))
    assert len(mail.letters) == 2
    states = {row.command_id: (row.state, row.last_error) for row in await stage.rows(messages)}
    assert states[paid[0].command_id] == ("pending", "ValueError")


async def test_mail_that_is_down_stops_nothing_but_mail(stage: Stage) -> None:
    stage.mail.broken = True
    opened = await stage.buy()
    await stage.hear()
    await stage.work()
    assert (await stage.command(opened)).paid
    with pytest.raises(MailUnavailable):
        await stage.mail.send(None)  # type: ignore[arg-type]
