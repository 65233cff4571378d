"""What Alligator sets out to reach, as ratios within one run, and how far a run came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .results import Results, quantile
from .systems import PEERS, SYSTEMS


@dataclass(frozen=True)
class Target:
    """One aim.

    Attributes:
        what: the measure in words.
        reach: the aim in words.
        got: the figure that this run found.
        bound: the aim's number.
        most: whether the figure may be the bound at most, rather than at least.
        unit: what follows the number.
    """

    what: str
    reach: str
    got: float
    bound: float
    most: bool = False
    unit: str = ""

    @property
    def reached(self) -> bool:
        return self.got <= self.bound if self.most else self.got >= self.bound


def fastest_peer(
    results: Results, measure: str, broker: str = "redis", processes: int | None = None
) -> str | None:
    """The key of the fastest other queue on a broker, or None when none was measured.

    Args:
        processes: only those that run tasks in so many.
    """
    rates = [
        (rate, key)
        for key in results.subjects(measure)
        if key in SYSTEMS and SYSTEMS[key].family in PEERS and SYSTEMS[key].broker == broker
        if processes in (None, SYSTEMS[key].processes)
        if (rate := results.median(measure, key, "rate")) is not None
    ]
    return max(rates)[1] if rates else None


def targets(results: Results) -> list[Target]:
    """Every aim that this run has figures for."""
    return [
        *_drains(results),
        *_pushes(results),
        *_latencies(results),
        *_idle(results),
        *_others(results),
        *_depths(results),
        *_starts(results),
    ]


def _drains(results: Results) -> Iterator[Target]:
    for broker, key, times in (("redis", "alligator-c1", 15), ("sqlite", "alligator-sqlite", 10)):
        fastest = fastest_peer(results, "drain", broker, processes=1)
        if fastest and (got := results.ratio("drain", key, fastest)):
            what = f"drain, {SYSTEMS[key].label}"
            reach = f"{times} × the fastest peer with one"
            yield Target(what, reach, got, times, unit=" ×")
    if got := results.ratio("drain", "alligator-c1", "floor"):
        yield Target("drain, one process", "0.35 of the floor", got, 0.35)
    if got := results.ratio("drain", "alligator-c2", "alligator-c1"):
        yield Target("drain, two processes", "no slower than one", got, 1.0, unit=" ×")
    if share := results.median("drain", "alligator-c2", "least_share"):
        yield Target("drain, two processes", "a fair share each (the lesser: 0.4)", share, 0.4)
    if got := results.median("drain", "alligator-beanstalk", "rate"):
        yield Target("drain, beanstalkd", "10,000/s", got, 10_000, unit="/s")


def _pushes(results: Results) -> Iterator[Target]:
    fastest = fastest_peer(results, "push")
    if fastest and (got := results.ratio("push", "alligator-c1", fastest)):
        yield Target("push one at a time", "1.2 × the fastest peer", got, 1.2, unit=" ×")
    if got := results.ratio("push", "alligator-c1", "raw"):
        yield Target("push one at a time", "0.65 of raw round trips", got, 0.65)
    bounds = {
        "alligator-c1": ("Redis", 100_000),
        "alligator-sqlite": ("SQLite", 60_000),
        "alligator-beanstalk": ("beanstalkd", 40_000),
    }
    for measure, way in (("push-many", "library"), ("push-lines", "`gator push --from -`")):
        for key, (broker, bound) in bounds.items():
            if got := results.median(measure, key, "rate"):
                yield Target(f"push many, {way}, {broker}", f"{bound:,}/s", got, bound, unit="/s")
    for key, (broker, _) in bounds.items():
        whole = results.median("push-lines", key, "rss_mb")
        if got := _ratio(whole, results.median("push-lines", key, "rss_mb_of_a_tenth")):
            what = f"memory of ten times the lines, {broker}"
            yield Target(what, "flat: 1.1 × at most", got, 1.1, most=True, unit=" ×")


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _latencies(results: Results) -> Iterator[Target]:
    ours = results.pooled("latency", "alligator-c1", "ms")
    floor = results.pooled("latency", "floor", "ms")
    if ours and floor:
        got = quantile(ours, 0.5) / quantile(floor, 0.5)
        yield Target("idle latency p50, Redis", "1.5 × the floor's", got, 1.5, True, " ×")
    if ours:
        yield Target("idle latency p99, Redis", "under 5 ms", quantile(ours, 0.99), 5, True, " ms")
    if ours := results.pooled("latency", "alligator-sqlite", "ms"):
        yield Target("idle latency p50, SQLite", "under 2 ms", quantile(ours, 0.5), 2, True, " ms")


def _idle(results: Results) -> Iterator[Target]:
    for key, broker in (("alligator-c1", "Redis"), ("alligator-sqlite", "SQLite")):
        got = results.median("idle", key, "wakes")
        if got is not None:
            what = f"wakes of an idle worker, {broker}"
            yield Target(what, "about 1 a second", got, 1.5, True, "/s")
    if got := results.median("idle", "alligator-c1", "child_mb"):
        yield Target("an idle child's memory", "40 MB", got, 40, True, " MB")


def _others(results: Results) -> Iterator[Target]:
    for key in ("alligator-coroutines", "alligator-threads"):
        if got := results.median("concurrency", key, "efficiency"):
            yield Target(f"waiting tasks, {SYSTEMS[key].label}", "0.9 of the ideal", got, 0.9)
    took = results.median("mixed", "alligator-c2", "seconds")
    if got := _ratio(took, results.median("mixed", "alligator-c2", "long_seconds")):
        reach = "the short ones end before the long one"
        yield Target("a long task among short ones", reach, got, 1.0, True, " of its time")


def _depths(results: Results) -> Iterator[Target]:
    for key in results.subjects("depth"):
        (depths,), (rates,) = results.all("depth", key, "depth"), results.all("depth", key, "rate")
        label = SYSTEMS[key].broker
        base = depths.index(10_000) if 10_000 in depths else 0
        what = f"drain at {depths[-1]:,} waiting, {label}"
        yield Target(what, f"0.8 of that at {depths[base]:,}", rates[-1] / rates[base], 0.8)
        for verb in ("peek", "show", "cancel"):
            (times,) = results.all("depth", key, verb)
            what = f"{verb} at {depths[-1]:,} waiting, {label}"
            reach = f"2 × of that at {depths[0]:,}"
            yield Target(what, reach, times[-1] / times[0], 2, most=True, unit=" ×")
        for values in results.all("depth", key, "bytes_a_task"):
            yield Target("Redis memory a waiting task", "450 bytes", values[-1], 450, True, " B")


def _starts(results: Results) -> Iterator[Target]:
    def ms(subject: str) -> float | None:
        return results.median("start", subject, "wall_ms")

    click = ms("import click")
    for command, times in (("gator --help", 1.5), ("push on SQLite", 2.0)):
        if got := _ratio(ms(command), click):
            yield Target(command, f"{times} × `import click`", got, times, True, " ×")
    whole, redis = ms("push on Redis"), ms("import redis")
    if whole is not None and redis is not None:
        yield Target("push on Redis", "`import redis` + 50 ms", whole - redis, 50, True, " ms more")
