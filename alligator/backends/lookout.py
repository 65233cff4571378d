"""Looking out for an answer that comes sooner than a thread falls asleep and is woken."""

from __future__ import annotations

import os
import select
import time
from typing import Any

#: Seconds to look out for an answer. A server on the same machine answers a push in a third of it,
#: and in most of it when its processor has to be woken.
LOOK = 0.0003

#: Exchanges to sleep through, at most, when answers take longer, as over a network. It is 1 after
#: the first that did, and doubles until one comes in time: on a busy machine some are late.
REST = 64

#: Lets another have the processor (POSIX). The server may have been woken on the one that we look
#: out on, where it would get its turn milliseconds later, when ours is over.
_let_others = getattr(os, "sched_yield", lambda: None)


class Lookout:
    """Waits for answers awake, as long as they come at once.

    A processor with nothing to do goes to sleep itself, and waking it takes longer than a server
    on the same machine needs for an answer: a push takes a third less time so, and a third more of
    a processor that would have been idle. Where answers do not come in LOOK seconds, most are slept
    for.

    Attributes:
        rest: how many exchanges are to be slept through from now on.
    """

    def __init__(self) -> None:
        self.rest = 0
        self._next = 1

    def wait(self, file: Any) -> None:
        """Return when there is something to read, or when looking out for it is no use."""
        if self.rest:
            self.rest -= 1
            return
        if not hasattr(select, "poll"):
            return  # as under eventlet, whose other green threads could not run meanwhile
        poller = select.poll()
        poller.register(file, select.POLLIN)
        end = time.perf_counter() + LOOK
        while not poller.poll(0):
            _let_others()
            if time.perf_counter() > end:
                self.rest, self._next = self._next, min(2 * self._next, REST)
                return
        self._next = 1
