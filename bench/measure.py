"""What a benchmark needs: the CPU and memory of process trees, quantiles, the machine's name."""

import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Self

import psutil


@dataclass(frozen=True)
class Tree:
    """A process with all its descendants, living and dead, or alone."""

    root: psutil.Process
    alone: bool = False

    def cpu_seconds(self) -> float:
        """User and system time so far. The kernel counts in steps of 10 ms."""
        total = 0.0
        for process in self._members():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
            if self.alone:
                continue
            # A child that ended is counted by its parent from then on.
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return total

    def rss_mb(self) -> float:
        """Resident memory now, shared pages counted for each process that maps them."""
        return sum(process.memory_info().rss for process in self._members()) / 1e6

    def _members(self) -> list[psutil.Process]:
        return [self.root, *(() if self.alone else self.root.children(recursive=True))]


class Started:
    """Finds the processes that a block of code starts as children of this one."""

    def __enter__(self) -> Self:
        self._before = {child.pid for child in psutil.Process().children()}
        return self

    def __exit__(self, *_error: object) -> None:
        new = [c for c in psutil.Process().children() if c.pid not in self._before]
        self.trees = [Tree(process) for process in new]


@dataclass(frozen=True)
class Reading:
    """The CPU of some trees at one moment, and the time."""

    at: float
    cpu: tuple[float, ...]

    @classmethod
    def of(cls, trees: Iterable[Tree]) -> Self:
        """Read them now."""
        return cls(time.perf_counter(), tuple(tree.cpu_seconds() for tree in trees))

    def since(self, earlier: "Reading") -> tuple[float, ...]:
        """CPU-seconds of each tree between two readings."""
        return tuple(now - then for now, then in zip(self.cpu, earlier.cpu, strict=True))


def quantile(values: Sequence[float], percent: int) -> float:
    """The quantile; the only value when there is but one, not a number when there is none."""
    if len(values) < 2:
        return values[0] if values else float("nan")
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def describe_machine() -> dict[str, str]:
    """What the figures depend on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = (ln for ln in cpuinfo.read_text().splitlines() if ln.startswith("model name"))
        model = next(names, model).partition(":")[2].strip() or model
    load = psutil.getloadavg()[0]
    return {
        "machine": platform.node(),
        "cpu": f"{psutil.cpu_count()} × {model}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": f"{load:.1f}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
