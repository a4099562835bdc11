"""Results that add up over many runs of a proof: a JSON file, replaced whole after each step."""

import os
from collections import Counter
from pathlib import Path
from typing import Any, Final

import orjson

FINDINGS: Final = 20


class Tally:
    """Counters and lists of figures by name, kept in a file unless there is none."""

    def __init__(self, path: Path | None, about: dict[str, Any]) -> None:
        """``about`` says what is proved; a file about something else is refused (ValueError)."""
        self.about = about
        self.counts: Counter[str] = Counter()
        self.figures: dict[str, list[float]] = {}
        self.findings: list[str] = []
        self._path = path
        if path is not None and path.exists():
            kept = orjson.loads(path.read_bytes())
            if kept["about"] != about:
                raise ValueError(f"{path} is about {kept['about']}, not {about}")
            self.counts.update(kept["counts"])
            self.figures, self.findings = kept["figures"], kept["findings"]
            # A file of before all proofs counted what they found.
            self.counts["findings"] = max(self.counts["findings"], len(self.findings))

    def blame(self, where: str, findings: list[str]) -> None:
        """Add what was wrong there; all of it is counted, the first few are kept."""
        self.counts["findings"] += len(findings)
        self.findings += [f"{where}: {finding}" for finding in findings]
        del self.findings[FINDINGS:]

    def note(self, name: str, figure: float) -> None:
        """Add one figure, such as a time in seconds."""
        self.figures.setdefault(name, []).append(round(figure, 5))

    def quantile(self, name: str, percent: int) -> float:
        """The nearest-rank quantile of a figure; NaN when there is none."""
        ordered = sorted(self.figures.get(name, ()))
        return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else float("nan")

    def save(self) -> None:
        """Replace the file; a reader sees the old one or the new one."""
        if self._path is None:
            return
        written = self._path.with_name(self._path.name + ".new")
        document = {"about": self.about, "counts": self.counts, "figures": self.figures,
                    "findings": self.findings}  # fmt: skip
        written.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        os.replace(written, self._path)  # noqa: PTH105 - in one step, over the old one
