"""The hosted payment page: works without JavaScript, in French and English."""

import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from commande.sandbox.cards import Buyer, find_means
from commande.sandbox.engine import Engine
from commande.sandbox.errors import Refusal
from commande.sandbox.page_form import FIELDS, Typed, empty, read_form
from commande.sandbox.page_view import describe
from commande.sandbox.parameters import parse_form
from commande.sandbox.store import Row
from commande.sandbox.texts import choose_language

_WAIT_FOR_SHOP = 10.0  # seconds, as Stripe waits for the webhook before it sends the buyer back
_LARGEST_FORM = 16 * 1024
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

Show = Callable[[Request], Awaitable[Response]]


def page_routes(engine: Engine, locale: str) -> list[Route]:
    """The payment page and the bank's page."""
    page = _Page(engine, locale)
    return [
        Route("/c/pay/{id}", page.show, methods=["GET"]),
        Route("/c/pay/{id}", page.submit, methods=["POST"]),
        Route("/c/pay/{id}/3ds", page.show_bank, methods=["GET"]),
        Route("/c/pay/{id}/3ds", page.answer_bank, methods=["POST"]),
    ]


class _Page:
    def __init__(self, engine: Engine, locale: str) -> None:
        self._engine, self._locale = engine, locale
        self._state = engine.state

    async def show(self, request: Request) -> Response:
        self._engine.tick()
        session = self._find(request)
        if session is None or session["status"] != "open":
            return self._closed(request, session)
        return self._form(request, session, empty(session["customer_email"] or ""))

    async def submit(self, request: Request) -> Response:
        self._engine.tick()
        session = self._find(request)
        if session is None or session["status"] != "open":
            return self._closed(request, session)
        today = dt.datetime.fromtimestamp(self._engine.world.now, dt.UTC)
        free = session["payment_status"] == "no_payment_required"
        typed = read_form(await _read(request), today.year, today.month, free=free)
        if typed.errors or typed.means is None:
            return self._form(request, session, typed)
        buyer = Buyer(typed.values["email"], typed.name)
        try:
            session = self._engine.dashboard.confirm(session["id"], typed.means, buyer, "ask")
        except Refusal as refusal:
            return self._form(request, session, typed, refusal)
        if session["status"] == "open":
            return RedirectResponse(f"{session['id']}/3ds", 303)
        return await self._leave(request, session)

    async def show_bank(self, request: Request) -> Response:
        session = self._find(request)
        if session is None or session["status"] != "open":
            return self._closed(request, session)
        asked = self._asked(session)
        if asked is None:
            return RedirectResponse(f"../{session['id']}", 303)
        words = self._words(request, session)
        shown = describe(self._engine.world, session, words)
        return self._page("bank.html", request, session, words, last4=asked[0][-4:], **shown)

    async def answer_bank(self, request: Request) -> Response:
        self._engine.tick()
        session = self._find(request)
        if session is None or session["status"] != "open":
            return self._closed(request, session)
        asked = self._asked(session)
        if asked is None:
            return RedirectResponse(f"../{session['id']}", 303)
        number, *who = asked
        approved = (await _read(request)).get("decision") == "approve"
        try:
            session = self._engine.dashboard.confirm(
                session["id"], find_means(number), Buyer(*who),
                "approve" if approved else "fail",
            )  # fmt: skip
        except Refusal as refusal:
            typed = empty(who[0] or "")
            typed.values["billingName"] = who[1] or ""
            return self._form(request, session, typed, refusal, action=f"../{session['id']}")
        return await self._leave(request, session)

    async def _leave(self, request: Request, session: Row) -> Response:
        """Back to the shop, once it has heard of the payment (or after ten seconds)."""
        event = self._state.rows["checkout"][session["id"]]["completed_event"]
        if not hasattr(request.app.state, "courier"):
            raise RuntimeError("enter the sandbox's lifespan: it delivers the webhooks")
        await request.app.state.courier.wait_for(event, _WAIT_FOR_SHOP)
        address = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
        return RedirectResponse(address, 303)

    def _find(self, request: Request) -> Row | None:
        return self._state.get("session", request.path_params["id"])

    def _asked(self, session: Row) -> list[Any] | None:
        """Number and buyer of the payment that the bank asks about, if it does."""
        kept = self._state.rows["checkout"][session["id"]]
        intent = self._state.get("payment_intent", kept.get("intent", ""))
        asking = intent is not None and intent["status"] == "requires_action"
        return kept.get("asked") if asking else None

    def _words(self, request: Request, session: Row | None) -> dict[str, Any]:
        return choose_language(
            session["locale"] if session else None,
            request.headers.get("accept-language", ""),
            self._locale,
        )

    def _form(
        self, request: Request, session: Row, typed: Typed, refusal: Refusal | None = None,
        action: str = "",
    ) -> Response:  # fmt: skip
        words = self._words(request, session)
        says = words["errors"]
        alert = None
        if refusal is not None:
            code = refusal.more.get("decline_code") or refusal.code
            alert = says.get(code) or says.get(refusal.code) or refusal.message
        return self._page(
            "pay.html", request, session, words,
            typed=typed.values, alert=alert, action=action,
            errors={name: says[typed.errors[name]] if name in typed.errors else None
                    for name in FIELDS},
            wrong=[name for name in FIELDS if name in typed.errors],
            fixed_email=session["customer_email"],
            **describe(self._engine.world, session, words),
        )  # fmt: skip

    def _closed(self, request: Request, session: Row | None) -> Response:
        words = self._words(request, session)
        if session is None:
            state, link, shop, status = "unknown", None, self._engine.world.shop_name, 404
        else:
            state, link = _closed_state(self._engine, session)
            shop, status = session["branding_settings"]["display_name"], 200
        return self._page(
            "closed.html", request, session, words, status=status, heading=words[state],
            sentence=words[f"{state}_text"], link=link, shop=shop,
        )  # fmt: skip

    def _page(
        self, template: str, request: Request, session: Row | None, words: dict[str, Any],
        /, status: int = 200, **shown: Any,
    ) -> Response:  # fmt: skip
        # Relative, so that any prefix and any name of this machine will do.
        root = "../" * (3 if request.url.path.endswith("/3ds") else 2)
        html = _TEMPLATES.get_template(template).render(t=words, root=root, **shown)
        return Response(html, status, _headers(session), "text/html")


def _closed_state(engine: Engine, session: Row) -> tuple[str, str | None]:
    """How a finished session is described, and where its link leads."""
    done = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
    if session["status"] == "expired":
        return "expired", session["cancel_url"]
    if session["payment_status"] != "unpaid":
        return "complete", done
    intent = engine.state.get("payment_intent", session["payment_intent"] or "")
    if intent is not None and intent["status"] == "processing":
        return "processing", done
    return "failed", session["cancel_url"]


def _headers(session: Row | None) -> dict[str, str]:
    # Browsers hold the redirect after a form to form-action too, so the shop must stand in it.
    back = urlsplit(session["success_url"]) if session else None
    shop = f" {back.scheme}://{back.netloc}" if back else ""
    return {
        "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
        f"img-src data:; form-action 'self'{shop}; base-uri 'none'; frame-ancestors 'none'",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }


async def _read(request: Request) -> FormData:
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > _LARGEST_FORM:
            return FormData()
    try:
        fields = parse_form(bytes(raw))
    except (Refusal, UnicodeDecodeError):
        return FormData()
    return FormData({name: value for name, value in fields.items() if isinstance(value, str)})
