"""Tasks of a load whose dependencies nobody has, which a broker takes for done."""

from __future__ import annotations

from alligator.backends.base import Backend, Receipt

from .batches import Batch
from .tally import tasks


class Absent:
    """Looks for what is depended on before each batch, and counts those tasks that did not have to
    wait for it."""

    def __init__(self, client: Backend) -> None:
        self._client = client
        self._count = 0
        self._name = ""

    def of(self, batch: Batch) -> dict[int, str]:
        """Return, by place, what a task depends on and neither the batch nor a queue has.

        To be asked when the batches before are with the broker.
        """
        entries = [placed for group in batch.groups.values() for placed in group]
        held = {entry.task_id for _, entry in entries}
        absent = {}
        for place, entry in entries:
            for task_id in entry.depends_on:
                if task_id not in held and self._client.find(task_id) is None:
                    absent[place] = task_id
                    break
        return absent

    def count(self, absent: dict[int, str], sent: dict[int, Receipt]) -> None:
        """Count those of `absent` that were queued."""
        for place, task_id in absent.items():
            if sent[place].queued:
                self._count += 1
                self._name = self._name or task_id

    def __str__(self) -> str:
        """Word what was counted; "" for nothing."""
        if not self._count:
            return ""
        depend = "depends" if self._count == 1 else "depend"
        return (
            f"{tasks(self._count)} {depend} on what no queue holds, such as {self._name!r}: taken "
            "as done"
        )
