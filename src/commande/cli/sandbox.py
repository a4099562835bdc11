"""``sandbox``: the stand-in for Stripe, alone."""

from pathlib import Path
from typing import Annotated, Literal

import typer
import uvicorn

from commande.cli.serve import check_port
from commande.cli.terminal import err, fail
from commande.sandbox import create_sandbox


def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 4242,
    webhook: Annotated[
        list[str] | None, typer.Option(help="Address that gets the events; may be repeated.")
    ] = None,
    secret: Annotated[
        list[str] | None, typer.Option(help="Signing secret of each --webhook, in order.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The only test key that it accepts.")] = None,
    state: Annotated[Path | None, typer.Option(help="File that keeps everything.")] = None,
    seed: Annotated[str | None, typer.Option(help="Makes ids repeatable.")] = None,
    tax_rounding: Annotated[
        str, typer.Option(metavar="line|rate", help="How it rounds tax.")
    ] = "line",
    shop_name: Annotated[str, typer.Option(help="Name on the payment page.")] = "Le Petit Passage",
    locale: Annotated[str, typer.Option(metavar="fr|en", help="Language by default.")] = "fr",
    base_url: Annotated[
        str | None, typer.Option(help="Its public address, when it is not host and port.")
    ] = None,
) -> None:
    """Run the stand-in for Stripe: payment page, signed webhooks, faults on demand."""
    webhooks, secrets = webhook or [], secret or []
    if len(webhooks) != len(secrets):
        raise fail("Give one --secret for each --webhook, in the same order.")
    if locale not in ("fr", "en"):
        raise fail("--locale is fr or en.")
    check_port(host, port)
    public = base_url or f"http://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        app = create_sandbox(
            base_url=public,
            api_key=key,
            endpoints=list(zip(webhooks, secrets, strict=True)),
            state=state,
            seed=seed,
            tax_rounding=_rounding(tax_rounding),
            shop_name=shop_name,
            locale=locale,
        )
    except ValueError as error:
        raise fail(str(error)) from None
    told = f"The stand-in for Stripe is at {public}: set STRIPE_API_BASE={public}"
    err.print(told, soft_wrap=True)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)


def _rounding(text: str) -> Literal["line", "rate"]:
    if text == "line":
        return "line"
    if text == "rate":
        return "rate"
    raise fail("--tax-rounding is line or rate.")
