"""Runs what the documents show, in a copy of the repository.

A block is run when `<!-- run -->` stands on the line before its fence: `sh` blocks by bash, which
stops at the first failure, `python` blocks by Python. The blocks of one document share a folder and
run in order. `<!-- run in the background -->` starts a server, waits until it is ready, and ends it
after the last block. Port 8000 in a document stands for a free port.
"""

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.support.house import repository_files
from tests.support.ports import free_port
from tests.support.serving import running

FENCE = re.compile(
    r"^<!-- run(?P<background> in the background)? -->\n+"
    r"^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
MARK = re.compile(r"^<!-- run", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
PATIENCE = 240  # seconds for one block


@dataclass(frozen=True)
class Block:
    """One piece of code that a document shows."""

    language: str
    code: str
    background: bool


def blocks(text: str) -> list[Block]:
    """The marked blocks, in order. Raises ValueError when a mark stands before no block."""
    found = [Block(m["language"], m["code"], bool(m["background"])) for m in FENCE.finditer(text)]
    if len(found) != len(MARK.findall(text)):
        raise ValueError("A run mark must stand on the line before a fence of sh or python")
    return found


def copy_repository(root: Path, target: Path) -> Path:
    """A fresh clone, as far as its files go."""
    target.mkdir(parents=True, exist_ok=True)
    for file in repository_files(root):
        copy = target / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    return target


def run_blocks(text: str, root: Path, folder: Path) -> list[str]:
    """Runs the document's blocks and returns what each printed.

    Raises RuntimeError with the block and its output when one fails.
    """
    clone = copy_repository(root, folder / "commande")
    port = free_port()
    environment = quiet_environment(clone, folder)
    printed = []
    with ExitStack() as servers:
        for block in blocks(text):
            command = interpreter(block, port)
            if block.background:
                servers.enter_context(
                    running(command, port=port, cwd=clone, environment=environment, inherit=False)
                )
            else:
                printed.append(run(command, clone, environment))
    return printed


def interpreter(block: Block, port: int) -> list[str]:
    code = re.sub(r"\b8000\b", str(port), block.code)
    if block.language == "python":
        return [sys.executable, "-c", code]
    return ["bash", "-euo", "pipefail", "-c", code]


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if done.returncode:
        raise RuntimeError(
            f"{command[-1]}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def quiet_environment(clone: Path, home: Path) -> dict[str, str]:
    """A new user's shell: our Python first on the path, none of our own settings."""
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "TERM") if name in os.environ}
    programs = [str(Path(sys.executable).parent), os.environ["PATH"]]
    path = os.pathsep.join(programs)
    return {**kept, "PATH": path, "PYTHONPATH": str(clone / "src"), "HOME": str(home)}


def broken_links(page: Path) -> list[str]:
    """The page's relative links that lead to no file, or to no heading of that file."""
    broken = []
    for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        name, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = page.parent / name if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(f"{page.name}: {target}")
    return broken


def anchors(page: Path) -> set[str]:
    """The headings of a page as the links that lead to them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }
