"""Three machines, each with etcd, Patroni and PostgreSQL, as docs/operating.md recommends."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from proof.failover.machines import NETWORKS, Machine

NODES: Final = 3
DATABASE: Final = "shop"
_PATIENCE: Final = 120.0
_EVERY: Final = 0.2


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the binaries are."""

    patroni: Path
    """Its virtual environment."""
    postgres: Path
    """The folder of initdb and postgres."""
    etcd: Path


@dataclass(frozen=True, slots=True)
class Terms:
    """What Patroni is told. Seconds."""

    synchronous: bool
    ttl: int = 20
    loop_wait: int = 5
    retry_timeout: int = 5
    standby: str = "streaming"
    """What Patroni calls a standby that follows; 3.0.2 still said “running”."""


class Cluster:
    """The database of a shop on three machines; one of them is the primary."""

    def __init__(self, programs: Programs, terms: Terms) -> None:
        self.terms = terms
        self._programs = programs
        self.machines = [Machine(number) for number in range(1, NODES + 1)]
        for machine in self.machines:
            path = machine.folder / "patroni.json"
            path.write_bytes(orjson.dumps(self._configuration(machine)))

    @property
    def url(self) -> str:
        """Where the shop finds whoever is the primary."""
        hosts = ",".join(machine.address("shop") for machine in self.machines)
        return f"postgresql://postgres@{hosts}/{DATABASE}?target_session_attrs=read-write"

    def url_of(self, name: str, database: str = DATABASE) -> str:
        """One machine's database, whatever its role."""
        machine = self.machine(name)
        return f"postgresql://postgres@{machine.address('shop')}/{database}"

    def machine(self, name: str) -> Machine:
        """The machine of that name."""
        return next(machine for machine in self.machines if machine.name == name)

    def start(self, machine: Machine) -> None:
        """Switch it on: etcd and Patroni, which starts PostgreSQL."""
        peers = ",".join(f"{m.name}=http://{m.address('peers')}:2380" for m in self.machines)
        here = machine.address("peers")
        machine.start(
            str(self._programs.etcd), "--name", machine.name,
            "--data-dir", str(machine.folder / "etcd"),
            "--listen-peer-urls", f"http://{here}:2380",
            "--initial-advertise-peer-urls", f"http://{here}:2380",
            "--listen-client-urls", f"http://{here}:2379",
            "--advertise-client-urls", f"http://{here}:2379",
            "--initial-cluster", peers, "--initial-cluster-state", "new",
            "--heartbeat-interval", "200", "--election-timeout", "2000", "--logger", "zap",
            "--log-level", "warn",
        )  # fmt: skip
        python = self._programs.patroni / "bin" / "python"
        machine.start(str(python), "-m", "patroni", str(machine.folder / "patroni.json"))

    async def healthy(self) -> str:
        """Wait until all three are well and replication is as agreed; the primary's name.

        All three must say so: one that was cut off remembers how it was before.
        """
        return await self._until(self._well, "all three to be well", self.machines)

    async def successor(self, of: str) -> str:
        """Wait until the others have another primary; its name."""
        others = [machine for machine in self.machines if machine.name != of]

        def tell(members: list[dict[str, Any]]) -> str | None:
            leader = _leader(members)
            return None if leader == of else leader

        return await self._until(tell, "another primary", others)

    async def _until(
        self,
        tell: Callable[[list[dict[str, Any]]], str | None],
        what: str,
        witnesses: list[Machine],
    ) -> str:
        give_up = time.monotonic() + _PATIENCE
        while True:
            views = [await _ask(machine) for machine in witnesses]
            told = {tell(members) for members in views}
            found = told.pop()
            if found is not None and not told:
                return found
            if time.monotonic() > give_up:
                logs = "\n".join(machine.logs() for machine in self.machines)
                raise RuntimeError(f"Waited in vain for {what}: {views}\n{logs}")
            await asyncio.sleep(_EVERY)

    def _well(self, members: list[dict[str, Any]]) -> str | None:
        roles = sorted(member["role"] for member in members)
        wanted = ["leader", "replica", "sync_standby" if self.terms.synchronous else "replica"]
        standbys = [member for member in members if member["role"] != "leader"]
        streaming = sum(member["state"] == self.terms.standby for member in standbys)
        timelines = {member.get("timeline") for member in members}
        well = roles == sorted(wanted) and streaming == NODES - 1 and len(timelines) == 1
        return _leader(members) if well else None

    def _configuration(self, machine: Machine) -> dict[str, Any]:
        """Patroni's file: what docs/operating.md shows, for one machine."""
        here, terms = machine.address("peers"), self.terms
        everywhere = f"{NETWORKS['peers'].rpartition('.')[0]}.0.0/16"
        return {
            "scope": "shop", "name": machine.name,
            "restapi": {"listen": f"{here}:8008", "connect_address": f"{here}:8008"},
            "etcd3": {"hosts": [f"{m.address('peers')}:2379" for m in self.machines]},
            "bootstrap": {
                "dcs": {
                    "ttl": terms.ttl, "loop_wait": terms.loop_wait,
                    "retry_timeout": terms.retry_timeout, "maximum_lag_on_failover": 1 << 20,
                    "synchronous_mode": terms.synchronous,
                    "synchronous_mode_strict": terms.synchronous,
                    "postgresql": {"use_pg_rewind": True, "parameters": {
                        "max_connections": 100, "shared_buffers": "64MB", "wal_log_hints": "on",
                        "max_wal_size": "512MB", "wal_keep_size": "256MB", "timezone": "UTC",
                    }},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"{here},{machine.address('shop')}:5432",
                "connect_address": f"{here}:5432",
                "bin_dir": str(self._programs.postgres), "data_dir": str(machine.folder / "data"),
                "pgpass": str(machine.folder / "pgpass"),
                "authentication": {
                    "superuser": {"username": "postgres"}, "rewind": {"username": "postgres"},
                    "replication": {"username": "replicator"},
                },
                # No machine but these can reach them.
                "pg_hba": [f"host all all {everywhere} trust",
                           f"host replication all {everywhere} trust"],
                "parameters": {"unix_socket_directories": str(machine.folder)},
                "remove_data_directory_on_diverged_timelines": True,
            },
            "watchdog": {"mode": "off"},
        }  # fmt: skip


async def _ask(machine: Machine) -> list[dict[str, Any]]:
    """What Patroni on that machine believes of all of them. Empty: no answer."""
    url = f"http://{machine.address('peers')}:8008/cluster"
    timeout = aiohttp.ClientTimeout(total=2)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as answer:
            members: list[dict[str, Any]] = (await answer.json())["members"]
            return members
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError):
        return []


def _leader(members: list[dict[str, Any]]) -> str | None:
    for member in members:
        if member["role"] == "leader" and member["state"] == "running":
            return str(member["name"])
    return None
