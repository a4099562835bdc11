"""Outgoing mail: sends one rendered letter to one person, by SMTP or into a folder."""

import asyncio
import hashlib
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import aiosmtplib
import structlog
from prometheus_client import Counter

from commande.core.letter import Letter
from commande.errors import MailUnavailable, SettingInvalid
from commande.settings import Settings

LETTERS: Final = Counter("commande_mails_total", "Letters handed over.", ["outcome"])
# As for Stripe: nobody waits longer for the network. The outbox tries again later.
DEADLINE: Final = 11.0

_ADDRESS: Final = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,255}")
_SENDER: Final = re.compile(
    rf"(?:(?P<name>[^<>@\r\n]*)<(?=[^<>]*>$))?(?P<address>{_ADDRESS.pattern})(?(name)>)"
)
_MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")
_SHAPES: Final = (
    "Write smtp://user:password@host:587 (STARTTLS), smtps://user:password@host:465 or "
    "file:///folder; special characters in the password as %40."
)

log = structlog.get_logger("commande.mail")


def open_mail(settings: Settings) -> "NoMail | MailServer | MailFolder":
    """The outgoing mail that COMMANDE_MAIL_URL names; without one, mail is not enabled.

    ``smtp://`` demands STARTTLS, except from this machine to itself; ``?starttls=required``,
    ``offered`` or ``off`` decides otherwise. Raises SettingInvalid.
    """
    if settings.mail_url is None:
        return NoMail()
    try:
        parts = urlsplit(settings.mail_url)
        sender = _sender(settings, parts)
        if parts.scheme == "file":
            return MailFolder(_folder(parts), sender)
        return MailServer(_route(parts, settings), sender)
    except ValueError as error:
        raise SettingInvalid("COMMANDE_MAIL_URL", f"{error}.", _SHAPES) from None


@dataclass(frozen=True, slots=True)
class Route:
    """Where letters are handed over, and how."""

    host: str
    port: int
    tls: bool
    """TLS from the first byte."""
    starttls: bool | None
    """True: or not at all; None: when the server offers it."""
    user: str | None
    password: str | None
    greeting: str
    """Our own name in EHLO."""
    deadline: float = DEADLINE
    """Seconds for one letter, connecting included."""


class NoMail:
    """No outgoing mail is configured."""

    enabled = False

    async def send(self, letter: Letter) -> None:  # noqa: ARG002
        """Refuse. Raises MailUnavailable."""
        raise MailUnavailable("COMMANDE_MAIL_URL is not set: no letter leaves.")


class MailServer:
    """Hands letters to an SMTP server, a connection each: letters are few, servers hang up."""

    enabled = True

    def __init__(self, route: Route, sender: Address) -> None:
        self._route, self._sender = route, sender

    async def send(self, letter: Letter) -> None:
        """Hand the letter over. Raises MailUnavailable; a repeat carries the same Message-ID."""
        message = compose(letter, self._sender)
        route = self._route
        try:
            async with asyncio.timeout(route.deadline):
                await aiosmtplib.send(
                    message,
                    sender=self._sender.addr_spec,
                    recipients=[_address(letter.to)],
                    hostname=route.host,
                    port=route.port,
                    use_tls=route.tls,
                    start_tls=route.starttls,
                    username=route.user,
                    password=route.password,
                    local_hostname=route.greeting,
                    timeout=route.deadline,
                )
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # The server's words may quote the recipient: only its code is kept.
            root = error.__cause__ if isinstance(error.__cause__, OSError) else error
            name, code = type(root).__name__, getattr(error, "code", None)
            log.warning("mail_failed", error=name, smtp_code=code)
            LETTERS.labels("failed").inc()
            said = f"{name} {code}" if code else name
            failed = MailUnavailable(f"The mail server did not take the letter ({said}).")
        else:
            LETTERS.labels("sent").inc()
            return
        raise failed


