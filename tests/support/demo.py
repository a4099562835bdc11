"""`commande demo` as its users run it, in a process of its own."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from commande.db.commands import Listed, list_commands
from commande.db.journal import Fact, read_history
from tests.support.ports import free_port
from tests.support.premises import COMMANDE, letters_about, on_database
from tests.support.serving import wait_until

T = TypeVar("T")
PATIENCE = 120.0  # seconds: a cold start on two shared cores, when others hold them


@dataclass
class Demo:
    """A demo that was started, whether it still runs or not."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    output: Path
    port: int

    @property
    def errors(self) -> Path:
        """The file beside its output with what it complained of."""
        return self.output.with_suffix(".errors")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def printed(self) -> str:
        return self.output.read_text(encoding="utf-8")

    @property
    def password(self) -> str:
        found = re.search(r"password (\S+)", self.printed)
        assert found is not None, self.printed
        return found[1]

    def server(self) -> int:
        """The process that serves now; it is another one after a death. 0 when there is none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return int(children.read_text().split()[0]) if children.read_text().strip() else 0
        return 0

    def interrupt(self) -> int:
        """Ctrl-C; its exit code once it is gone."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    # what one sees

    def read(self, fn: Callable[..., T], *args: Any, **how: Any) -> T:
        url = f"sqlite:///{self.folder / 'commande.sqlite'}"
        return on_database(url, lambda db: db.read(fn, *args, **how))

    def latest(self) -> Listed:
        [listed] = self.read(list_commands, limit=1)
        return listed

    def facts(self, command_id: str, kind: str) -> list[Fact]:
        return [fact for fact in self.read(read_history, command_id) if fact.kind == kind]

    def letters(self, ref: str) -> int:
        return len(letters_about(self.folder / "mails", ref))


def start_demo(
    folder: Path, *options: str, port: int | None = None, output: Path | None = None
) -> Demo:
    """Start it; whoever does so ends it. What it prints goes to a file beside its folder."""
    port = port or free_port()
    output = output or folder.parent / f"{folder.name}-{time.monotonic_ns()}.txt"
    command = [*COMMANDE, "demo", "--dir", str(folder), "--port", str(port), *options]
    with output.open("wb") as said, output.with_suffix(".errors").open("wb") as complained:
        process = subprocess.Popen(
            command,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
            cwd=output.parent,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=complained,
            start_new_session=True,
        )
    return Demo(process, folder, output, port)


@contextlib.contextmanager
def running_demo(folder: Path, *options: str) -> Iterator[Demo]:
    """A demo that has told where it is, until the block ends."""
    demo = start_demo(folder, *options)
    try:
        wait_until(lambda: "Ctrl-C" in demo.printed or ended(demo), "the demo", PATIENCE)
        assert "Ctrl-C" in demo.printed, demo.errors.read_text(encoding="utf-8")
        yield demo
    finally:
        if not ended(demo):
            demo.process.terminate()
        try:
            demo.process.wait(60)
        except subprocess.TimeoutExpired:
            demo.process.kill()  # the server notices, and ends too
            demo.process.wait()


def ended(demo: Demo) -> bool:
    return demo.process.poll() is not None


def is_alive(pid: int) -> bool:
    """Whether there is such a process; a dead one that nobody waited for does not count."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
