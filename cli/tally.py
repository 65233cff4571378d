"""What became of the tasks that a command changes: counted, worded, and printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from alligator.backends.base import Mended, Moved

from .errors import CannotPrint
from .session import Session

#: Ids told one by one of those that were left alone.
TOLD = 10

#: Why a task was left alone.
REASONS = {
    Mended.MISSING: "no queue has it",
    Mended.RUNNING: "a worker is running it",
    Mended.WAITING: "waiting already",
    Mended.UNVERIFIED: "it was altered, or signed with a secret that is not known here",
}


@dataclass
class Tally:
    """What became of the tasks so far."""

    matched: int = 0
    changed: int = 0
    left: dict[Mended, int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def add(self, task_ids: Sequence[str], answers: Iterable[Moved]) -> list[str]:
        """Count a batch and return the ids of those that were changed."""
        self.matched += len(task_ids)
        changed = []
        for task_id, (answer, held_as) in zip(task_ids, answers, strict=True):
            if answer is Mended.DONE:
                changed.append(held_as)
                continue
            self.left[answer] = self.left.get(answer, 0) + 1
            if answer is not Mended.WAITING and len(self.told) < TOLD:
                self.told.append(f"{task_id}: {REASONS[answer]}")
        self.changed += len(changed)
        return changed

    @property
    def settled(self) -> int:
        """How many are as was wished, had they to be changed for it or not."""
        return self.changed + self.left.get(Mended.WAITING, 0)

    @property
    def failed(self) -> int:
        """How many are not."""
        return self.matched - self.settled

    def summary(self) -> dict[str, int]:
        """Return what is printed of a selection."""
        return {
            "matched": self.matched,
            "changed": self.changed,
            "failed": 0,
            "skipped": sum(self.left.values()),
        }

    def left_alone(self, answer: Mended) -> str:
        """Say how many were left alone for this reason; "" for none."""
        count = self.left.get(answer)
        return left_alone(count, answer) if count else ""

    def refusals(self) -> str:
        """List those that are not as was wished, each on a line of its own, the first ones."""
        more = self.failed - len(self.told)
        return "".join(f"\n  {each}" for each in self.told) + (
            f"\n  and {more} more" if more else ""
        )


def summarize(session: Session, summary: Mapping[str, int], past: str) -> None:
    """Print what became of the tasks that were selected.

    Args:
        past: what those that are changed were: "canceled".

    Raises:
        CannotPrint: it says so all the same.
    """
    try:
        session.out.record(summary, unasked="json")
        session.out.flush()
    except CannotPrint as error:
        matched, changed = tasks(summary["matched"]), summary["changed"]
        done = f"Of {matched}, {were(changed)} {past} all the same."
        error.hint = done if changed else f"None was {past}."
        raise


def left_alone(count: int, answer: Mended) -> str:
    """Say how many tasks were left alone, and why."""
    return f"{tasks(count)} left alone: {REASONS[answer]}"


def tasks(count: int) -> str:
    """Word a number of tasks."""
    return f"{count} task" if count == 1 else f"{count} tasks"


def were(count: int) -> str:
    """Begin to say what a number of tasks were: "1 was", "2 were"."""
    return "1 was" if count == 1 else f"{count} were"
