"""What is wrong with the set-up of a Redis server, as far as it tells us."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ..exceptions import BrokerRefused
from .base import Finding
from .redis_link import Link, read_info

#: Seconds that the server's clock may differ from ours.
SKEW = 2.0


def examine(link: Link) -> list[Finding]:
    """Ask the server; what a service forbids to ask stays open."""
    looks: tuple[Callable[[Link], Iterator[Finding]], ...] = (_memory, _persistence, _clock)
    findings: list[Finding] = []
    for look in looks:
        try:
            findings += look(link)
        except BrokerRefused as error:
            findings.append(Finding(look.__name__.strip("_"), True, f"not known: {error}"))
    return findings


def _memory(link: Link) -> Iterator[Finding]:
    facts = read_info(link.ask("INFO", "memory"))
    policy = facts.get("maxmemory_policy", "not known")
    most = int(facts.get("maxmemory", "0"))
    if policy == "noeviction":
        limit = f", at {most / 2**20:.0f} MiB" if most else ""
        yield Finding("eviction policy", True, policy + limit)
    else:
        # With a limit set the link does not come so far: it refuses to work.
        yield Finding(
            "eviction policy",
            False,
            f"{policy}: were maxmemory set, tasks would be thrown away to make room",
            "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
        )


def _persistence(link: Link) -> Iterator[Finding]:
    facts = read_info(link.ask("INFO", "persistence"))
    log = facts.get("aof_enabled") == "1"
    snapshots = _setting(link, "save")
    if not log and snapshots == "":
        yield Finding(
            "persistence",
            False,
            "off: a restart of the server loses every task",
            "CONFIG SET appendonly yes, and the same in redis.conf",
        )
        return
    failing = [name for name, value in facts.items() if name in _WRITES and value != "ok"]
    if failing:
        yield Finding(
            "persistence",
            False,
            f"the server could not write its files: {', '.join(failing)}",
            "Look at the server's log, and at the room on its disk.",
        )
        return
    if log:
        detail = _LOSSES.get(_setting(link, "appendfsync"), "an append-only file")
    else:
        detail = SNAPSHOTS if snapshots else "no append-only file; snapshots are not known of"
    yield Finding("persistence", True, detail)


_WRITES = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")

_LOSSES: dict[str | None, str] = {
    "always": "appendfsync always: what was acknowledged is on the disk",
    "everysec": "appendfsync everysec: a crash of the machine loses up to two seconds",
    "no": "appendfsync no: a crash of the machine loses what its system had not written",
}

#: What is said where there is no append-only file.
SNAPSHOTS = "snapshots: a crash of the server loses what came after the last; see appendonly"


def _setting(link: Link, name: str) -> str | None:
    """Return a setting; None where the server keeps it to itself."""
    try:
        answer = link.ask("CONFIG", "GET", name)
    except BrokerRefused:
        return None
    return answer[1].decode() if answer else None


def _clock(link: Link) -> Iterator[Finding]:
    before = time.time()
    seconds, microseconds = link.ask("TIME")
    yield clock_finding(int(seconds) + int(microseconds) / 1e6, before, time.time())


def clock_finding(theirs: float, before: float, after: float) -> Finding:
    """Compare the server's clock with ours, which showed `before` as it was asked and `after` as
    its answer came."""
    ahead = theirs - min(max(theirs, before), after)
    if abs(ahead) <= SKEW:
        return Finding("clock", True, "the server's agrees with ours")
    return Finding(
        "clock",
        False,
        f"the server's is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours",
        "Have both follow NTP: delays and ages go by both, and would be wrong by as much.",
    )
