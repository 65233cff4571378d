"""The page of the documentation that shows a run."""

from __future__ import annotations

from collections.abc import Callable

from . import better
from .markdown import label, number, table
from .results import Results, quantile
from .systems import LEFT_OUT, SYSTEMS, System
from .targets import targets

HEAD = """\
# Benchmarks

Alligator beside other Python task queues, in one run on one machine. In a checkout,
`python -m tests.benchmarks{option}` repeats it, and writes this page.

- **Machine:** {where}. Servers on the same machine: {servers}.{busy}
- **Size:** {size}. Each round, of {rounds}, measures every queue in turn, so that noise hits all
  alike; figures are medians over the rounds, and so are ratios, which each round has its
  own of. [The samples](benchmarks.json).
- **Evidence:** every task writes one byte to a file that is opened for appending, and the clock
  stops when the file is long enough. No queue's own counter is asked.
- **Fairness:** each queue runs in an environment of its own, with its newest release and hiredis,
  on an empty broker of its own without persistence (SQLite files are on disk, durable), in the
  fastest setting that its documentation names; [the settings](#settings-and-guarantees) stand
  below, with what each promises. Where speed is bought with a weaker promise, the row says so.
- **The floor** is a loop of a dozen lines that keeps nothing safe: what Python and Redis can do at
  most."""


