"""The process that runs tasks for `gator worker`: it takes leases off a pipe, begins them in turn,
and says what came of each. It never speaks to the broker."""

from __future__ import annotations

import inspect
import json
import logging
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, NoReturn, Protocol

from . import execution, logs, memory
from .backends.base import HOST, Ack, Fail, Lease, Retry
from .channel import (
    GREETING,
    WORN,
    FrameReader,
    Permits,
    frame,
    pack_limit,
    pack_reached,
    pack_unlimited,
)
from .exceptions import AlligatorException
from .forks import generation, handling
from .redaction import learn
from .slots import Slots
from .tasks import Task
from .telling import WORDS, call_in
from .trust import Trust
from .utils import DottedPath, import_from_here, import_module
from .version import version

#: The variable that has the worker's DSN. The child speaks to no broker, but a task that pushes
#: others meets the same one with it, and its password is hidden in what is logged and kept.
DSN_VARIABLE = "GATOR_DSN"

#: The exit code of a child whose imports fail, or that is of another version.
NOT_READY = 3

#: Bytes that the body of a task may have that is made ready with others. A larger one is made ready
#: when it begins: should that take the process along, it is known which one it was.
MOST_AT_ONCE = 4096

#: Functions of which a child remembers whether they are `async def`.
MAX_KNOWN = 1000


class Settings(NamedTuple):
    """What a child is started with: its ends of the three pipes, and how to run.

    Attributes:
        tasks, permits, outcomes: descriptors.
        parent: the supervisor's process id.
        threads, coroutines and all others: as in WorkerSettings.
        binds_ids: see Trust; the rest of that comes with the environment.
    """

    tasks: int
    permits: int
    outcomes: int
    parent: int
    threads: int
    coroutines: int
    time_limit: float | None
    max_memory: int
    imports: tuple[str, ...]
    log_format: str
    log_level: str
    binds_ids: bool

    def command(self) -> list[str]:
        """Return the command line that starts a child with these settings."""
        return [sys.executable, *_interpreter_flags(), "-m", __name__, version(), json.dumps(self)]


def _interpreter_flags() -> list[str]:
    """Return the options that this interpreter was started with, as multiprocessing has them."""
    import subprocess  # the supervisor has it, and a child has no use for it

    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return flags


def main(parents_version: str, settings: str) -> int:
    """Run tasks until the supervisor closes its end.

    Args:
        parents_version: that of the Alligator which the supervisor runs. A worker that was started
            before an upgrade must not be misunderstood.
        settings: the JSON of Settings.
    """
    if parents_version != version():
        logs.configure("text", "error")
        logs.worker_log.error(
            "this worker runs Alligator %s, and %s is installed now; restart the worker",
            parents_version,
            version(),
        )
        return NOT_READY
    return _main(Settings(*json.loads(settings)))


def _main(settings: Settings) -> int:
    _die_with(settings.parent)
    with handling(dict.fromkeys(_not_heeded(), lambda _number, _frame: None)):
        return _run(settings)


