"""The samples of a run, kept as JSON, and their medians."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .bench import Values


class Results:
    """What a run found.

    Attributes:
        about: the machine, the time, the size and the versions.
    """

    def __init__(self, about: dict[str, Any], samples: list[dict[str, Any]] | None = None) -> None:
        self.about = about
        self._samples = samples or []

    def add(self, measure: str, subject: str, values: Values) -> None:
        """Keep what was measured of a subject in one round."""
        self._samples.append({"measure": measure, "subject": subject, "values": dict(values)})

    def subjects(self, measure: str) -> list[str]:
        """The subjects that have values, in the order in which they came."""
        found = (sample["subject"] for sample in self._of(measure) if sample["values"])
        return list(dict.fromkeys(found))

    def gaps(self) -> list[tuple[str, str, str]]:
        """Measure, subject and reason of what could not be measured."""
        found = (
            (sample["measure"], sample["subject"], sample["unavailable"])
            for sample in self._samples
            if "unavailable" in sample
        )
        return list(dict.fromkeys(found))

    def miss(self, measure: str, subject: str, reason: str) -> None:
        """Keep that something could not be measured, and why."""
        self._samples.append(
            {"measure": measure, "subject": subject, "values": {}, "unavailable": reason}
        )

    def all(self, measure: str, subject: str, name: str) -> list[Any]:
        """One value of a subject, round by round."""
        return [
            sample["values"][name]
            for sample in self._of(measure)
            if sample["subject"] == subject and name in sample["values"]
        ]

    def median(self, measure: str, subject: str, name: str) -> float | None:
        """The median over the rounds, or None when there is none."""
        values = self.all(measure, subject, name)
        return statistics.median(values) if values else None

    def ratio(self, measure: str, above: str, below: str, name: str = "rate") -> float | None:
        """The median over the rounds of one subject's value by another's of the same round: noise
        that comes and goes hits both."""
        pairs = zip(self.all(measure, above, name), self.all(measure, below, name), strict=False)
        quotients = [one / other for one, other in pairs if other]
        return statistics.median(quotients) if quotients else None

    def pooled(self, measure: str, subject: str, name: str) -> list[float]:
        """All numbers of a list value, of all rounds, sorted."""
        return sorted(number for values in self.all(measure, subject, name) for number in values)

    def _of(self, measure: str) -> Iterator[dict[str, Any]]:
        return (sample for sample in self._samples if sample["measure"] == measure)

    def save(self, path: Path) -> None:
        """Write them so that a change shows by line."""
        lines = ",\n".join(json.dumps(sample) for sample in self._samples)
        path.write_text(f'{{"about": {json.dumps(self.about)},\n"samples": [\n{lines}\n]}}\n')

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote."""
        data = json.loads(path.read_text())
        return cls(data["about"], data["samples"])


def quantile(ordered: list[float], part: float) -> float:
    """The value below which `part` of the sorted numbers lie."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _python() -> str:
    # An interpreter that was built without its profile takes a fifth longer for the same.
    of_system = " of the distribution" if sys.base_prefix == "/usr" else ""
    return platform.python_version() + of_system


def machine() -> dict[str, Any]:
    """Where the run takes place: what figures depend on, and no more."""
    first, _, _ = Path("/proc/cpuinfo").read_text().partition("\n\n")
    said = (line.partition(":") for line in first.splitlines())
    facts = {name.strip(): value.strip() for name, _, value in said}
    cpu = facts.get("model name", platform.machine())
    if "cpu family" in facts:  # virtual machines of different ages have one name
        cpu += f" (family {facts['cpu family']}, model {facts['model']})"
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": ".".join(platform.release().split(".")[:2]),
        "python": _python(),
        "load": round(os.getloadavg()[0], 1),
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
    }
