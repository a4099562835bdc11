"""The hosted payment page: works without JavaScript, in French and English."""

import datetime
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from commande.sandbox import payments, sessions
from commande.sandbox.cards import Means, find_means
from commande.sandbox.engine import Engine
from commande.sandbox.errors import Refusal
from commande.sandbox.page_form import FIELDS, Typed, read_form
from commande.sandbox.store import Row
from commande.sandbox.texts import choose_language
from commande.sandbox.page_view import describe

_WAIT_FOR_SHOP = 10.0  # seconds, as Stripe waits for the webhook before it sends the buyer back
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