def _not_heeded() -> Iterator[int]:
    """Yield the signals that others may send but that change nothing here: the supervisor decides
    when a child ends. They get a handler: programs that a task starts would inherit SIG_IGN."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it, for those too
            yield number


def _run(settings: Settings) -> int:
    for descriptor in settings[:3]:
        os.set_inheritable(descriptor, False)
    learn(os.environ.get(DSN_VARIABLE, ""))
    logs.configure(settings.log_format, settings.log_level)
    try:
        trust = Trust.of(binds_ids=settings.binds_ids)
    except AlligatorException as error:
        logs.worker_log.error("%s", error)
        return NOT_READY
    import_from_here()
    try:
        for module in settings.imports:
            import_module(module)
    except AlligatorException as error:
        logs.worker_log.error("--import: %s", error)
        return NOT_READY
    Dispatcher(settings, trust).run()
    while os.read(settings.tasks, 1 << 16):
        pass
    return 0


#: As Lease._make, which counts the fields each time.
_lease = partial(tuple.__new__, Lease)


class _Pending(Protocol):
    """A call that is yet to be made."""

    def cancel(self) -> object: ...


#: A lease, or what `execution.prepare` made of it.
_Ready = Lease | execution.Try | execution.Done


class Dispatcher:
    """The main thread's part: begins the leases in their order, each once it has its permit."""

    def __init__(self, settings: Settings, trust: Trust) -> None:
        self._settings = settings
        self._trust = trust
        self._worker = f"{HOST}:{os.getpid()}"
        self._permits = Permits(settings.permits)
        self._slots = Slots(settings.threads, settings.coroutines, settings.outcomes)
        self._worn = False
        self._reaching: dict[int, _Pending] = {}
        self._async: dict[tuple[str, str], bool] = {}

    def run(self) -> None:
        """Begin what comes, until nothing more does or this process has grown too large."""
        self._slots.say(frame(GREETING))
        for leases in _frames(self._settings.tasks):
            for number, one in self._all_ready(leases):
                # Before the permit is taken: a task that has it has begun, and is charged if this
                # process dies.
                self._slots.wait()
                if self._worn:
                    return
                if self._permits.allows(number):
                    self._begin(number, one)
                else:
                    self._slots.skip(number)
            self._slots.report()

    def _all_ready(self, leases: list[tuple[int, Any]]) -> list[tuple[int, _Ready]]:
        """Make all leases of a frame ready, with their numbers: a processor is faster at one thing
        forty times over than at forty things in turn."""
        return [(number, self._made_ready(_lease(fields))) for number, fields in leases]

    def _made_ready(self, lease: Lease) -> _Ready:
        if len(lease.body) > MOST_AT_ONCE:
            return lease
        try:
            return self._prepare(lease)
        except Exception:
            return lease  # when it begins this happens again, and is known to be that task's

    def _prepare(self, lease: Lease) -> execution.Try | execution.Done:
        most = self._settings.time_limit
        return execution.prepare(Task, lease, self._worker, most, self._trust)

    def _begin(self, number: int, ready: _Ready) -> None:
        started = time.perf_counter()
        one = self._prepare(ready) if isinstance(ready, Lease) else ready
        if isinstance(one, execution.Try) and self._is_async(number, one):
            self._slots.run_on_loop(number, partial(self._run_on_loop, number, started, one))
        else:
            self._slots.run(number, self._run, number, started, one)

    def _is_async(self, number: int, one: execution.Try) -> bool:
        """Whether the task calls a coroutine function. One that is new is imported: that takes
        nothing from the try's time, but it may take no longer than the hard limit either."""
        func = one.task.func
        if not isinstance(func, DottedPath):
            return False
        key = func.module, func.name
        known = self._async.get(key)
        if known is None:
            if len(self._async) > MAX_KNOWN:
                self._async.clear()
            self._tell_limit(number, one, _later_in_thread)
            before = generation()
            try:
                known = self._async[key] = inspect.iscoroutinefunction(func.resolve())
            except BaseException:
                known = False  # the try will meet it again, and knows what to do about it
            if generation() != before:
                os._exit(0)  # the module forked, and this is the copy
            if number in self._reaching:
                # It may wait for the loop now, which somebody else blocks.
                self._no_limit(number)
                self._slots.say(pack_unlimited(number))
        return known

    def _run(self, number: int, started: float, one: execution.Try | execution.Done) -> None:
        try:
            if isinstance(one, execution.Try) and one.seconds is not None:
                self._tell_limit(number, one, _later_in_thread)
            self._end(number, started, execution.run(one), on_loop=False)
        except BaseException:
            _give_up()

    async def _run_on_loop(self, number: int, started: float, one: execution.Try) -> None:
        try:
            self._tell_limit(number, one, self._slots.later_on_loop)
            self._end(number, started, await execution.run_async(one), on_loop=True)
        except BaseException:
            _give_up()

    def _end(self, number: int, started: float, done: execution.Done, on_loop: bool) -> None:
        seconds = time.perf_counter() - started
        if self._reaching:
            self._no_limit(number)
        self._slots.end(number, seconds, done.outcome, on_loop)
        if not isinstance(done.outcome, Ack) or logs.worker_log.isEnabledFor(logging.INFO):
            _log(done, seconds)
        most = self._settings.max_memory
        if most and not self._worn and _has_grown(most):
            self._worn = True
            # The permits of what has not begun are in the pipe, for the supervisor to take back.
            self._slots.say(frame(WORN))

    def _tell_limit(
        self,
        number: int,
        one: execution.Try,
        later: Callable[[float, Callable[[], None]], _Pending],
    ) -> None:
        """Tell the supervisor of a limit that begins, or begins anew, if the try has one, and at
        its end that it could be heeded.

        Where a task blocks the loop, or the whole interpreter, no limit of any other one reaches
        it, nor does this second message come, made where the limit's exception is: the supervisor
        cannot tell which one it was, but it knows for which of them it need not ask.
        """
        if (limit := one.limit()) is None:
            return
        self._slots.say(pack_limit(number, limit))
        self._no_limit(number)
        reached = partial(self._slots.say, pack_reached(number))
        self._reaching[number] = later(limit.seconds, reached)

    def _no_limit(self, number: int) -> None:
        if (pending := self._reaching.pop(number, None)) is not None:
            pending.cancel()


