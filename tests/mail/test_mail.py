"""Letters leave by SMTP or into a folder: one recipient, one message, nothing injected."""

import asyncio
import email
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from email.policy import default
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from aiosmtpd.smtp import SMTP, AuthResult
from structlog.testing import capture_logs

from commande import mail as mail_module
from commande.errors import MailUnavailable, SettingInvalid
from commande.mail import open_mail
from commande.settings import Settings
from commande.shop import Letter
from tests.mail.certificates import self_signed
from tests.support.ports import free_port

LETTER = Letter(
    message_id="paid.c1@shop.example",
    to="camille@example.org",
    subject="Votre commande #K7QX2M9D est payée",
    text="Merci Camille,\nc’est payé : 59,98 €.\n",
    html="<!doctype html><p>Merci <b>Camille</b>, c’est payé : 59,98 €.</p>",
)


def settings(**given):
    wanted = {"STRIPE_SECRET_KEY": "sk_test_x", "COMMANDE_SITE_URL": "https://shop.example",
              "COMMANDE_SHOP_NAME": "Le Petit Passage"}  # fmt: skip
    return Settings(_env_file=None, **wanted | given)


class Postbox:
    """A mail server's other side: keeps what arrives, or refuses it."""

    def __init__(self, answer="250 OK"):
        self.answer, self.envelopes = answer, []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.envelopes.append(envelope)
        return self.answer

    @property
    def messages(self):
        return [email.message_from_bytes(e.content, policy=default) for e in self.envelopes]


@pytest_asyncio.fixture
async def post_office():
    """`post_office(postbox, **options)` is the port of a running SMTP server."""
    loop, opened = asyncio.get_running_loop(), []

    def start(postbox, **options):
        listener = socket.create_server(("127.0.0.1", 0))
        serve = partial(SMTP, postbox, enable_SMTPUTF8=True, **options)
        opened.append(loop.create_task(loop.create_server(serve, sock=listener)))
        return listener.getsockname()[1]

    yield start
    for server in await asyncio.gather(*opened):
        server.close()


async def test_a_letter_arrives_as_it_was_written(post_office):
    postbox = Postbox()
    sender = open_mail(settings(COMMANDE_MAIL_URL=f"smtp://127.0.0.1:{post_office(postbox)}"))
    assert sender.enabled
    await sender.send(LETTER)
    [envelope], [message] = postbox.envelopes, postbox.messages
    assert envelope.rcpt_tos == ["camille@example.org"]
    assert envelope.mail_from == "commande@shop.example"
    assert message["Subject"] == LETTER.subject
    assert message["From"] == "Le Petit Passage <commande@shop.example>"
    assert message["To"] == "camille@example.org"
    assert message["Message-ID"] == "<paid.c1@shop.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.tzinfo is not None
    assert message.get_body(("plain",)).get_content().replace("\r\n", "\n") == LETTER.text
    assert message.get_body(("html",)).get_content().strip() == LETTER.html
    assert message.get_content_type() == "multipart/alternative"


async def test_c40_a_repeat_carries_the_same_message_id(post_office):
    postbox = Postbox()
    sender = open_mail(settings(COMMANDE_MAIL_URL=f"smtp://127.0.0.1:{post_office(postbox)}"))
    odd = Letter("paid:c1 <é>", LETTER.to, "s", "t", "h")
    for letter in (LETTER, LETTER, odd, odd):
        await sender.send(letter)
    first, again, strange, strange_again = (m["Message-ID"] for m in postbox.messages)
    assert first == again == "<paid.c1@shop.example>"
    assert strange == strange_again != first
    assert strange.endswith("@shop.example>")


@pytest.mark.parametrize(
    "attack", ["x\r\nBcc: mallory@example.org", "x\nBcc: mallory@example.org\n\nbody",
               "x\u2028Bcc: mallory@example.org", "x\rBcc: m@example.org", "{{7*7}} %s {0} \x00"],
)  # fmt: skip
async def test_s31_a_name_injects_nothing(post_office, attack):
    postbox = Postbox()
    url = f"smtp://127.0.0.1:{post_office(postbox)}"
    sender = open_mail(settings(COMMANDE_MAIL_URL=url, COMMANDE_SHOP_NAME=attack))
    await sender.send(Letter("id@x", LETTER.to, f"Merci {attack}", attack, attack))
    [envelope], [message] = postbox.envelopes, postbox.messages
    assert envelope.rcpt_tos == ["camille@example.org"]
    assert set(message.keys()) == {"From", "To", "Subject", "Date", "Message-ID",
                                   "Auto-Submitted", "MIME-Version", "Content-Type"}  # fmt: skip
    assert message["Subject"] == "Merci " + " ".join(attack.replace("\x00", " ").split())
    assert message["From"].addresses[0].addr_spec == "commande@shop.example"


