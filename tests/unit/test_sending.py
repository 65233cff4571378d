"""Sending batches beside making them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from alligator_cli.batches import Batch
from alligator_cli.progress import Pace
from alligator_cli.sending import SWITCH_INTERVAL, Sender, send_all


class Recorder:
    """What send_all asks of a Sender."""

    def __init__(self, fails: bool) -> None:
        self.intervals: list[float] = []
        self.sent: list[int] = []
        self.made = threading.Event()
        self.made.set()
        self.fails = fails

    def send(self, batch: Batch) -> None:
        self.intervals.append(sys.getswitchinterval())
        assert self.made.wait(20), "the next batch is made meanwhile"
        self.sent.append(batch.last)
        if self.fails:
            raise OSError("gone")

    def hurry(self) -> None:
        pass

    def finish(self) -> None:
        pass


@pytest.mark.parametrize("fails", [False, True])
def test_threads_take_turns_quickly_while_batches_are_sent_and_no_longer(fails: bool) -> None:
    before = sys.getswitchinterval()
    assert before > SWITCH_INTERVAL
    recorder: Any = Recorder(fails)
    batches = [Batch(last=number, lines=1, crc=0, read=1) for number in (1, 2)]

    try:
        send_all(iter(batches), cast(Sender, recorder), Pace(None))
    except OSError:
        assert fails

    assert recorder.intervals == pytest.approx([SWITCH_INTERVAL] * (1 if fails else 2))
    assert sys.getswitchinterval() == before


def test_a_batch_is_made_while_the_one_before_is_sent() -> None:
    recorder: Any = Recorder(fails=False)
    recorder.made.clear()

    def batches() -> Iterator[Batch]:
        yield Batch(last=1, lines=1, crc=0, read=1)
        recorder.made.set()
        yield Batch(last=2, lines=1, crc=0, read=1)

    send_all(batches(), cast(Sender, recorder), Pace(None))

    assert recorder.sent == [1, 2]


@pytest.mark.parametrize("fails", [False, True])
def test_at_a_pause_what_is_on_its_way_is_waited_for(fails: bool) -> None:
    recorder: Any = Recorder(fails)
    sent_at_the_pause = []

    def batches() -> Iterator[Batch | None]:
        yield None
        yield Batch(last=1, lines=1, crc=0, read=1)
        yield None
        sent_at_the_pause.extend(recorder.sent)

    try:
        send_all(batches(), cast(Sender, recorder), Pace(None))
    except OSError:
        assert fails

    assert sent_at_the_pause == ([] if fails else [1])
