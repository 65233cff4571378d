"""A child process as its supervisor holds it: its pipes, the leases it has, and how much it is
trusted with."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from .backends.base import Lease
from .channel import (
    GREETING,
    MAX_PERMITS,
    WORN,
    Finished,
    FrameReader,
    Permits,
    frame,
    unpack_outcome,
)
from .child import DSN_VARIABLE, Settings
from .limits import Limit
from .settings import WorkerSettings

#: Seconds of work a child may hold, and the most tasks.
WORK_AHEAD, MOST_AHEAD = 0.05, 500

#: Seconds between the exception that a time limit raises in a task and the end of its process.
HARD_AFTER = 2.0

#: Seconds that a child has to end by itself once nothing more comes.
GRACE_SECONDS = 2.0

FOREVER = float("inf")

#: How much of the newest try's time goes into a child's average.
WEIGHT = 0.2


class Child:
    """One child process.

    Attributes:
        held: the leases it has not ended, by number.
        window: how many leases it may hold. It starts at one and at most doubles at each refill
            while tasks are short, so that WORK_AHEAD seconds of them lie ready.
        ready: whether it said that its imports are done.
        worn: whether it said that it has grown too large.
        done: how many tasks it has ended.
        tasks, outcomes: the supervisor's ends of those pipes.
        progress: the monotonic time when it last started a task, as far as can be told from here.
    """

    def __init__(self, worker: WorkerSettings) -> None:
        """Start the process; see `child.Settings` and `child.DSN_VARIABLE`."""
        tasks_out, self.tasks = os.pipe()
        self._permits = Permits.make()
        self.outcomes, outcomes_in = os.pipe()
        os.set_blocking(self.tasks, False)
        os.set_blocking(self.outcomes, False)
        settings = Settings(
            tasks_out,
            self._permits.reading,
            outcomes_in,
            os.getpid(),
            worker.time_limit,
            worker.max_memory,
            worker.imports,
            worker.log_format,
            worker.log_level,
        )
        try:
            self.process = subprocess.Popen(
                settings.command(),
                stdin=subprocess.DEVNULL,
                env={**os.environ, DSN_VARIABLE: worker.dsn},
                pass_fds=(tasks_out, self._permits.reading, outcomes_in),
            )
        except OSError:
            self.close()
            raise
        finally:
            os.close(tasks_out)
            os.close(outcomes_in)
        self.held: dict[int, Lease] = {}
        self.window = 1
        self.ready = False
        self.worn = False
        self.done = 0
        self._finish_by = FOREVER
        self._limit: tuple[int, Limit] | None = None
        self._limit_ends = FOREVER
        self.progress = self._started = time.monotonic()
        self._last = 0
        self._average = 0.0
        self._unsent = bytearray()
        self._reader = FrameReader()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    @property
    def finishing(self) -> bool:
        """Whether it was told that nothing more comes."""
        return self._finish_by < FOREVER

    @property
    def end_by(self) -> float:
        """The monotonic time by which it, or the task that runs, has to end; FOREVER for none."""
        return min(self._finish_by, self._limit_ends)

    def room(self) -> int:
        """How many more leases to give it now. Only when half of the window is used up, so that
        leases travel in batches."""
        if not self.ready or self.worn or self.finishing or len(self.held) > self.window // 2:
            return 0
        return self.window - len(self.held)

    def give(self, leases: Sequence[Lease]) -> None:
        """Hand leases over, in the order they should run."""
        if not self.held:
            self.progress = time.monotonic()
        first = self._last + 1
        self._last += len(leases)
        numbers = range(first, self._last + 1)
        self.held.update(zip(numbers, leases, strict=True))
        self._permits.give(numbers)  # before the tasks: a task without a permit counts as revoked
        self._unsent += frame([(n, tuple(lease)) for n, lease in zip(numbers, leases, strict=True)])
        self.send()

    def send(self) -> bool:
        """Write what the pipe takes without blocking; whether anything is left."""
        try:
            while self._unsent:
                del self._unsent[: os.write(self.tasks, self._unsent)]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self._unsent.clear()  # it is gone, and will be buried
        return False

    def collect(self) -> list[Finished]:
        """Read what it has ended since the last look."""
        finished = []
        for values in self._read():
            if values == GREETING:
                self.ready = True
            elif values == WORN:
                self.worn = True
            elif values[0] == "limit":
                self._begin_limit(*values[1:])
            elif values[0] in self.held:
                finished.append(unpack_outcome(values, self.held.pop(values[0])))
                self._limit, self._limit_ends = None, FOREVER
        if finished:
            self.progress = time.monotonic()
            self.done += len(finished)
            self._learn(finished)
        return finished

    def _begin_limit(self, number: int, *limit: Any) -> None:
        self._limit = number, Limit(*limit)
        self._limit_ends = time.monotonic() + self._limit[1].seconds + HARD_AFTER

    def overrun(self, number: int) -> Limit | None:
        """Return the time limit of a held lease when that was run out of; None otherwise."""
        if self._limit is None or self._limit[0] != number or time.monotonic() < self._limit_ends:
            return None
        return self._limit[1]

    def take_back(self) -> list[Lease]:
        """Take back the leases that it has not started."""
        leases = [self.held.pop(number) for number in self._permits.take_all()]
        if leases:
            self.window = 1
        return leases

    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started

    def finish(self) -> None:
        """Let it end by itself: there is nothing more to come."""
        if not self.finishing:
            os.close(self.tasks)
            self.tasks = -1
            self._finish_by = time.monotonic() + GRACE_SECONDS

    def kill(self) -> None:
        """End it now."""
        self.process.kill()

    def wait(self) -> None:
        """Wait until it is gone; end it when that takes longer than its grace."""
        try:
            self.process.wait(max(0.0, min(self._finish_by - time.monotonic(), GRACE_SECONDS)))
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()

    def close(self) -> None:
        """Close this end of the pipes, once the process is gone."""
        for descriptor in (self.tasks, self.outcomes, self._permits.reading, self._permits.writing):
            if descriptor >= 0:
                os.close(descriptor)

    def cause_of_death(self) -> str:
        """Say how the process ended: a signal's name or an exit code."""
        code = self.process.returncode
        if code is not None and code < 0:
            try:
                return signal.Signals(-code).name
            except ValueError:
                return f"signal {-code}"
        return f"exit code {code}"

    def _read(self) -> list[Any]:
        values: list[Any] = []
        try:
            while data := os.read(self.outcomes, 1 << 16):
                values += self._reader.feed(data)
        except BlockingIOError:
            pass
        except (EOFError, TypeError, ValueError):
            self.kill()  # something in it wrote to the pipe that is no frame; it can't be believed
        return values

    def _learn(self, finished: list[Finished]) -> None:
        for one in finished:
            self._average += WEIGHT * (one.seconds - self._average)
        fits = int(WORK_AHEAD / max(self._average, 1e-6))
        self.window = max(1, min(fits, 2 * self.window, MOST_AHEAD, MAX_PERMITS // 2))
