"""A child process as its supervisor holds it: its pipes, the leases it has, and how much it is
trusted with."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from . import memory
from .backends.base import MAX_BODY, Lease, Outcome
from .beats import Begun
from .channel import (
    GREETING,
    WORN,
    FrameReader,
    Permits,
    frame,
    open_pipes,
    unpack_outcome,
    widen,
)
from .child import DSN_VARIABLE, Settings, peak_bytes
from .limits import Limit
from .settings import WorkerSettings
from .signals import FOREVER
from .trust import variables

#: Leases that travel together, and about how many bytes their bodies have, where one has no more. A
#: child makes them ready at once, and begins the first ones while others wait for room in the pipe.
MOST_IN_FRAME, BYTES_IN_FRAME = 40, 1 << 14

#: Seconds of work that may lie ready in a child.
WORK_AHEAD = 0.05

#: The most tasks that may lie ready in a worker's children together. None of them runs dry while
#: the supervisor settles a part of so many; more would only make that longer. The smallest of pipes
#: holds the permits of all, so writing them never blocks. And what each child may have at least.
MOST_AHEAD, FAIR_SHARE = 1000, 100

#: Bytes of tasks on their way to a child, where the system lets us choose: about what lies ready.
#: Linux grants all the pipes of a user 64 MiB by default.
WIDE = 1 << 18

#: Seconds that a task takes at most whose outcome waits for others.
SHORT_TASK = 0.0005

#: Seconds without a task that begins or ends, after which what lies ready is handed back.
LONG_SECONDS = 2 * WORK_AHEAD

#: Seconds between the exception that a time limit raises in a task and the end of its process.
HARD_AFTER = 2.0

#: Seconds that a child has to end by itself once nothing more comes, and when that is urgent.
GRACE_SECONDS, SHORT_GRACE = 2.0, 0.5

#: Bytes of the longest that it says: a body or a result, its failures and some more.
MOST_SAID = 4 * MAX_BODY

#: How much of the newest try's time goes into a child's average.
WEIGHT = 0.2


class Child:
    """One child process.

    Attributes:
        held: the leases it has not ended, by number.
        ready: whether it said that its imports are done.
        worn: whether it said that it has grown too large.
        retired: whether another takes its place; it ends what it runs.
        mute: whether it has closed its pipe, so that nothing can be heard of it any more.
        peak: bytes of memory that it had at most, known once it is gone.
        done: how many tasks it has ended.
        tasks, outcomes: the supervisor's ends of those pipes.
    """

    def __init__(self, worker: WorkerSettings, binds_ids: bool = True) -> None:
        """Start the process; see `child.Settings`, `child.DSN_VARIABLE` and `trust.variables`."""
        tasks_out, self.tasks, *permits, self.outcomes, outcomes_in = open_pipes(3)
        self._permits = Permits(*permits)
        os.set_blocking(self._permits.reading, False)
        os.set_blocking(self.tasks, False)
        widen(self.tasks, WIDE)
        os.set_blocking(self.outcomes, False)
        settings = Settings(
            tasks_out,
            self._permits.reading,
            outcomes_in,
            os.getpid(),
            worker.threads,
            worker.coroutines,
            worker.time_limit,
            worker.max_memory,
            worker.imports,
            worker.log_format,
            worker.log_level,
            binds_ids,
        )
        try:
            os.getcwd()  # where it is gone, no child finds its tasks
            self.process = subprocess.Popen(
                settings.command(),
                stdin=subprocess.DEVNULL,
                # What a terminal sends is for the supervisor. With a session rather than a group of
                # their own, tasks that want to read from a terminal get an error: they would stop.
                start_new_session=True,
                env={**os.environ, DSN_VARIABLE: worker.dsn, **variables(worker)},
                pass_fds=(tasks_out, self._permits.reading, outcomes_in),
            )
        except OSError:
            self.close()
            raise
        finally:
            os.close(tasks_out)
            os.close(outcomes_in)
        self.held: dict[int, Lease] = {}
        self._given: dict[int, float] = {}  # when each of those was
        self.ready = False
        self.worn = False
        self.retired = False
        self.peak = 0
        self._inherited = peak_bytes(resource.getrusage(resource.RUSAGE_SELF))
        self._processes = worker.processes
        self._most_ahead = max(FAIR_SHARE, MOST_AHEAD // worker.processes)
        self.done = 0
        self._finish_by = FOREVER
        self._limits: dict[int, tuple[float, Limit]] = {}
        self._reached: set[int] = set()
        self._spoilt = False
        self._last = 0
        # What it reported last, or proved: see `channel.Report`.
        self._begun, self._room = 0, 1
        # The most that may lie ready. It doubles with each report: a short supply is shared out.
        self._window = 1
        self._average = 0.0
        self._progress = self._started = time.monotonic()
        self._unsent = bytearray()
        self._reader = FrameReader(MOST_SAID)
        self.mute = False
        self._mute_by = FOREVER
        self._silenced = False

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    @property
    def finishing(self) -> bool:
        """Whether it was told that nothing more comes."""
        return self._finish_by < FOREVER

    @property
    def leaving(self) -> bool:
        """Whether it is given nothing new, and ends when it holds nothing."""
        return self.worn or self.retired

    @property
    def end_by(self) -> float:
        """The monotonic time by which it, or the task that runs, has to end; FOREVER for none."""
        return min([self._finish_by, self._mute_by, *(at for at, _ in self._limits.values())])

    @property
    def hand_back_by(self) -> float:
        """The monotonic time at which what lies ready has waited long enough; FOREVER for none."""
        return self._progress + LONG_SECONDS if self._waiting and len(self.held) > 1 else FOREVER

    @property
    def _waiting(self) -> int:
        """How many of its leases it is not known to have begun.

        All numbers above _begun: when some are taken back, the others have begun.
        """
        return self._last - self._begun

    @property
    def seconds_ready(self) -> float:
        """How long what lies ready in it, behind the one that may run, will take; 0 where tasks are
        not short, going by those that it ended last."""
        if not 0 < self._average < SHORT_TASK:
            return 0.0
        return max(0, self._waiting - 1) * self._average

    def room(self) -> int:
        """How many more leases to give it now: what it could begin at once, and some to lie ready,
        of which a quarter is used up before it gets more, so that they travel in batches."""
        if not self.ready or self.leaving or self.finishing or self.mute:
            return 0
        waiting, most = self._waiting, self._most_ready()
        if waiting >= self._room and waiting > 3 * most // 4:
            return 0
        return max(0, most - waiting)

    def _most_ready(self) -> int:
        running = max(1, len(self.held) - self._waiting)
        ahead = int(WORK_AHEAD * running / max(self._average, 1e-6)) if self.done else 0
        return min(max(self._room, ahead), self._window)

    def give(self, leases: Sequence[Lease]) -> None:
        """Hand leases over, in the order they should begin."""
        if not self._waiting:
            self._progress = time.monotonic()
        first = self._last + 1
        self._last += len(leases)
        numbers = range(first, self._last + 1)
        self.held.update(zip(numbers, leases, strict=True))
        self._given.update(dict.fromkeys(numbers, time.monotonic()))
        self._permits.give(numbers)  # before the tasks: a task without a permit counts as revoked
        numbered = list(zip(numbers, map(tuple, leases), strict=True))
        size = sum(len(lease.body) for lease in leases) // len(leases)
        together = max(1, min(MOST_IN_FRAME, BYTES_IN_FRAME // max(1, size)))
        for start in range(0, len(numbered), together):
            self._unsent += frame(numbered[start : start + together])
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

    def collect(self) -> list[Outcome]:
        """Read what it has ended since the last look."""
        outcomes = []
        average, last = self._average, None
        held, given = self.held, self._given
        try:
            for values in chain.from_iterable(map(self._reader.feed, self._said())):
                number = values[0]
                if number in held:
                    outcomes.append(unpack_outcome(values, held[number]))
                    average += WEIGHT * (values[3] - average)
                    del held[number], given[number]
                    last = values
                    if number in self._limits:
                        self._end_limit(number)
                elif number == "limit":
                    self._begin_limit(*values[1:])
                elif number == "unlimited":
                    self._end_limit(values[1])
                elif number == "reached":
                    self._reached |= held.keys() & values[1:]
                elif number == "report":
                    last = values
                elif values == GREETING:
                    self.ready = True
                elif values == WORN:
                    self.worn = True
        except (EOFError, LookupError, TypeError, ValueError):
            self._spoilt = True
            self.kill()  # something in it wrote to the pipe that is no frame; it can't be believed
        if last:
            self._hear(*last[1:3])  # the last report says it all
        self.done += len(outcomes)
        self._average = average
        return outcomes

    def _hear(self, begun: int, room: int) -> None:
        """Take a report in."""
        if begun < self._begun:
            # It has not come to what was taken back since. What it began before that took room.
            room -= sum(begun < number <= self._begun for number in self.held)
        self._begun = max(begun, self._begun)
        self._room = max(0, room)
        self._window = min(max(1, 2 * self._window), self._most_ahead)
        self._progress = time.monotonic()

    def _begin_limit(self, number: int, *limit: Any) -> None:
        ends = Limit(*limit)
        self._limits[number] = time.monotonic() + ends.seconds + HARD_AFTER, ends
        self._reached.discard(number)

    def _end_limit(self, number: int) -> None:
        self._limits.pop(number, None)
        self._reached.discard(number)

    def overrun(self, number: int) -> Limit | None:
        """Return the time limit of a held lease when that was run out of; None otherwise."""
        ends, limit = self._limits.get(number, (FOREVER, None))
        return limit if time.monotonic() >= ends else None

    def is_held_up(self, number: int) -> bool:
        """Whether the time of a lease is over, but something that runs beside it may have kept it
        from going on: its limit has not reached it."""
        ends, _ = self._limits.get(number, (FOREVER, None))
        over = time.monotonic() >= ends - HARD_AFTER
        return over and number not in self._reached and len(self.held) > 1

    def take_back(self) -> list[Lease]:
        """Take back the leases that it has not begun."""
        if not self._waiting:
            return []
        numbers = self._permits.take_all()
        leases = [self.held.pop(number) for number in numbers]
        for number in numbers:
            del self._given[number]
        # What it still holds has begun. It gets no more until it says that it could begin more:
        # what lay behind a task that runs long would lie there again.
        self._begun = self._last
        self._room = self._window = 0
        return leases

    def begun(self) -> list[Begun]:
        """What it runs, as far as can be told from here: all that it said to have begun, and what
        it had room for besides. What lies ready is begun, or taken back, so soon that the time
        since it was given will do for the time it runs."""
        now = time.monotonic()
        return [
            (lease, now - self._given[number])
            for number, lease in self.held.items()
            if number <= self._begun + self._room
        ]

    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started

    def retire(self) -> None:
        """Give it nothing new from now on."""
        self.retired = True

    def gone(self) -> bool:
        """Whether the process has ended."""
        if self.process.returncode is None:
            # As Popen.poll does, which does not tell how large the process was.
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                self.peak = peak_bytes(usage)
        return self.process.returncode is not None

    def finish(self, urgent: bool = False) -> None:
        """Let it end by itself: there is nothing more to come."""
        if not self.finishing:
            self._unsent.clear()  # it holds nothing, so this was taken back before it was sent
            os.close(self.tasks)
            self.tasks = -1
        grace = SHORT_GRACE if urgent else GRACE_SECONDS
        self._finish_by = min(self._finish_by, time.monotonic() + grace)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to it and what its tasks have started; what they gave a session or a group
        of its own is not reached."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """End it now."""
        self._silenced = time.monotonic() > self._mute_by
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
        if code is None or code >= 0:
            return f"exit code {code}"
        if self._spoilt:
            return "SIGKILL, since it had written to its pipe what is no outcome"
        if self._silenced:
            return "SIGKILL, since it had closed its pipe to this worker"
        grown = self.peak > self._inherited  # or its size may be ours, see memory.peak
        if -code == signal.SIGKILL and grown and self._needs_most_memory():
            # The kernel leaves no other trace of having run out of memory than the size.
            return f"SIGKILL, perhaps for want of memory: it had {self.peak / 2**20:.0f} MiB"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    def _needs_most_memory(self) -> bool:
        return self.peak * self._processes > memory.limit() / 2

    def _said(self) -> Iterator[bytes]:
        try:
            while data := os.read(self.outcomes, 1 << 16):
                yield data
        except BlockingIOError:
            return
        if not self.mute:  # as it ends, or when something in it closed the pipe
            self.mute = True
            self._mute_by = time.monotonic() + SHORT_GRACE


def reap_strays(children: Sequence[Child]) -> None:
    """Take note of the end of every process that has none but us to do so.

    Process 1 of a container is the parent of all whose own parents have ended, such as what a task
    left running. Who ended stays in the kernel's table until its parent asks.
    """
    own = {child.pid: child for child in children}
    with suppress(ChildProcessError):  # there is none at all
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in own:
                own[ended.si_pid].gone()
            else:
                os.waitpid(ended.si_pid, 0)