def page(results: Results) -> str:
    """Return the whole page as Markdown."""
    parts = [
        _head(results),
        _targets(results),
        _drain(results),
        _push(results),
        _latency(results),
        _idle(results),
        _concurrency(results),
        _mixed(results),
        _depth(results),
        _start(results),
        better.section(results),
        _systems(results),
        _gaps(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _versions(results: Results) -> dict[str, str]:
    return dict(results.about["versions"])


def _head(results: Results) -> str:
    about = results.about
    machine = about["machine"]
    busy = ""
    if machine["load"] > 0.5:
        busy = (
            f" Others were working on the machine meanwhile (load average {machine['load']} at the "
            "start), so compare rows of a table and trust no absolute figure."
        )
    servers = ", ".join(f"{name} {version}" for name, version in about["servers"].items())
    where = (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, Python "
        f"{machine['python']}, {machine['at']}"
    )
    size = about["size"]
    return HEAD.format(
        where=where,
        servers=servers,
        busy=busy,
        size=size,
        option="" if size == "full" else f" --size {size}",
        rounds=about["rounds"],
    )


def _targets(results: Results) -> str:
    rows = [
        (t.what, t.reach, f"{number(t.got)}{t.unit}", "yes" if t.reached else "**no**")
        for t in targets(results)
    ]
    if not rows:
        return ""
    return "## What Alligator sets out to reach\n\n" + table(
        ("measure", "reach", "in this run", "reached"), rows
    )


def _promise(system: System) -> str:
    return system.guarantee.partition(":")[0]


def _rates(results: Results, measure: str) -> str:
    ours = {"redis": "alligator-c1", "sqlite": "alligator-sqlite"}
    rows = []
    for key in _by_speed(results, measure):
        system = SYSTEMS[key]
        rate = results.median(measure, key, "rate")
        mine = ours.get(system.broker, key)
        times = None if mine == key else results.ratio(measure, mine, key)
        ratio = f"{number(times)} ×" if times else ""
        rows.append((system.label, system.broker, number(rate), ratio, _promise(system)))
    header = ("", "broker", "tasks/s", "Alligator is", "a killed worker's task runs")
    return table(header, rows)


def _by_speed(results: Results, measure: str) -> list[str]:
    order = {"redis": 0, "sqlite": 1, "beanstalk": 2}
    return sorted(
        results.subjects(measure),
        key=lambda key: (
            order[SYSTEMS[key].broker],
            -(results.median(measure, key, "rate") or 0),
        ),
    )


def _section(measure: str, title: str, text: str) -> Callable[[Results], str]:
    """Return what makes a section of a table of rates, or nothing when none were measured."""

    def section(results: Results) -> str:
        if not results.subjects(measure):
            return ""
        return f"## {title}\n\n{text}\n\n{_rates(results, measure)}"

    return section


_drain = _section(
    "drain",
    "Drain: no-op tasks that wait already",
    "One worker, from its first task on; its start is not counted.\n\n"
    "![Tasks a second of each queue](benchmarks-drain.svg)",
)


def _push(results: Results) -> str:
    one = _section(
        "push",
        "Push, one at a time",
        "One producer, each push waits for its answer. Alligator looks out for it for a\n"
        "moment before it sleeps; the others, and the raw socket, sleep at once.",
    )
    parts = [one(results)]
    if results.subjects("push-many"):
        parts.append(
            "## Push, many at once\n\nIn thousands through the library, for the queues that have "
            f"such a call.\n\n{_rates(results, 'push-many')}"
        )
    if keys := results.subjects("push-lines"):
        rows = (
            (
                SYSTEMS[key].broker,
                number(results.median("push-lines", key, "rate")),
                number(results.median("push-lines", key, "rss_mb")),
                number(results.median("push-lines", key, "rss_mb_of_a_tenth")),
            )
            for key in keys
        )
        header = ("broker", "lines/s", "largest size, MB", "with a tenth of the lines, MB")
        count = results.about["lines"]
        parts.append(f"`gator push --from -`, {count:,} lines:\n\n{table(header, rows)}")
    return "\n\n".join(part for part in parts if part)


def _latency(results: Results) -> str:
    keys = results.subjects("latency")
    if not keys:
        return ""
    pooled = {key: results.pooled("latency", key, "ms") for key in keys}
    keys.sort(key=lambda key: quantile(pooled[key], 0.5))
    rows = (
        (label(key), *(number(quantile(pooled[key], part)) for part in (0.5, 0.9, 0.99)))
        for key in keys
    )
    return (
        "## Latency of an idle worker\n\n"
        "From just before the push to the first line of the task, one task at a time, in ms.\n\n"
        "![Share of tasks started within a time](benchmarks-latency.svg)\n\n"
        + table(("", "p50", "p90", "p99"), rows)
    )


def _idle(results: Results) -> str:
    keys = results.subjects("idle")
    if not keys:
        return ""
    names = ("wakes", "child_mb", "tree_mb")
    rows = (
        (label(key), *(number(results.median("idle", key, name)) for name in names))
        for key in sorted(keys, key=lambda key: results.median("idle", key, "wakes") or 0)
    )
    header = ("", "wakes a second", "largest child, MB", "all its processes, MB")
    return (
        "## An idle worker\n\nHow often its threads are woken, and what it holds in memory "
        "(resident; pages that processes share are counted in each).\n\n" + table(header, rows)
    )


def _concurrency(results: Results) -> str:
    keys = results.subjects("concurrency")
    if not keys:
        return ""
    rows = (
        (
            label(key),
            number(results.median("concurrency", key, "at_once")),
            number(results.median("concurrency", key, "efficiency")),
        )
        for key in sorted(
            keys, key=lambda key: -(results.median("concurrency", key, "efficiency") or 0)
        )
    )
    count = results.about["waits"]
    return (
        f"## Tasks that wait\n\n{count:,} tasks of 100 ms in one process. 1 would be the ideal, "
        "where starting and settling cost nothing.\n\n"
        + table(("", "at once", "of the ideal"), rows)
    )


def _mixed(results: Results) -> str:
    seconds = results.median("mixed", "alligator-c2", "seconds")
    if seconds is None:
        return ""
    tasks = results.median("mixed", "alligator-c2", "tasks")
    long = results.median("mixed", "alligator-c2", "long_seconds")
    return (
        f"## A long task among short ones\n\nA task of {number(long)} s in the middle of "
        f"{tasks:,.0f} no-ops, two processes: the last of the short ones had run after "
        f"{number(seconds)} s."
    )


def _depth(results: Results) -> str:
    keys = results.subjects("depth")
    if not keys:
        return ""
    names = ("rate", "peek", "show", "cancel", "bytes_a_task")
    rows = []
    for key in keys:
        (depths,) = results.all("depth", key, "depth")
        columns = [(results.all("depth", key, name) or [[None] * len(depths)])[0] for name in names]
        for depth, *values in zip(depths, *columns, strict=True):
            rows.append((SYSTEMS[key].broker, f"{depth:,}", *map(number, values)))
    header = ("", "waiting", "drain, tasks/s", "peek, ms", "show, ms", "cancel, ms", "bytes a task")
    return (
        "## Depth\n\nAlligator with so many tasks waiting. The drain is that of the next few "
        "thousand, with the small batches of a worker's beginning.\n\n"
        "![Drain over depth](benchmarks-depth.svg)\n\n" + table(header, rows)
    )


def _start(results: Results) -> str:
    keys = results.subjects("start")
    if not keys:
        return ""
    rows = (
        (
            key,
            number(results.median("start", key, "wall_ms")),
            number(results.median("start", key, "cpu_ms")),
        )
        for key in keys
    )
    return "## Start\n\nOf a command, from its start to its end.\n\n" + table(
        ("", "ms", "ms of processor"), rows
    )


def _systems(results: Results) -> str:
    measures = ("drain", "push", "push-many", "latency", "idle", "concurrency", "depth")
    keys = dict.fromkeys(
        key for measure in measures for key in results.subjects(measure) if key in SYSTEMS
    )
    versions = _versions(results)
    rows = (
        (
            SYSTEMS[key].label,
            "" if SYSTEMS[key].family in ("floor", "raw") else versions[SYSTEMS[key].environment],
            SYSTEMS[key].settings,
            SYSTEMS[key].guarantee,
        )
        for key in keys
    )
    header = ("", "version", "settings", "a task whose worker is killed runs")
    left_out = "\n".join(f"{name} is left out: {why}." for name, why in LEFT_OUT.items())
    lines = table(header, rows).replace("---:", "---")
    return f"## Settings and guarantees\n\n{lines}\n\n{left_out}"


def _gaps(results: Results) -> str:
    gaps = results.gaps()
    if not gaps:
        return ""
    lines = "\n".join(f"- {measure}, {label(subject)}: {why}." for measure, subject, why in gaps)
    return f"## Not measured\n\n{lines}"
