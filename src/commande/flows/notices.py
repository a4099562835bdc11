"""Notices: letters to customers, sent from the outbox, once each."""

import structlog

from commande.core.document import Command
from commande.db.commands import find_command
from commande.db.outbox import Message, claim_messages, delay_message, finish_message, messages_due
from commande.errors import MailUnavailable
from commande.letters import Links, render_letter
from commande.shop import Shop

log = structlog.get_logger()


async def send_due(shop: Shop) -> int:
    """Send the letters that are due; how many were taken. Any number of senders at once.

    At least once: a sender that dies after the hand-over sends again, under the same Message-ID.
    """
    now = shop.clock.now()
    if not await shop.db.read(messages_due, now):
        return 0
    claimed = await shop.db.transaction(claim_messages, now)
    for message in claimed:
        await _send(shop, message)
    return len(claimed)


async def _send(shop: Shop, message: Message) -> None:
    command = await shop.db.read(find_command, message.command_id)
    if not shop.mail.enabled or command is None or command.customer is None:
        await shop.db.transaction(finish_message, message, "skipped", shop.clock.now())
        return
    try:
        links = _links(shop, command)
        letter = render_letter(message.kind, command, shop.settings, links, message.key)
        await shop.mail.send(letter)
    except Exception as error:  # noqa: BLE001 – one letter that cannot be made must not stop others
        await _delay(shop, message, error)
        return
    await shop.db.transaction(finish_message, message, "sent", shop.clock.now())


async def _delay(shop: Shop, message: Message, error: Exception) -> None:
    """Keep the letter for a later try; a mail server that is down is expected, the rest is not."""
    known = isinstance(error, MailUnavailable)
    reason = error.code if isinstance(error, MailUnavailable) else type(error).__name__
    level = log.warning if known else log.error
    level("mail_delayed", kind=message.kind, command=message.command_id, reason=reason,
          exc_info=None if known else error)  # fmt: skip
    await shop.db.transaction(delay_message, message, reason, shop.clock.now())


def _links(shop: Shop, command: Command) -> Links:
    settings = shop.settings
    query = f"?command_id={command.id}&token={shop.seal.token(command.id)}"
    return Links(
        command=f"{settings.site_url}{settings.success_path}{query}",
        payment=f"{settings.site_url}{settings.cancel_path}{query}",
    )
