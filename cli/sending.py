"""Sending batches: the next one is made ready while the broker works on the last."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from alligator.backends.base import Capability, Entry, Receipt, State
from alligator.exceptions import BrokerUnreachable
from alligator.gator import Gator
from alligator.tasks import Task
from alligator.utils import DottedPath

from .absent import Absent
from .batches import Batch
from .checkpoint import FAR, Checkpoint, Note, Progress
from .dumping import fail_again
from .output import Output
from .progress import Meter, Pace

#: Seconds after which whoever makes a batch lets the sending go on. Python's own 5 ms is as long as
#: a whole batch takes: brokers had nothing to do meanwhile, and a quarter fewer lines went out.
SWITCH_INTERVAL = 0.0005

#: What a marker would call, were it ever run: nothing that matters.
_NOTHING = DottedPath("builtins", "bool")


class Sender:
    """Pushes batch after batch and knows what is done.

    Attributes:
        unsure: of the lines after those that are done, some may be queued all the same.
    """

    def __init__(
        self,
        gator: Gator,
        note: Note,
        checkpoint: Checkpoint | None,
        print_to: Output | None,
        meter: Meter,
        absent: Absent | None = None,
    ) -> None:
        """Go on from what `note` says.

        Args:
            checkpoint: where the note is kept, if anywhere.
            print_to: where ids go, if anywhere.
            absent: told of dependencies that nobody has, if anybody is.
        """
        self._gator = gator
        self._client = gator.client
        self._note = note
        self._checkpoint = checkpoint
        self._print_to = print_to
        self._meter = meter
        self._absent = absent
        self._doubtful = note.sending
        self.unsure = False

    @property
    def done(self) -> Progress:
        """What is known to be done."""
        return self._note.done

    @property
    def own_ids(self) -> bool:
        """Whether the broker knows a task by the id of its line."""
        return Capability.CUSTOM_IDS in self._client.capabilities

    def send(self, batch: Batch) -> None:
        """Push a batch; see `checkpoint` for the order of things."""
        note = self._note
        if self._checkpoint:
            note.sending, note.sending_crc = batch.last, batch.crc
            self._checkpoint.write(note)
            self._remove(note.done.markers)
        absent = self._absent.of(batch) if self._absent else {}
        again = self._doubtful == batch.last
        sent: dict[int, Receipt] = {}
        markers = []
        for number, (queue, placed) in enumerate(batch.groups.items()):
            marker = f"push-from:{note.load}:{batch.last}:{number}"
            if self._checkpoint:
                markers.append(marker)
            entries = [entry for _, entry in placed]
            try:
                receipts = self._push(queue, entries, marker, again)
            except BrokerUnreachable as error:
                self.unsure |= error.maybe_done
                raise
            self.unsure = True
            sent.update(zip((place for place, _ in placed), receipts, strict=True))
        for place, failures in batch.failed.items():
            if sent[place].queued or self._left_unfailed(sent[place].task_id):
                fail_again(self._client, sent[place].task_id, failures)
        if self._absent:
            self._absent.count(absent, sent)
        queued = sum(receipt.queued for receipt in sent.values())
        done = note.done
        note.done = Progress(
            lines=batch.last,
            crc=batch.crc,
            queued=done.queued + queued,
            already=done.already + len(sent) - queued,
            invalid=done.invalid + batch.invalid,
            markers=markers,
        )
        self.unsure = False
        self._meter.at(batch.last, batch.read)
        self._print([sent[place].task_id for place in sorted(sent)])

    def _push(self, queue: str, entries: list[Entry], marker: str, again: bool) -> list[Receipt]:
        if not self._checkpoint:
            return self._client.push_many(queue, entries)
        if again and self._client.find(marker) is not None:
            return [Receipt(entry.task_id, True) for entry in entries]
        with_marker = [*entries, self._gator.entry(_marker(marker), queue)]
        return self._client.push_many(queue, with_marker)[:-1]

    def _left_unfailed(self, task_id: str) -> bool:
        """Whether a load that was killed pushed this task and did not get to its failures."""
        record = self._client.find(task_id)
        return record is not None and record.state is not State.FAILED and record.due == FAR

    def _print(self, ids: list[str]) -> None:
        if self._print_to is None:
            return
        try:
            self._print_to.ids(ids)
            self._print_to.flush()
        except BrokenPipeError:
            # Who reads the ids has seen enough; the load itself goes on.
            self._print_to = None

    def _remove(self, markers: list[str]) -> None:
        if markers:
            self._client.cancel_many(markers)

    def hurry(self) -> None:
        """Wait no more for a broker that is away."""
        self._client.hurry = lambda: True

    def finish(self) -> None:
        """Note that no batch is on its way."""
        if self._checkpoint:
            note = self._note
            note.sending = 0
            self._checkpoint.write(note)
            self._remove(note.done.markers)


def _marker(task_id: str) -> Task:
    return Task(task_id=task_id, delay_until=FAR).to_call(_NOTHING)


def send_all(batches: Iterator[Batch | None], sender: Sender, pace: Pace) -> None:
    """Send batches in their order, each made while the one before is sent.

    When something stops this, the batch that is on its way is finished all the same; what stopped
    it is then raised.

    Args:
        batches: None among them is a pause of the input. What is on its way is then waited for, or
            its failure would be told only when more has come. Input that keeps coming has none, and
            the next batch is made meanwhile.
    """
    last: Future[None] | None = None
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(SWITCH_INTERVAL, before))
    try:
        with ThreadPoolExecutor(1) as sending:
            try:
                for batch in batches:
                    if last:
                        last.result()
                    if batch is None:
                        continue
                    pace.wait(batch.lines)
                    last = sending.submit(sender.send, batch)
                if last:
                    last.result()
            except BaseException:
                sender.hurry()
                raise
    finally:
        sys.setswitchinterval(before)
        if last is None or last.exception() is None:
            sender.finish()
