"""Where PostgreSQL is, and how a session with it begins."""

import socket
from contextlib import suppress
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from commande.db.connection import wrong_address

CONNECT_S = 4.0
STATEMENT_MS = 10_000
# A little less, so that whoever waits for a lock hears of the lock and not of the time.
LOCK_MS = 8_000
# A transaction function never waits for anything but the database: an idle one has lost us.
IDLE_MS = 15_000
# Only for a server that fell silent: above what it needs to notice its own limits.
SILENCE_S = 12.0
GOODBYE_S = 0.5
# A machine that acknowledges no packet for so long is gone, whatever it was asked. One that
# computes, or waits for a lock or a standby, still acknowledges.
DEAF_S = 5

_NEXT_HOST = (
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.PostgresConnectionError,
)


class Session(asyncpg.Connection):  # type: ignore[misc]
    """A driver connection that knows of COMMIT.

    ``doubt``: the server warned since this was reset. ``committing``: COMMIT is under way.
    """

    __slots__ = ("committing", "doubt")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.committing = self.doubt = False
        self.add_log_listener(_notice)
        self._watch_the_line()

    async def close(self, *, timeout: float | None = GOODBYE_S) -> None:  # noqa: ASYNC109
        """Say goodbye, but not for long: SQLAlchemy closes one after the other."""
        # Who did not hear it is gone, and the driver has let go of the line.
        with suppress(TimeoutError):
            await super().close(timeout=timeout)

    def _cancel_current_command(self, *waiters: Any) -> None:
        """Tell the server to stop, but never in a COMMIT that waits for a standby (C44).

        Cancelled, it would show every reader of this server what no standby has yet. Instead the
        line is let go: the server waits on by itself, and nobody sees anything before it is safe.
        """
        if not self.committing:
            super()._cancel_current_command(*waiters)
            return
        for waiter in waiters:
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        # Later: the driver is still about to tell whoever waits for the answer.
        self._loop.call_soon(self.terminate)

    def _watch_the_line(self) -> None:
        """Have the kernel end the session when the other machine is gone without a word.

        After a partition a whole pool of such sessions is left, used or idle. Each would cost
        somebody ``SILENCE_S``, long after the failover.
        """
        line = self._transport.get_extra_info("socket")
        if line is None or line.family not in (socket.AF_INET, socket.AF_INET6):
            return
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        options = {"KEEPIDLE": DEAF_S, "KEEPINTVL": 1, "KEEPCNT": 3, "USER_TIMEOUT": DEAF_S * 1000}
        for name, value in options.items():
            option = getattr(socket, f"TCP_{name}", None)  # not every system knows each of them
            if option is not None:
                line.setsockopt(socket.IPPROTO_TCP, option, value)


class Hosts:
    """The hosts of one address, each tried in its own share of ``CONNECT_S``.

    The driver would give all of them one time limit, and a dead first host would use it up.
    """

    def __init__(self, address: str, *, application: str, patient: bool = False) -> None:
        """``patient``: for a migration, whose statements take what they take."""
        rest = address.partition("://")[2]
        end = min((rest.find(mark) for mark in "/?#" if mark in rest), default=len(rest))
        user, at, hosts = rest[:end].rpartition("@")
        if any(not _is_port(host) for host in hosts.split(",")):
            raise wrong_address("a port is not a number from 1 to 65535.")
        self._addresses = [
            f"postgresql://{user}{at}{host}{rest[end:]}" for host in hosts.split(",")
        ]
        self._settings = {
            "application_name": application,
            "statement_timeout": "0" if patient else str(STATEMENT_MS),
            "lock_timeout": str(LOCK_MS),
            "idle_in_transaction_session_timeout": str(IDLE_MS),
        }
        self._silence_s = None if patient else SILENCE_S

    async def connect(self) -> Session:
        """Open a session with the first host that fits, beginning with the last that did.

        Raises ``SettingInvalid`` when the address itself is refused, else what the last host
        answered.
        """
        last: BaseException | None = None
        for address in tuple(self._addresses):
            try:
                session = await self._open(address)
            except _NEXT_HOST as error:
                last = error
            else:
                self._addresses.sort(key=lambda other: other != address)
                return session
        raise last or wrong_address("it names no host.")

    async def _open(self, address: str) -> Session:
        try:
            session: Session = await asyncpg.connect(
                address,
                timeout=CONNECT_S / len(self._addresses),
                command_timeout=self._silence_s,
                server_settings=self._settings,
                connection_class=Session,
            )
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            raise wrong_address("the server refuses the user or its password.") from error
        except asyncpg.InvalidCatalogNameError as error:
            raise wrong_address("the server has no database of this name.") from error
        except (
            ValueError,
            asyncpg.UndefinedObjectError,
            asyncpg.CantChangeRuntimeParamError,
            asyncpg.InvalidParameterValueError,
        ) as error:
            raise wrong_address("a parameter in it is wrong.") from error
        return session


def _is_port(host: str) -> bool:
    port = host.rpartition("]")[2] if "]" in host else host
    _, colon, number = port.rpartition(":")
    return not colon or (number.isdecimal() and 0 < int(number) < 65536)


def _notice(session: Session, message: Any) -> None:
    if message.severity_en == "WARNING":
        session.doubt = True
