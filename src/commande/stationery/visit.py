"""One visit: what the browser asked, in which language, and the page that goes back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from commande.errors import (
    CommandeError,
    DatabaseBusy,
    FormRefused,
    OutcomeUnknown,
    StripeUnavailable,
)
from commande.settings import Settings
from commande.stationery.drawer import static_path
from commande.stationery.language import COOKIE, choose_language
from commande.stationery.press import LOCALES, Press, Voice

STRIPE_CHECKOUT: Final = "https://checkout.stripe.com"
_LARGEST_FORM: Final = 64 * 1024
# A cart page has three fields a line and at most a hundred lines.
_MOST_FIELDS: Final = 400
_YEAR: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a submitted form, in the order of the page."""

    pairs: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """The first value of that name, or an empty text."""
        return next((value for key, value in self.pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of that name."""
        return [value for key, value in self.pairs if key == name]


def payment_origins(settings: Settings) -> tuple[str, ...]:
    """Where a form may lead a customer to pay: Stripe, or the stand-in that replaces it."""
    if settings.stripe_api_base is None:
        return (STRIPE_CHECKOUT,)
    base = urlsplit(settings.stripe_api_base)
    return (STRIPE_CHECKOUT, f"{base.scheme}://{base.netloc}")


def content_policy(settings: Settings) -> str:
    """The Content-Security-Policy of every page: our own files, and nothing inline.

    ``form-action`` also judges where a form's answer redirects to, hence the payment page.
    """
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'; form-action 'self' {' '.join(payment_origins(settings))}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


@dataclass(frozen=True, slots=True)
class Room:
    """What the pages of one room have in common."""

    settings: Settings
    press: Press
    static: str
    """Where its static files are, below the mount: ``/static/``."""
    policy: str


@dataclass(frozen=True, slots=True)
class _Cookie:
    name: str
    value: str
    seconds: int
    path: str
    same_site: Literal["lax", "strict"]


class Visit:
    """A request and the answer that is being made of it."""

    def __init__(self, room: Room, request: Request) -> None:
        self.room, self.request, self.settings = room, request, room.settings
        self.root: str = request.scope.get("root_path", "").rstrip("/")
        self._cookies: list[_Cookie] = []

    @cached_property
    def voice(self) -> Voice:
        """The visitor's language; a choice in the address is kept for the next visit."""
        request = self.request
        asked = request.query_params.get("lang")
        accepted = request.headers.get("accept-language", "")
        locale = choose_language(asked, self.cookie(COOKIE), accepted, self.settings.locale)
        if asked == locale:
            self.keep(COOKIE, locale, _YEAR)
        return self.room.press.voice(locale)

    @property
    def secure(self) -> bool:
        """Whether the shop is reached over TLS: its cookies then never travel without."""
        return self.settings.site_url.startswith("https://")

    def link(self, path: str) -> str:
        """An address of ours, wherever the application is mounted."""
        return self.root + path

    def cookie(self, name: str) -> str:
        """A cookie as the browser has it, or will have it after this answer."""
        given = next((c.value for c in reversed(self._cookies) if c.name == name), None)
        return self.request.cookies.get(name, "") if given is None else given

    def keep(
        self, name: str, value: str, seconds: int, path: str = "/", *, strict: bool = False
    ) -> None:
        """Give the browser a cookie (``seconds`` 0 takes it away), for pages alone to read."""
        # Browsers take a __Host- cookie for the whole host only.
        whole = "/" if name.startswith("__Host-") else self.link(path)
        self._cookies.append(_Cookie(name, value, seconds, whole, "strict" if strict else "lax"))

    async def read_form(self) -> Form:
        """The submitted form. Raises FormRefused when no page of ours can have sent it."""
        if self.is_foreign():
            raise FormRefused("This form was sent by another site.")
        sent = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if sent != "application/x-www-form-urlencoded":
            raise FormRefused("A form must be sent as application/x-www-form-urlencoded.")
        raw = bytearray()
        async for part in self.request.stream():
            raw += part
            if len(raw) > _LARGEST_FORM:
                raise FormRefused("The form is larger than 64 KiB.")
        try:
            pairs = parse_qsl(
                raw.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
            )
        except ValueError as error:
            raise FormRefused("The form has too many fields.") from error
        return Form(tuple(pairs))

    def is_foreign(self) -> bool:
        """Whether a browser says that another site sent this request.

        Sec-Fetch-Site first: under ``Referrer-Policy: no-referrer`` even our own forms come with
        ``Origin: null``. A client that sends neither is no browser that could be misled.
        """
        headers = self.request.headers
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site not in ("same-origin", "none")
        origin = headers.get("origin")
        if origin is None or origin == "null":
            return False
        ours = {urlsplit(self.settings.site_url).netloc, headers.get("host", "")}
        return urlsplit(origin).netloc not in ours

    def print(
        self, template: str, status: int = 200, *, secret: bool = False, **context: Any
    ) -> Response:
        """The page. ``secret`` pages are never stored by anybody, and tell no other site."""
        page = self.room.press.print(template, self._frame() | context)
        headers = {
            "Content-Security-Policy": self.room.policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer" if secret else "same-origin",
            "Cache-Control": "no-store" if secret else "private, no-cache",
            "Vary": "Cookie, Accept-Language",
            "Content-Language": self.voice.locale,
        }
        return self._with_cookies(HTMLResponse(page, status, headers))

    def go(self, address: str) -> Response:
        """Send the browser on with a GET."""
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return self._with_cookies(RedirectResponse(address, 303, headers))

    def _frame(self) -> dict[str, Any]:
        voice = self.voice
        return {
            "t": voice,
            "link": self.link,
            "static": lambda name: self.root + self.room.static + static_path(name),
            "shop_name": self.settings.shop_name,
            "livemode": self.settings.livemode,
            "other_tongue": self._other_tongue(voice.locale),
        }

    def _other_tongue(self, locale: str) -> tuple[str, str]:
        """The other language, and this page in it; tokens never go into a link."""
        other = next(one for one in LOCALES if one != locale)
        known = self.request.query_params
        kept = {key: known[key] for key in ("command_id", "state", "q", "page") if key in known}
        return other, "?" + urlencode({**kept, "lang": other})

    def _with_cookies(self, response: Response) -> Response:
        for cookie in self._cookies:
            response.set_cookie(
                cookie.name, cookie.value, max_age=cookie.seconds, path=cookie.path,
                httponly=True, samesite=cookie.same_site, secure=self.secure,
            )  # fmt: skip
        return response


Page = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def as_endpoint(room: Room, page: Page) -> Endpoint:
    """The page as a route's endpoint; what goes wrong becomes a page too."""

    async def endpoint(request: Request) -> Response:
        visit = Visit(room, request)
        try:
            return await page(visit)
        except FormRefused:
            return visit.print("failure.html", 403, secret=True, reason="refused")
        except (StripeUnavailable, DatabaseBusy, OutcomeUnknown):
            response = visit.print("failure.html", 503, secret=True, reason="busy")
            response.headers["Retry-After"] = "5"
            return response
        except CommandeError:
            return visit.print("failure.html", 503, secret=True, reason="closed")

    return endpoint


def add_page(
    router: APIRouter, path: str, method: str, endpoint: Endpoint, name: str | None = None
) -> None:
    """Give an endpoint its address; where GET is, HEAD is too. Pages are no part of the API."""
    methods = ["GET", "HEAD"] if method == "GET" else [method]
    router.add_api_route(
        path, endpoint, methods=methods, name=name, include_in_schema=False, response_model=None
    )
