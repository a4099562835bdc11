"""The database's primary dies or is cut off, another takes over, and nothing may be lost.

Three machines (network namespaces) run PostgreSQL under Patroni and etcd; two servers of the shop
sell on it through one address with three hosts. Round after round the primary loses its power
(kill), all its cables (partition), or only those to the other two while its customers still reach
it (split). Every yes that a customer heard is looked up on the new primary, and again when the old
one is back. Needs root on Linux; everything happens in namespaces of its own, which end with this
program however it ends.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from commande.cli.terminal import err
from proof.outset import make_parser
from tests.support.postgres import MEND, find_binaries

ROOT: Final = Path(__file__).parent.parent.parent
PLACE: Final = ROOT / ".venv-failover"
NOT_HERE: Final = 3
"""Exit code: this machine cannot run the proof."""
# A shell is the first process in there: it buries what others leave behind. The program hears
# through the pipe when we are gone.
_GUARD: Final = 'exec 3<&0; "$@" <&3 & wait $!'
UNSHARE: Final = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child"]


def main() -> int:
    """Check, install, and run the rounds in a world of their own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = arguments(sys.argv[1:])
    missing = what_is_missing()
    if missing:
        err.print(f"Failover was not proved here: {missing}", soft_wrap=True)
        return NOT_HERE
    try:
        if given.patroni is None:
            _make_environment()
        patroni = PLACE if given.patroni is None else given.patroni.resolve()
        found = (patroni, _find_postgres(), _find_etcd())
    except (subprocess.CalledProcessError, RuntimeError) as error:
        err.print(f"Failover was not proved here: {error}", soft_wrap=True)
        return NOT_HERE
    programs = [f"--programs={path}" for path in found]
    if given.state is not None:
        programs.append(f"--state={given.state.resolve()}")
    inside = [*UNSHARE, "--mount-proc", "sh", "-c", _GUARD, "guard",
              sys.executable, "-m", "proof.failover.run", *sys.argv[1:], *programs]  # fmt: skip
    process = subprocess.Popen(inside, stdin=subprocess.PIPE, cwd=ROOT)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        process.kill()  # and the kernel kills whatever it began
        process.wait()


def arguments(given: list[str]) -> argparse.Namespace:
    """What the caller wants."""
    parser = make_parser("failover", __doc__)
    parser.add_argument("--rounds", type=int, default=3, metavar="N",
                        help="failovers in this run (3)")  # fmt: skip
    parser.add_argument("--mode", choices=("sync", "async"), default="sync",
                        help="of replication; async is the control: it loses commits, and the "
                        "money must be found again")  # fmt: skip
    parser.add_argument("--kind", choices=("kill", "partition", "split", "all"), default="all",
                        help="what happens to the primary (all, in turn)")  # fmt: skip
    parser.add_argument("--customers", type=int, default=6, metavar="N", help="at a time (6)")
    parser.add_argument("--times", default="20,5,5", metavar="TTL,LOOP,RETRY",
                        help="Patroni's ttl, loop_wait and retry_timeout (20,5,5)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the customers")
    parser.add_argument("--patroni", type=Path, metavar="FOLDER",
                        help="an environment with another Patroni, such as 3.0.2")  # fmt: skip
    parser.add_argument("--programs", action="append", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def what_is_missing() -> str | None:
    """Why this machine cannot do it, in one line; None when it can."""
    if not sys.platform.startswith("linux"):
        return "it needs Linux."
    if os.geteuid() != 0:
        return "it needs root, for network namespaces."
    tools = ("ip", "unshare", "nsenter", "setpriv", "mount")
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if absent:
        return f"{', '.join(absent)} missing: apt install iproute2 util-linux mount"
    commands = (
        "mount -t tmpfs tmpfs /run && ip netns add trial && ip link add name switch type bridge"
        " && ip link add name plug type veth peer name cable netns trial"
    )
    trial = [*UNSHARE, "sh", "-c", commands]
    done = subprocess.run(trial, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"no right to make namespaces and bridges ({done.stderr.strip()})."
    return None


def _find_postgres() -> Path:
    """The binaries that the tests use."""
    found = find_binaries()
    if found is None:
        raise RuntimeError(MEND)
    return found


def _make_environment() -> None:
    """Patroni's environment, made by the same script as all the others."""
    script = '. "$1" && environment "$2" "$3"'
    # ``$0`` tells environment.sh where the clone is.
    words = [str(ROOT / "scripts/proof"), str(ROOT / "scripts/environment.sh"), PLACE.name]
    command = ["sh", "-eu", "-c", script, *words, "proof/failover/requirements.lock"]
    subprocess.run(command, check=True)


def _find_etcd() -> Path:
    """The system's etcd, else Debian's package, unpacked but not installed.

    Installed, it would start a service, which nobody here asked for.
    """
    ours = PLACE / "etcd/usr/bin/etcd"
    found = shutil.which("etcd") or shutil.which(ours)
    if found is None:
        _unpack_etcd(PLACE / "etcd")
        found = shutil.which(ours)
    if found is None:
        raise RuntimeError("etcd is missing: apt install etcd-server")
    return Path(found)


def _unpack_etcd(folder: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    err.print("Fetching etcd from Debian, once …")
    fetch = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "etcd-server"]
    if subprocess.run(fetch, cwd=folder, capture_output=True, check=False).returncode:
        subprocess.run(["apt-get", "-qq", "update"], capture_output=True, check=False)
        subprocess.run(fetch, cwd=folder, capture_output=True, check=False)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)


if __name__ == "__main__":
    sys.exit(main())