def _later_in_thread(seconds: float, call: Callable[[], None]) -> _Pending:
    from .alarms import Call  # and with it ctypes, for tasks that have a limit

    return Call(seconds, call)


def _give_up() -> NoReturn:
    """End the process with an error of our own, whichever thread it is in: its supervisor accounts
    for what runs here, and nobody would miss a thread."""
    try:
        traceback.print_exc()  # to a stderr that a task may have closed
    finally:
        os._exit(1)


def _has_grown(most: int) -> bool:
    peak = peak_bytes(resource.getrusage(resource.RUSAGE_SELF))
    if peak > most:  # quick to ask, but it may be the supervisor's
        peak = memory.peak() or peak
    return peak > most


def peak_bytes(usage: resource.struct_rusage) -> int:
    """Return how large a process was at most."""
    # Linux counts in KiB, macOS in bytes.
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024


def _log(done: execution.Done, seconds: float) -> None:
    logs.worker_log.disabled = False  # as a program's logging configuration leaves it, unless told
    level, message = _told(done)
    if not logs.worker_log.isEnabledFor(level):
        return
    lease = done.outcome.lease
    logs.worker_log.log(
        level,
        message,
        extra={
            "task_id": lease.task_id,
            "task": done.task.name if done.task else call_in(lease.body) or None,
            "queue": lease.queue,
            "seconds": seconds,
            "outcome": WORDS[type(done.outcome)],
        },
    )


def _told(done: execution.Done) -> tuple[int, str]:
    """Return the level and the message for one try."""
    match done.outcome:
        case Ack():
            return logging.INFO, "done"
        case Retry(failure=failure, delay=delay):
            left = done.task.retries if done.task else 0
            times = {0: "none", 1: "1 more"}.get(left, f"{left} more")
            when = f"in {delay:.1f} s" if delay else "now"
            return logging.WARNING, f"failed, next try {when}, {times} after it: {failure.error}"
        case Fail(failure=failure):
            return logging.ERROR, f"failed for good: {failure.error}"
        case _:
            return logging.INFO, f"asked to be run {done.error}"


def _frames(descriptor: int) -> Iterator[Any]:
    reader = FrameReader()
    while data := os.read(descriptor, 1 << 16):
        yield from reader.feed(data)


def _die_with(parent: int) -> None:
    """Ask the kernel to end this process with its parent, where it can (Linux, prctl(2))."""
    if sys.platform == "linux":
        import ctypes  # nowhere else, and only in children

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
