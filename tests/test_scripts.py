"""What a newcomer does first: `scripts/demo` on a fresh clone, wherever it lies."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.documents import copy_repository
from tests.support.ports import free_port
from tests.support.serving import answers, group_is_alive, has_ended, wait_until

ROOT = Path(__file__).parent.parent
# What the scripts use of a Unix, and no Python.
PROGRAMS = ("sh", "cat", "cksum", "dirname", "grep", "tail", "rm", "chmod", "id", "env")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone in a folder with a difficult name."""
    return copy_repository(ROOT, tmp_path_factory.mktemp("clone") / "la boutique d'été")


@contextmanager
def demo(clone: Path, elsewhere: Path, patience: float) -> Iterator[tuple[psutil.Process, str]]:
    """A running demo and its URL; if it does not end by itself, it is ended here."""
    port = free_port()
    log = elsewhere / "log"
    with log.open("w") as output:
        process = psutil.Popen(
            [clone / "scripts" / "demo"],
            cwd=elsewhere,
            env={**os.environ, "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/readyz") or has_ended(process), url, patience)
        yield process, url
    except RuntimeError as error:
        raise RuntimeError(f"{error}\n{log.read_text()}") from error
    finally:
        if group_is_alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def stop(process: psutil.Process, how: signal.Signals) -> int:
    """Sends the signal to the demo alone; returns its exit code once all its children are gone."""
    family = process.children(recursive=True)
    process.send_signal(how)
    code = process.wait(timeout=60)
    _, alive = psutil.wait_procs(family, timeout=60)
    left = [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
    assert left == [], "the demo left processes behind"
    return 128 - int(code) if code < 0 else int(code)  # as a shell tells it


def test_the_demo_starts_on_a_fresh_clone_and_mends_a_half_made_environment(
    clone: Path, tmp_path: Path
) -> None:
    cut_short = clone / ".venv-demo" / "bin"  # as an interrupted install leaves it: no stamp
    cut_short.mkdir(parents=True)
    (cut_short / "python").write_text("not yet")
    with demo(clone, tmp_path, patience=600) as (process, url):
        assert answers(f"{url}/healthz")
        log = tmp_path / "log"
        wait_until(lambda: url in log.read_text(), "the demo's link")
        assert stop(process, signal.SIGINT) in (0, 130)
    assert not answers(f"{url}/healthz")
    assert "Installing" in log.read_text()
    assert list(tmp_path.iterdir()) == [tmp_path / "log"], "nothing is left in the caller's folder"


def test_a_second_start_takes_seconds_and_ends_on_sigterm(clone: Path, tmp_path: Path) -> None:
    with demo(clone, tmp_path, patience=300) as (process, _):
        seconds = sum(spent(one) for one in [process, *process.children(recursive=True)])
        assert stop(process, signal.SIGTERM) in (0, 143)
    assert "Installing" not in (tmp_path / "log").read_text()
    assert seconds < 20  # 10 are promised; of its own processes, whoever else is busy


def spent(process: psutil.Process) -> float:
    """Seconds of computing, those of children that have ended among them."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def test_the_demo_explains_itself_after_a_change_of_the_lock_file_without_network(
    clone: Path, tmp_path: Path
) -> None:
    with (clone / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    done = run_demo(clone, tmp_path, os.environ["PATH"], PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    assert done.returncode == 1
    assert "The packages could not be installed" in done.stderr.splitlines()[-1]
    assert "No matching distribution" in done.stderr
    assert not (clone / ".venv-demo" / ".stamp").exists()


def run_demo(
    clone: Path, elsewhere: Path, path: str, **more: str
) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": path, "HOME": str(elsewhere), **more}
    return subprocess.run(
        [clone / "scripts" / "demo"],
        cwd=elsewhere,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A folder to stand alone on the PATH: a Unix without Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in PROGRAMS:
        found = [Path(place, program) for place in ("/bin", "/usr/bin")]
        folder.joinpath(program).symlink_to(next(path for path in found if path.exists()))
    return folder


def stub(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def untouched(tmp_path: Path) -> Path:
    """The scripts and lock files of a clone in which nothing was installed yet."""
    return copy_repository(ROOT / "scripts", tmp_path / "shop" / "scripts").parent


def test_without_a_python_one_line_says_what_is_needed(
    bare_path: Path, untouched: Path, tmp_path: Path
) -> None:
    for name in ("requirements.lock", "pyproject.toml"):
        (untouched / name).write_bytes((ROOT / name).read_bytes())
    done = run_demo(untouched, tmp_path, str(bare_path))
    assert done.returncode == 1
    assert done.stderr.startswith("This needs Python 3.11 or newer")
    assert done.stderr.count("\n") == 1


def test_a_python_that_is_too_old_is_named(
    bare_path: Path, untouched: Path, tmp_path: Path
) -> None:
    (untouched / "requirements.lock").touch()
    stub(bare_path, "ancient", "exit 1")
    done = run_demo(untouched, tmp_path, str(bare_path), PYTHON="ancient")
    assert done.returncode == 1
    assert "Python 3.11 or newer, and ancient is not" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_python_without_ensurepip_is_told_which_package_mends_it(
    bare_path: Path, untouched: Path, tmp_path: Path
) -> None:
    (untouched / "requirements.lock").touch()
    without = f'case "$*" in *ensurepip*) exit 1;; esac; exec "{sys.executable}" "$@"'
    stub(bare_path, "python3", without)
    done = run_demo(untouched, tmp_path, str(bare_path))
    version = "{}.{}".format(*sys.version_info)
    assert done.returncode == 1
    assert f"apt install python{version}-venv" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (untouched / ".venv-demo").exists()


def test_the_scripts_are_plain_posix_shell() -> None:
    for script in ("demo", "test", "check", "bench", "proof", "environment.sh"):
        text = (ROOT / "scripts" / script).read_text()
        subprocess.run(["sh", "-n", ROOT / "scripts" / script], check=True)
        assert "[[" not in text
        assert "=(" not in text


def test_ci_runs_the_tests_and_everything_may_be_run() -> None:
    assert "scripts/test" in (ROOT / ".ci" / "run").read_text()
    scripts = ("demo", "test", "check", "bench", "proof")
    for name in (*(f"scripts/{script}" for script in scripts), ".ci/run"):
        assert os.access(ROOT / name, os.X_OK), f"{name} lacks its run bit"