@pytest.mark.parametrize(
    "to", ["", "camille", "a@x.org, b@x.org", "a@x.org\r\nRCPT TO:<b@x.org>", "a@x.org b@x.org",
           "<a@x.org>", "a@", "@x.org", "a@x..org"],
)  # fmt: skip
async def test_s31_one_letter_has_one_recipient(post_office, to):
    postbox = Postbox()
    sender = open_mail(settings(COMMANDE_MAIL_URL=f"smtp://127.0.0.1:{post_office(postbox)}"))
    with pytest.raises(MailUnavailable):
        await sender.send(Letter("id@x", to, "s", "t", "h"))
    assert postbox.envelopes == []


async def test_a_domain_with_accents_travels_in_ascii(post_office):
    postbox = Postbox()
    sender = open_mail(settings(COMMANDE_MAIL_URL=f"smtp://127.0.0.1:{post_office(postbox)}"))
    await sender.send(Letter("id@x", "camille@été.example", "s", "t", "h"))
    assert postbox.envelopes[0].rcpt_tos == ["camille@xn--t-9fab.example"]


async def test_a_refused_letter_stays_and_tells_no_address(post_office):
    postbox = Postbox("554 no camille@example.org here")
    sender = open_mail(settings(COMMANDE_MAIL_URL=f"smtp://127.0.0.1:{post_office(postbox)}"))
    with capture_logs() as logs, pytest.raises(MailUnavailable, match="554") as caught:
        await sender.send(LETTER)
    assert "camille" not in f"{caught.value} {caught.value.__context__!r} {logs}"
    assert logs[0]["event"] == "mail_failed"


async def test_a_server_that_is_away_is_mail_unavailable():
    sender = open_mail(settings(COMMANDE_MAIL_URL=f"smtp://127.0.0.1:{free_port()}"))
    with pytest.raises(MailUnavailable):
        await sender.send(LETTER)


async def test_a_server_that_never_speaks_ends_within_the_limit():
    # The kernel takes the connection; nobody ever greets.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = mail_module.MailServer(
            mail_module.Route("127.0.0.1", silent.getsockname()[1], tls=False, starttls=False,
                              user=None, password=None, greeting="shop.example", deadline=0.3),
            mail_module.Address("Shop", addr_spec="a@shop.example"),
        )  # fmt: skip
        async with asyncio.timeout(30):  # half of the library's own patience
            with pytest.raises(MailUnavailable, match="Timeout"):
                await sender.send(LETTER)
    assert mail_module.DEADLINE == 11


@pytest.fixture
def authority(tmp_path: Path) -> ssl.SSLContext:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


