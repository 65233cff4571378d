"""The section of the page that says where a peer is better."""

from __future__ import annotations

from collections.abc import Iterator

from .markdown import label, number
from .results import Results, quantile
from .systems import PEERS, SYSTEMS
from .targets import fastest_peer

#: A peer is named as better when its figure is lower by so much: less is noise.
CLEARLY = 0.95


def section(results: Results) -> str:
    """Say in which measures a peer is ahead."""
    found = list(_ahead(results))
    if not (found or results.subjects("drain")):
        return ""
    text = "\n".join(f"- {line}" for line in found) or "- In no measure of this run."
    return f"## Where a peer is better\n\n{text}"


def _ahead(results: Results) -> Iterator[str]:
    for measure, what in (("drain", "Drain"), ("push", "Push one at a time")):
        for broker, key in (("redis", "alligator-c1"), ("sqlite", "alligator-sqlite")):
            best = fastest_peer(results, measure, broker)
            times = results.ratio(measure, best, key) if best else None
            if best and times and times > 1:
                yield f"{what}, {broker}: {label(best)}, {number(times)} ×."
    yield from _lower(results, "latency", "ms", "Idle latency, p50", " ms")
    yield from _lower(results, "idle", "wakes", "Wakes of an idle worker", " a second")
    yield from _lower(results, "idle", "tree_mb", "Memory of an idle worker", " MB")
    for at_once, key in ((500, "alligator-coroutines"), (50, "alligator-threads")):
        mine = results.median("concurrency", key, "efficiency")
        for peer in results.subjects("concurrency"):
            theirs = results.median("concurrency", peer, "efficiency")
            same = results.median("concurrency", peer, "at_once") == at_once
            if mine and theirs and same and theirs > mine:
                yield (
                    f"Tasks that wait, {at_once} at once: {label(peer)}, {number(theirs)} of the "
                    f"ideal to {number(mine)}."
                )


def _lower(results: Results, measure: str, name: str, what: str, unit: str) -> Iterator[str]:
    """Name the peers whose figure is lower than Alligator's on the same broker."""

    def figure(key: str) -> float:
        if measure == "latency":
            return quantile(results.pooled(measure, key, name), 0.5)
        return results.median(measure, key, name) or 0.0

    subjects = results.subjects(measure)
    for broker, key in (("redis", "alligator-c1"), ("sqlite", "alligator-sqlite")):
        if key not in subjects:
            continue
        ahead = [
            f"{label(peer)} {number(figure(peer))}"
            for peer in sorted(subjects, key=figure)
            if SYSTEMS[peer].family in PEERS and SYSTEMS[peer].broker == broker
            if figure(peer) < CLEARLY * figure(key)
        ]
        if ahead:
            yield f"{what}, {broker}: {', '.join(ahead)}; Alligator {number(figure(key))}{unit}."
