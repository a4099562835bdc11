"""Ports that nobody listens on."""

import socket


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago; where possible bind port 0 instead."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
