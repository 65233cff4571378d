"""Measure Alligator and other task queues in turn, and write docs/benchmarks.md.

python -m tests.benchmarks                                  everything, 20 minutes
python -m tests.benchmarks --size quick                     a rough look, 5 minutes
python -m tests.benchmarks --only drain,latency --peers huey,rq --print
python -m tests.benchmarks --render                         the page again, from its samples
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any

from .bench import SIZES, Bench, Measure, Unavailable
from .environments import ROOT, Environments
from .measures import MEASURES
from .page import page
from .report import SAMPLES, write
from .results import Results, machine
from .systems import PEERS, SYSTEMS

CACHE = ROOT / ".benchmarks"
DOCS = ROOT / "docs"


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line asks for."""
    options = _parser().parse_args(arguments)
    environments = Environments(CACHE / "environments")
    if options.render:
        write(Results.load(DOCS / SAMPLES), DOCS, environments)
        return
    bench = Bench(SIZES[options.size], environments, CACHE / "trials")
    results = run(bench, chosen(options.only, options.peers), options.size)
    if options.print:
        print(page(results))
    else:
        write(results, DOCS, environments)
        print((DOCS / "benchmarks.md").read_text())
    broken = [gap for gap in results.gaps() if gap[2].startswith("broken")]
    if broken:
        sys.exit("Error: " + "; ".join(" ".join(gap) for gap in broken))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument(
        "--only", type=_names([measure.name for measure in MEASURES]), help="measures, by commas"
    )
    parser.add_argument("--peers", type=_names(PEERS), help="other queues, by commas; '' for none")
    parser.add_argument(
        "--print", action="store_true", help="print the page, and leave the documentation alone"
    )
    parser.add_argument("--render", action="store_true", help="measure nothing")
    return parser


def _names(known: Iterable[str]) -> Any:
    def names(text: str) -> list[str]:
        chosen = [name for name in text.split(",") if name]
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return chosen

    return names


def chosen(only: list[str] | None, peers: list[str] | None) -> list[tuple[Measure, list[str]]]:
    """Return the measures with the subjects that were asked for; None stands for all."""
    left_out = set(PEERS) - set(PEERS if peers is None else peers)

    def wanted(subject: str) -> bool:
        return subject not in SYSTEMS or SYSTEMS[subject].family not in left_out

    return [
        (measure, [subject for subject in measure.subjects if wanted(subject)])
        for measure in MEASURES
        if only is None or measure.name in only
    ]


def run(bench: Bench, plan: list[tuple[Measure, list[str]]], size: str) -> Results:
    """Measure round by round: what disturbs the machine for a while then disturbs all alike."""
    results = Results(_about(bench, plan, size))
    for number in range(1, bench.size.rounds + 1):
        for measure, subjects in plan:
            if measure.once and number > 1:
                continue
            for subject in subjects:
                print(f"round {number} {measure.name} {subject}", file=sys.stderr, flush=True)
                try:
                    results.add(measure.name, subject, measure.take(bench, subject))
                except Unavailable as reason:
                    results.miss(measure.name, subject, str(reason))
                except Exception as error:  # whatever it is, the others are measured all the same
                    traceback.print_exc()
                    results.miss(measure.name, subject, f"broken: {error!r:.80}")
    return results


def _about(bench: Bench, plan: list[tuple[Measure, list[str]]], size: str) -> dict[str, Any]:
    families = {
        SYSTEMS[subject].environment
        for _, subjects in plan
        for subject in subjects
        if subject in SYSTEMS
    }
    return {
        "size": size,
        "rounds": bench.size.rounds,
        "lines": bench.size.lines,
        "waits": bench.size.waits,
        # Before the versions: asking for those makes the environments, which is work.
        "machine": machine(),
        "versions": {name: _version(bench, name) for name in sorted(families)},
        "servers": {
            "Redis": _server_version("redis-server", "--version"),
            "beanstalkd": _server_version("beanstalkd", "-v"),
        },
    }


def _version(bench: Bench, name: str) -> str:
    """The version of the distribution for which an environment is named."""
    code = f"from importlib.metadata import version; print(version({name!r}))"
    python = bench.programs.bin(name) / "python"
    return subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def _server_version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "of an unknown version"


if __name__ == "__main__":
    main()
