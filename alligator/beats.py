"""What a worker tells the broker of itself now and then, for operators to see."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import compress

from .backends.base import HOST, Ack, Backend, Capability, Fail, Lease, Outcome
from .backends.roster import Running, WorkerRecord
from .exceptions import BrokerError, BrokerUnreachable
from .telling import call_in
from .version import __version__

log = logging.getLogger("alligator.worker")

#: Seconds from one beat to the next, and those without any after which a worker is stale.
BEAT_SECONDS, STALE_SECONDS = 5.0, 20.0

#: Seconds over which a worker's rate is taken.
RATE_SECONDS = 60.0

#: Seconds that the end of a Worker waits for its last beat, which a broker that is away holds up.
_PATIENCE = 1.0

#: A lease whose task was begun, and how many seconds ago.
Begun = tuple[Lease, float]


class Pulse:
    """One worker's beats. On a broker that keeps no list of workers none is ever due.

    Attributes:
        due_at: the monotonic time of the next beat.
        name: what the worker is listed as.
    """

    def __init__(
        self, client: Backend, queues: Sequence[str], processes: int, first: float = 0.0
    ) -> None:
        """Describe the worker, as which the calling thread counts.

        Args:
            first: seconds until its first beat.
        """
        self._client = client
        self.name = client.worker
        if threading.current_thread() is not threading.main_thread():
            self.name += f":{threading.get_native_id()}"  # others of this process may be workers
        kept = Capability.WORKERS in client.capabilities
        self.due_at = time.monotonic() + first if kept else float("inf")
        self._known = False
        self._about = WorkerRecord(
            self.name,
            HOST,
            os.getpid(),
            tuple(queues),
            processes,
            started_at=time.time(),
            version=__version__,
        )
        self._done = self._failed = 0
        # When how many had ended, a beat each.
        self._history: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._refused = False

    def due(self) -> bool:
        """Whether it is time for a beat."""
        return time.monotonic() >= self.due_at

    def count(self, outcomes: Iterable[Outcome], accepted: Iterable[bool]) -> None:
        """Note what was settled, and which of it counted."""
        ended = Counter(map(type, compress(outcomes, accepted)))
        self._done += ended[Ack]
        self._failed += ended[Fail]

    def beat(self, begun: Iterable[Begun]) -> None:
        """Tell the broker how the worker is. That it refuses to note it stops no work.

        Raises:
            BrokerUnreachable: it is away.
        """
        self.due_at = time.monotonic() + BEAT_SECONDS
        now = time.time()
        worker = self._about._replace(
            running=tuple(
                Running(lease.task_id, lease.queue, call_in(lease.body), now - seconds)
                for lease, seconds in begun
            ),
            done=self._done,
            failed=self._failed,
            rate=self._rate(),
        )
        try:
            self._known = True  # or so it may be, should the answer be lost
            self._client.beat(worker, STALE_SECONDS)
            self._refused = False
        except BrokerUnreachable:
            raise
        except BrokerError as error:
            log.log(
                logging.DEBUG if self._refused else logging.WARNING,
                "the broker does not note that this worker lives: %s",
                error,
            )
            self._refused = True

    def leave(self) -> None:
        """Have the broker forget the worker, if it can be reached."""
        if self._known:
            with suppress(BrokerError):
                self._client.leave(self.name)

    def _rate(self) -> float | None:
        now, ended = time.monotonic(), self._done + self._failed
        self._history.append((now, ended))
        while now - self._history[1][0] >= RATE_SECONDS:
            self._history.popleft()
        began, before = self._history[0]
        return (ended - before) / (now - began) if now - began >= BEAT_SECONDS / 2 else None


@contextmanager
def beating(pulse: Pulse, begun: Callable[[], Sequence[Begun]]) -> Iterator[None]:
    """Beat from a thread for as long as the `with` block lasts, then leave.

    Args:
        begun: returns what runs now; called from that thread.
    """
    if pulse.due_at == float("inf"):
        yield
        return
    ending = threading.Event()

    def beat() -> None:
        while not ending.wait(max(0.0, pulse.due_at - time.monotonic())):
            try:
                pulse.beat(begun())
            except Exception as error:  # the worker has its own say about a broker that is away
                log.debug("no beat: %s", error)
        pulse.leave()

    thread = threading.Thread(target=beat, name="alligator-beats", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(_PATIENCE)
