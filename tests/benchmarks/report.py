"""Write a run into the documentation: its samples, its plots and its page."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .bench import Programs
from .page import page
from .results import Results
from .systems import SYSTEMS

#: The names, in the folder of the documentation, of what a run writes.
SAMPLES, PAGE = "benchmarks.json", "benchmarks.md"


def write(results: Results, folder: Path, programs: Programs) -> None:
    """Write samples, page and plots into a folder."""
    results.save(folder / SAMPLES)
    (folder / PAGE).write_text(page(results))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(series(results), file)
        file.flush()
        subprocess.run(
            [
                programs.bin("matplotlib") / "python",
                Path(__file__).with_name("plots.py"),
                file.name,
                folder,
            ],
            check=True,
        )


def series(results: Results) -> dict[str, list[dict[str, Any]]]:
    """What plots.py draws."""

    def named(key: str, **values: Any) -> dict[str, Any]:
        return {"key": key, "label": SYSTEMS[key].label, **values}

    return {
        "drain": [
            named(key, rate=results.median("drain", key, "rate"))
            for key in results.subjects("drain")
        ],
        "latency": [
            named(key, ms=results.pooled("latency", key, "ms"))
            for key in results.subjects("latency")
        ],
        "depth": [
            {
                "label": SYSTEMS[key].broker,
                "depth": results.all("depth", key, "depth")[0],
                "rate": results.all("depth", key, "rate")[0],
            }
            for key in results.subjects("depth")
        ],
    }
