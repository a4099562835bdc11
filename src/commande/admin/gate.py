"""The gate: one password, a signed cookie, and a token in every form.

Nothing is stored: the cookie says until when it is good, and a changed password (or secret) ends
every session at once.
"""

import hmac
from functools import partial
from typing import Final

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.responses import Response

from commande.shop import Shop
from commande.stationery import Form, Visit
from commande.stationery.visit import Page

# A day at the counter.
LASTING: Final = 12 * 3600
# What a wrong guess costs, in seconds: nothing to a person, much to a machine.
PENANCE: Final = 0.5


class Gate:
    """Lets in who knows the password."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._signer = URLSafeTimedSerializer(shop.settings.seal_secret, salt="commande.merchant")

    def _cookie(self, visit: Visit) -> str:
        return "__Host-marchand" if visit.secure else "marchand"

    def _password(self) -> str | None:
        secret = self._shop.settings.admin_password
        return secret.get_secret_value() if secret else None

    async def open(self, visit: Visit, given: str) -> bool:
        """Let the visitor in if the password is right; a wrong one takes a moment."""
        wanted = self._password()
        # Both are hashed by the seal first, so that not even their lengths show in the time taken.
        label = self._shop.seal.label
        right = wanted is not None and hmac.compare_digest(
            label("password", given), label("password", wanted)
        )
        if not right:
            await self._shop.clock.sleep(PENANCE)
            return False
        now = self._shop.clock.now()
        session = {"id": self._shop.ids.object_id(now), "by": self._fingerprint()}
        visit.keep(self._cookie(visit), self._signer.dumps(session), LASTING, strict=True)
        return True

    def close(self, visit: Visit) -> None:
        """Let the visitor out."""
        visit.keep(self._cookie(visit), "", 0, strict=True)

    def session(self, visit: Visit) -> str | None:
        """The visitor's session, if they came in and it still holds."""
        text = visit.cookie(self._cookie(visit))
        try:
            content = self._signer.loads(text, max_age=LASTING)
            by, session = content["by"], content["id"]
        except (BadSignature, KeyError, TypeError):
            return None
        known = isinstance(by, str) and hmac.compare_digest(by, self._fingerprint())
        return session if known and isinstance(session, str) and self._password() else None

    def form_token(self, session: str) -> str:
        """What every form of this session must bring back."""
        return self._shop.seal.label("form", session)

    def is_own(self, form: Form, session: str) -> bool:
        """Whether the form was printed for this session."""
        given = form.get("form_token").encode(errors="replace")
        return hmac.compare_digest(given, self.form_token(session).encode())

    def _fingerprint(self) -> str:
        return self._shop.seal.label("session", self._password() or "")

    def guard(self, page: Page) -> Page:
        """The page behind the gate: without a session a GET leads to it, anything else is 403."""
        return partial(self._guarded, page)

    async def _guarded(self, page: Page, visit: Visit) -> Response:
        if self.session(visit) is not None:
            return await page(visit)
        if visit.request.method in ("GET", "HEAD"):
            return visit.go(visit.link("/marchand/connexion"))
        return visit.print("failure.html", 403, secret=True, reason="refused")