class MailFolder:
    """Writes each letter as an .eml file; a repeated letter replaces its own file."""

    enabled = True

    def __init__(self, folder: Path, sender: Address) -> None:
        self._folder, self._sender = folder, sender

    async def send(self, letter: Letter) -> None:
        """Write the letter. Raises MailUnavailable."""
        message = compose(letter, self._sender)
        try:
            await asyncio.to_thread(self._write, bytes(message), letter.message_id)
        except OSError as error:
            LETTERS.labels("failed").inc()
            name = type(error).__name__
            raise MailUnavailable(f"The letter could not be written ({name}).") from None
        LETTERS.labels("sent").inc()

    def _write(self, content: bytes, message_id: str) -> None:
        name = re.sub(r"[^\w.-]", "_", message_id.strip("<>"), flags=re.ASCII)[:150]
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as part:
            part.write(content)
        # Renamed when complete, so that who watches the folder never reads half a letter.
        Path(part.name).replace(self._folder / f"{name}.eml")


def compose(letter: Letter, sender: Address) -> EmailMessage:
    """The letter as a message: one recipient, text and HTML, nothing that a name could inject.

    Raises MailUnavailable when the recipient's address is none.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = _address(letter.to)
    message["Subject"] = _line(letter.subject)
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = _message_id(letter.message_id, sender.domain)
    # RFC 3834: out-of-office robots do not answer this.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    return message


def _line(text: str) -> str:
    """One header line: every run of blanks and control characters becomes a space."""
    return re.sub(r"[\s\x00-\x1f\x7f\x85\u2028\u2029]+", _space, text).strip()[:250]


def _space(blanks: re.Match[str]) -> str:
    # French narrow spaces are meant; line breaks are not.
    return blanks[0] if blanks[0] in ("\u202f", "\u00a0") else " "


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise MailUnavailable("The recipient's address is not one e-mail address.")
    local, domain = text.rsplit("@", 1)
    try:
        # Domains travel in their ASCII form, which every server understands.
        return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        raise MailUnavailable("The recipient's domain is not a domain.") from None


def _message_id(given: str, domain: str) -> str:
    bare = given.strip("<>")
    if not _MESSAGE_ID.fullmatch(bare):
        bare = f"{hashlib.sha256(given.encode(errors='replace')).hexdigest()[:32]}@{domain}"
    return f"<{bare}>"


def _sender(settings: Settings, parts: SplitResult) -> Address:
    """COMMANDE_MAIL_FROM, else the mail account itself, else an address at the shop's host."""
    name = _line(settings.shop_name)
    if settings.mail_from is None:
        account = unquote(parts.username or "")
        host = urlsplit(settings.site_url).hostname or "localhost"
        given = account if _ADDRESS.fullmatch(account) else f"commande@{host}"
        return Address(name, addr_spec=given)
    match = _SENDER.fullmatch(settings.mail_from.strip())
    if match is None or not match["address"].isascii():
        raise SettingInvalid(
            "COMMANDE_MAIL_FROM",
            "has a value that cannot be used.",
            "Give one address, such as shop@example.org or Le Passage <shop@example.org>.",
        )
    return Address(_line(match["name"] or "").strip('"') or name, addr_spec=match["address"])


def _folder(parts: SplitResult) -> Path:
    folder = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not parts.path.strip("/"):
        raise ValueError("names no folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"names a folder that cannot be made ({type(error).__name__})") from None
    return folder


def _route(parts: SplitResult, settings: Settings) -> Route:
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("is no address of a mail server")
    if parts.path.strip("/") or parts.fragment:
        raise ValueError("has a path")
    tls = parts.scheme == "smtps"
    try:
        port = parts.port or (465 if tls else 587)
    except ValueError:
        raise ValueError("has no usable port") from None
    return Route(
        host=parts.hostname,
        port=port,
        tls=tls,
        starttls=_starttls(parts, tls=tls),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        # Not the machine's full name: finding it out may ask a slow DNS server for every letter.
        greeting=urlsplit(settings.site_url).hostname or "localhost",
    )


def _starttls(parts: SplitResult, *, tls: bool) -> bool | None:
    options = parse_qs(parts.query, keep_blank_values=True)
    asked = options.pop("starttls", [None])
    if options or len(asked) != 1:
        raise ValueError("has options other than starttls")
    if tls:
        return False
    # A relay on the same machine rarely has a certificate that anybody could check.
    here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    words = {"required": True, "offered": None, "off": False, None: not here}
    if asked[0] not in words:
        raise ValueError("has a starttls that is not required, offered or off")
    return words[asked[0]]
