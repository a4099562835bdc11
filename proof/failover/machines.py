"""Machines that exist only here: network namespaces, each with a cable to two switches.

One switch joins the database machines (``peers``), the other leads to the shop (``shop``): a
primary may lose its peers while its customers still reach it, which is the harder partition. The
process that calls ``build_switches`` sits at both, in namespaces that nobody else sees, so that
nothing of this can stay behind.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, Final

FOLDER: Final = Path("/run/failover")
NETWORKS: Final = {"peers": "10.77.1", "shop": "10.77.2"}
NOBODY: Final = 65534
"""PostgreSQL refuses to be root, so root lends it an account that owns nothing."""
# Yet it may read what root may: the clone, or the Python below it, can lie in root's own folder.
_RIGHTS: Final = "+dac_read_search"


def build_switches() -> None:
    """Two switches, and a folder in memory. Only in mount and network namespaces of one's own."""
    # ``ip netns`` keeps its names below /run; this one disappears with the mount namespace.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    FOLDER.mkdir()
    ip("link set lo up")
    for network, prefix in NETWORKS.items():
        ip(f"link add name {network} type bridge")
        ip(f"addr add {prefix}.254/24 dev {network}")
        ip(f"link set {network} up")


def ip(words: str) -> str:
    """Run iproute2's ``ip``; what it prints. Raises RuntimeError with its own words."""
    done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {words}: {done.stderr.strip()}")
    return done.stdout


class Machine:
    """A network namespace with an address in each network, and whatever runs in it."""

    def __init__(self, number: int) -> None:
        self.number, self.name = number, f"node{number}"
        self.folder = FOLDER / self.name
        self.folder.mkdir()
        os.chown(self.folder, NOBODY, NOBODY)
        ip(f"netns add {self.name}")
        ip(f"-n {self.name} link set lo up")
        for network in NETWORKS:
            plug = f"{network}{number}"
            ip(f"link add name {plug} type veth peer name {network} netns {self.name}")
            ip(f"link set {plug} master {network} up")
            ip(f"-n {self.name} addr add {self.address(network)}/24 dev {network}")
            ip(f"-n {self.name} link set {network} up")

    def address(self, network: str) -> str:
        """Its address there."""
        return f"{NETWORKS[network]}.{self.number}"

    def pull(self, *networks: str) -> None:
        """Pull the cable out at the switch: no packet passes, and nobody is told."""
        for network in networks:
            ip(f"link set {network}{self.number} down")

    def plug(self) -> None:
        """Every cable back in."""
        for network in NETWORKS:
            ip(f"link set {network}{self.number} up")

    def start(self, *command: str) -> None:
        """Run a program on it, as an account without rights; it writes a log into its folder."""
        with self._log(Path(command[0]).name) as log:
            subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.name}", "setpriv", f"--reuid={NOBODY}",
                 f"--regid={NOBODY}", "--clear-groups", f"--inh-caps={_RIGHTS}",
                 f"--ambient-caps={_RIGHTS}", *command],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder),
                     "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """Everything that runs on it dies at once (SIGKILL), as when the power goes."""
        give_up = time.monotonic() + 10
        while pids := ip(f"netns pids {self.name}").split():
            if time.monotonic() > give_up:
                raise RuntimeError(f"{self.name} cannot be killed: {pids}")
            for pid in pids:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.02)

    def logs(self, lines: int = 15) -> str:
        """The last lines of every log."""
        found = []
        for path in sorted(self.folder.glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            found += [f"--- {self.name} {path.name}", *tail]
        return "\n".join(found)

    def _log(self, name: str) -> IO[bytes]:
        return (self.folder / f"{name}.log").open("ab")
