"""Keeping leases alive while a task runs in this process."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .backends.base import Backend, Capability, Lease


class LeaseKeeper:
    """Extends held leases from a thread, at a third of their time.

    The thread starts with the first lease and sleeps while none is held, until `close`. A task that
    keeps Python from running its threads for a whole lease loses it: `gator worker` extends from
    the parent process, which no task can hold up.
    """

    def __init__(self, client: Backend) -> None:
        self._client = client
        self._needed = Capability.TIMED_LEASES in client.capabilities
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._held: dict[str, Lease] = {}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._sooner = threading.Event()  # the thread is to look how long it has to wait
        self._reckoned = math.inf  # seconds of a lease, as the thread waits for a third of it
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """End the thread; the next lease starts another."""
        thread = self._thread
        if thread is not None and self._pid == os.getpid():
            self._closing.set()
            self._sooner.set()
            with self._changed:
                self._changed.notify()
            thread.join()
        self._reset()

    @contextmanager
    def holding(self, lease: Lease) -> Iterator[None]:
        """Keep `lease` alive for the body of the `with`."""
        if not self._needed:
            yield
            return
        if self._pid != os.getpid():  # threads do not cross a fork
            self._reset()
        with self._changed:
            self._held[lease.token + lease.task_id] = lease
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._extend_forever, name="alligator-leases", daemon=True
                )
                self._thread.start()
            elif len(self._held) == 1:
                self._changed.notify()
            if self._client.lease_seconds < self._reckoned:  # as tasks of beanstalkd may have it
                self._sooner.set()
        try:
            yield
        finally:
            with self._changed:
                self._held.pop(lease.token + lease.task_id, None)

    def _extend_forever(self) -> None:
        closing = self._closing
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._held or closing.is_set())
            # A wait of its own: a notify for each short task would make this thread run each time.
            self._wait_third()
            if closing.is_set():
                return
            with self._changed:
                held = list(self._held.values())
            if held:
                self._extend(held)

    def _wait_third(self) -> None:
        """Wait for a third of a lease, or until `close`."""
        closing, sooner = self._closing, self._sooner
        began = time.monotonic()
        while not closing.is_set():
            self._reckoned = self._client.lease_seconds
            left = began + self._reckoned / 3 - time.monotonic()
            if left <= 0 or not sooner.wait(left):
                return
            sooner.clear()  # what set it has changed before that what is looked at next

    def _extend(self, held: list[Lease]) -> None:
        from .logs import worker_log  # and with it logging: a push has no use for that

        try:
            kept = self._client.extend(held)
        except Exception as error:  # whatever it was, the next leases need this thread
            worker_log.warning("could not extend %d leases: %s", len(held), error)
            return
        for lease, still in zip(held, kept, strict=True):
            if not still:
                worker_log.warning(
                    "task %s lost its lease while it ran; another worker may run it too",
                    lease.task_id,
                )
                with self._changed:
                    self._held.pop(lease.token + lease.task_id, None)
