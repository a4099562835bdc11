"""Ports that nobody listens on."""

import os
import socket
from collections import deque
from typing import Final

# Bound by us, though never listened on: neither a server on port 0 nor an outgoing connection is
# given such a number by the kernel, so that nobody takes it before the server that it is for. On
# Linux that server may bind it all the same, because it too sets SO_REUSEADDR, as servers do.
_KEPT: Final[deque[int]] = deque()  # file descriptors; the last ones go with the process
_MOST: Final = 200


def free_port() -> int:
    """A TCP port of 127.0.0.1 that refuses connections until whoever asked listens there."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    port: int = kept.getsockname()[1]
    _KEPT.append(kept.detach())
    if len(_KEPT) > _MOST:
        os.close(_KEPT.popleft())
    return port
