"""Ports that nobody listens on."""

import atexit
import random
import socket
from collections import deque
from contextlib import suppress
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_SOURCE = random.SystemRandom()
# As many as one run has not yet bound, many times over; then the oldest claim is given up.
_CLAIMS: deque[socket.socket] = deque(maxlen=100)


def free_port() -> int:
    """A TCP port of 127.0.0.1 for who binds it later; where possible bind port 0 instead.

    It is taken from below the range in which the kernel places outgoing connections, so none of
    those lands on it meanwhile, and no other test run on this machine is given the same one.
    """
    first = _first_outgoing()
    for _ in range(1000):
        # Browsers refuse some ports, the last of them 10080.
        port = _SOURCE.randrange(max(11_000, first - 20_000), first)
        if _claim(port) and _is_free(port):
            return port
    raise RuntimeError(f"no free port below {first}")


def _first_outgoing() -> int:
    with suppress(OSError):
        first = int(_RANGE.read_text().split()[0])
        if first > 15_000:
            return first
    return 32_768  # Linux's own


def _claim(port: int) -> bool:
    """Hold the UDP port of this number: one process only can, and it lets go when it ends."""
    claim = socket.socket(type=socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return False
    if len(_CLAIMS) == _CLAIMS.maxlen:
        _CLAIMS.popleft().close()
    _CLAIMS.append(claim)
    return True


@atexit.register
def _let_go() -> None:
    for claim in _CLAIMS:
        claim.close()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection of a server that has just ended is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
