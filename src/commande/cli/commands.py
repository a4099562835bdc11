"""``commands list|show|cancel|refund|seen``."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from commande.cli.premises import read_settings, with_shop
from commande.cli.terminal import Exit, JsonOption, fail, moment, out, print_json, table
from commande.core.command import Status
from commande.core.document import Command, command_document
from commande.core.money import to_major, to_minor
from commande.db.commands import find_by_ref, find_command, list_commands
from commande.db.journal import read_history
from commande.db.outbox import release_messages
from commande.db.refunds import Refund
from commande.db.upkeep import clear_attention
from commande.flows.refunds import refund_command
from commande.flows.upkeep import cancel_command
from commande.shop import Shop

app = typer.Typer(no_args_is_help=True, help="The commands (orders).")


@app.command("list")
def list_all(
    unpaid: Annotated[bool, typer.Option("--unpaid", help="Only unpaid ones.")] = False,
    paid: Annotated[bool, typer.Option("--paid", help="Only paid ones.")] = False,
    attention: Annotated[
        bool, typer.Option("--attention", help="Only those that need a person.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List commands, newest first."""
    chosen = [
        name for name, on in {"unpaid": unpaid, "paid": paid, "attention": attention}.items() if on
    ]
    if len(chosen) > 1:
        raise fail("Choose one of --unpaid, --paid and --attention.")
    settings = read_settings(stripe=False)
    state = chosen[0] if chosen else None
    rows = with_shop(lambda shop: shop.db.read(list_commands, state=state, limit=limit), settings)
    if as_json:
        print_json([command_document(row.command) for row in rows])
        return
    if not rows:
        out.print("No such command yet." if state else "No command yet.")
        return
    shown = table("ref", "status", "total", "appointment", "opened", "id", right=("total",))
    for row in rows:
        command = row.command
        status = command.status.value + (f", {command.attention}" if command.attention else "")
        amount = f"{to_major(row.total_minor, command.currency)} {command.currency.upper()}"
        shown.add_row(
            command.ref, status, amount,
            moment(command.appointment_at, settings.zone),
            moment(command.created_at, settings.zone), command.id,
        )  # fmt: skip
    out.print(shown)


async def _find(shop: Shop, name: str) -> Command:
    command = await shop.db.read(find_command, name.lower())
    command = command or await shop.db.read(find_by_ref, name)
    if command is None:
        raise fail(f"There is no command “{name}”.")
    return command


NameArgument = Annotated[str, typer.Argument(metavar="ID|REF")]


@app.command()
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show one command with its whole story; --json prints the API's command object."""
    settings = read_settings(stripe=False)

    async def work(shop: Shop) -> None:
        command = await _find(shop, name)
        if as_json:
            print_json(command_document(command))
            return
        state = command.status.value + (
            f", needs a person: {command.attention}" if command.attention else ""
        )
        out.print(f"{command.ref}  {command.id}  {state}")
        customer = command.customer
        if customer is None:
            out.print("Personal data erased.")
        else:
            out.print(f"{customer['firstName']} {customer['lastName']}, {customer['email']}")
        out.print(f"Appointment {moment(command.appointment_at, settings.zone)}")
        lines = table("time", "fact", "source", "detail")
        for fact in await shop.db.read(read_history, command.id):
            detail = ", ".join(f"{key} {value}" for key, value in fact.detail.items())
            at = fact.at.astimezone(settings.zone).strftime("%Y-%m-%d %H:%M:%S")
            lines.add_row(at, fact.kind, fact.source, detail)
        out.print(lines)

    with_shop(work, settings)


@app.command()
def cancel(name: NameArgument) -> None:
    """Close an unpaid command: its session is expired at Stripe first, then its data erased."""

    async def work(shop: Shop) -> Status:
        return await cancel_command(shop, (await _find(shop, name)).id)

    status = with_shop(work)
    if status is Status.EXPIRED:
        out.print("Cancelled; nothing can be paid any more.")
    elif status is Status.EXPIRING:
        out.print(
            "Stripe could not be asked. The command is closed for new payments; the worker goes on."
        )
        raise typer.Exit(Exit.ATTENTION)
    else:
        out.print(f"It was paid in the meantime: the command is {status.value}.")
        raise typer.Exit(Exit.ATTENTION)


@app.command()
def refund(
    name: NameArgument,
    amount: Annotated[
        str | None, typer.Option(help="Such as 12.50 (default: all that is left).")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="For the history, and for Stripe.")] = None,
) -> None:
    """Give money back for a paid command, at Stripe and in its history."""
    settings = read_settings()
    minor = None if amount is None else _amount(amount, settings.currency)

    async def work(shop: Shop) -> Refund:
        return await refund_command(shop, (await _find(shop, name)).id, minor, reason=reason)

    made = with_shop(work, settings)
    given = f"{to_major(made.amount_minor, settings.currency)} {settings.currency.upper()}"
    which = name.removeprefix("#")  # a shell takes # for the beginning of a comment
    out.print(f"{given} will be given back; “commande commands show {which}” tells when it is.")


@app.command()
def seen(name: NameArgument) -> None:
    """Take a command off the list of those that need a person."""

    async def work(shop: Shop) -> bool:
        command = await _find(shop, name)
        return await shop.db.transaction(clear_attention, command.id, shop.clock.now())

    out.print("Done." if with_shop(work) else "It was not on the list.")


@app.command()
def mail(name: NameArgument) -> None:
    """Send the letters that were held because they may have been sent before a restore."""

    async def work(shop: Shop) -> int:
        command = await _find(shop, name)
        return await shop.db.transaction(release_messages, command.id, shop.clock.now())

    out.print(f"{with_shop(work)} letters will be sent.")


def _amount(text: str, currency: str) -> int:
    try:
        return to_minor(Decimal(text.replace(",", ".")), currency)
    except (ValueError, InvalidOperation):
        raise fail(f"“{text}” is no amount in {currency.upper()}.") from None
