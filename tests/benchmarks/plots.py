"""Draw the figures of a run; a program of its own, for the environment that has matplotlib.

    python plots.py RESULTS.json FOLDER

FOLDER gets drain.svg, latency.svg and depth.svg, with the names that DRAW gives them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text: small files, and readable by programs
        "svg.hashsalt": "benchmarks",  # the same samples give the same file
        "font.family": "sans-serif",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.facecolor": "white",  # legible on a dark page, too
    }
)

from matplotlib import pyplot  # noqa: E402 - the back end has to be chosen first

OURS, FLOOR, OTHERS = "#1b7f4d", "#b0b0b0", "#4a78b5"

#: After matplotlib's ten colours, for more lines than that.
OTHER_COLOURS = ("#000000", "#a6761d", "#e7298a", "#66c2a5", "#5e3c99", "#878787")


def colour(key: str) -> str:
    """Ours, the floor's or the others' colour."""
    return {"alligator": OURS, "floor": FLOOR}.get(key.partition("-")[0], OTHERS)


def drain(series: dict[str, Any], path: Path) -> None:
    """Bars of the rates, on a scale on which all can be seen."""
    bars = sorted(series["drain"], key=lambda bar: bar["rate"])
    figure, axes = pyplot.subplots(figsize=(8, 0.32 * len(bars) + 0.9))
    axes.barh(
        [bar["label"] for bar in bars],
        [bar["rate"] for bar in bars],
        color=[colour(bar["key"]) for bar in bars],
    )
    axes.set_xscale("log")
    axes.set_xlabel("no-op tasks a second (logarithmic)")
    for place, bar in enumerate(bars):
        axes.text(bar["rate"] * 1.05, place, f"{bar['rate']:,.0f}", va="center", fontsize=8)
    axes.set_xlim(left=10, right=3 * bars[-1]["rate"])
    _save(figure, path)


def latency(series: dict[str, Any], path: Path) -> None:
    """The share of tasks that had started within a time."""
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    axes.set_prop_cycle(color=pyplot.colormaps["tab20"].colors[::2] + OTHER_COLOURS)
    for line in series["latency"]:
        ordered = line["ms"]
        shares = [100 * (place + 1) / len(ordered) for place in range(len(ordered))]
        ours = colour(line["key"]) == OURS
        axes.step(
            ordered,
            shares,
            where="post",
            label=line["label"],
            linewidth=2.4 if ours else 1.0,
        )
    axes.set_xscale("log")
    axes.set_xlabel("ms from push to start (logarithmic)")
    axes.set_ylabel("% of tasks")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    _save(figure, path)


def depth(series: dict[str, Any], path: Path) -> None:
    """The drain rate over the number of waiting tasks."""
    figure, axes = pyplot.subplots(figsize=(8, 3.5))
    for line in series["depth"]:
        axes.plot(line["depth"], line["rate"], marker="o", label=line["label"])
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    depths = series["depth"][0]["depth"]
    axes.set_xticks(depths, [f"{depth:,}" for depth in depths])
    axes.minorticks_off()
    axes.set_xlabel("tasks waiting (logarithmic)")
    axes.set_ylabel("drain, tasks a second")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


DRAW = {"drain": drain, "latency": latency, "depth": depth}

if __name__ == "__main__":
    _series = json.loads(Path(sys.argv[1]).read_text())
    for _name, _draw in DRAW.items():
        if _series[_name]:
            _draw(_series, Path(sys.argv[2]) / f"benchmarks-{_name}.svg")
