"""Sending batches beside making them."""

from __future__ import annotations

import sys
from typing import Any, cast

import pytest

from alligator_cli.batches import Batch
from alligator_cli.progress import Pace
from alligator_cli.sending import SWITCH_INTERVAL, Sender, send_all


class Recorder:
    """What send_all asks of a Sender."""

    def __init__(self, fails: bool) -> None:
        self.intervals: list[float] = []
        self.fails = fails

    def send(self, _batch: Batch) -> None:
        self.intervals.append(sys.getswitchinterval())
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