class Untrusted(socketserver.ThreadingTCPServer):
    """A mail server with a certificate that nobody vouches for; keeps what it is told."""

    daemon_threads = True
    tls_first = False  # else a mail client waits to be greeted

    def __init__(self, authority: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.authority, self.heard = authority, []
        self.port = self.server_address[1]

    def finish_request(self, request, client_address):
        with suppress(OSError), request:
            request.settimeout(60)
            if self.tls_first:
                request = self.authority.wrap_socket(request, server_side=True)
            request.sendall(b"220 untrusted\r\n")
            while line := request.recv(1000):
                self.heard.append(line)
                offer = b"250-untrusted\r\n250 STARTTLS\r\n"
                request.sendall(offer if line.startswith(b"EHLO") else b"220 go\r\n")
                if line.startswith(b"STARTTLS"):
                    request = self.authority.wrap_socket(request, server_side=True)


@pytest.fixture
def untrusted(authority: ssl.SSLContext) -> Iterator[Untrusted]:
    with Untrusted(authority) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("address", ["smtp://127.0.0.1:{port}?starttls=required",
                                     "smtp://127.0.0.1:{port}?starttls=offered",
                                     "smtps://127.0.0.1:{port}"])  # fmt: skip
async def test_a_certificate_that_nobody_vouches_for_hears_no_letter(untrusted, address):
    url = address.format(port=untrusted.port)
    untrusted.tls_first = address.startswith("smtps:")
    with pytest.raises(MailUnavailable, match="Cert"):
        await open_mail(settings(COMMANDE_MAIL_URL=url)).send(LETTER)
    assert not any(b"MAIL FROM" in line for line in untrusted.heard)


async def test_a_server_without_starttls_gets_nothing_when_it_is_demanded(post_office):
    postbox = Postbox()
    url = f"smtp://127.0.0.1:{post_office(postbox)}?starttls=required"
    with pytest.raises(MailUnavailable):
        await open_mail(settings(COMMANDE_MAIL_URL=url)).send(LETTER)
    assert postbox.envelopes == []


async def test_the_account_of_the_url_is_used_decoded(post_office):
    seen = []

    def check(server, session, envelope, mechanism, auth):
        seen.append((auth.login, auth.password))
        return AuthResult(success=True)

    postbox = Postbox()
    port = post_office(postbox, authenticator=check, auth_require_tls=False)
    url = f"smtp://post%40shop.example:p%40ss%3A%2F@127.0.0.1:{port}"
    await open_mail(settings(COMMANDE_MAIL_URL=url)).send(LETTER)
    assert seen == [(b"post@shop.example", b"p@ss:/")]
    assert postbox.envelopes[0].mail_from == "post@shop.example", "servers want their own account"


async def test_mail_is_off_without_an_address():
    mail = open_mail(settings())
    assert not mail.enabled
    with pytest.raises(MailUnavailable, match="COMMANDE_MAIL_URL"):
        await mail.send(LETTER)


async def test_a_folder_takes_each_letter_once(tmp_path):
    folder = tmp_path / "sent mail"
    mail = open_mail(settings(COMMANDE_MAIL_URL=folder.as_uri()))
    for _ in range(2):
        await mail.send(LETTER)
    await mail.send(Letter("../../evil/../x@y", LETTER.to, "s", "t", "h"))
    names = sorted(path.name for path in folder.iterdir())
    assert names == [".._.._evil_.._x_y.eml", "paid.c1_shop.example.eml"]
    message = email.message_from_bytes((folder / names[1]).read_bytes(), policy=default)
    assert message["Subject"] == LETTER.subject
    assert list(tmp_path.iterdir()) == [folder]


async def test_a_folder_that_went_away_is_mail_unavailable(tmp_path):
    folder = tmp_path / "mail"
    mail = open_mail(settings(COMMANDE_MAIL_URL=folder.as_uri()))
    folder.rmdir()
    with pytest.raises(MailUnavailable, match="FileNotFoundError"):
        await mail.send(LETTER)


@pytest.mark.parametrize(
    "url", ["localhost", "http://x", "smtp://", "smtp:///", "smtp://host:port", "smtp://host:99999",
            "smtp://host/path", "smtp://host?starttls=maybe", "smtp://host?tls=1", "file://",
            "file://server/dir", "file:///", "smtp://[::1", "file:///dev/null/x",
            "smtp://host?starttls=off&starttls=off"],
)  # fmt: skip
def test_a_wrong_address_is_named_with_its_mend(url):
    with pytest.raises(SettingInvalid, match="smtp://user:password@host:587") as caught:
        open_mail(settings(COMMANDE_MAIL_URL=url))
    assert caught.value.variable == "COMMANDE_MAIL_URL"


def test_a_wrong_address_tells_no_password():
    with pytest.raises(SettingInvalid) as caught:
        open_mail(settings(COMMANDE_MAIL_URL="smtp://u:canary@host:port"))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "sender", ["nobody", "a@b, c@d", "é@shop.example", "<a@b", "a@b>", "N <a@b> x", "x\r\ny"]
)
def test_a_wrong_sender_is_named_with_its_mend(sender):
    given = settings(COMMANDE_MAIL_URL="smtp://localhost", COMMANDE_MAIL_FROM=sender)
    with pytest.raises(SettingInvalid) as caught:
        open_mail(given)
    assert caught.value.variable == "COMMANDE_MAIL_FROM"


async def test_the_sender_of_the_settings_is_used(tmp_path):
    for given, shown in (
        ("Bonjour <hello@shop.example>", "Bonjour <hello@shop.example>"),
        ("hello@shop.example", "Le Petit Passage <hello@shop.example>"),
    ):
        url = (tmp_path / "box").as_uri()
        mail = open_mail(settings(COMMANDE_MAIL_URL=url, COMMANDE_MAIL_FROM=given))
        await mail.send(LETTER)
        [file] = (tmp_path / "box").iterdir()
        assert email.message_from_bytes(file.read_bytes(), policy=default)["From"] == shown
