"""From a lease to its outcome: decode the body, run one try, say what the broker is to do."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from . import body
from .backends.base import MAX_BODY, MAX_TRACEBACK, Ack, Defer, Fail, Failure, Lease, Outcome, Retry
from .constants import DELAYED, RETRYING, SUCCESS, WAITING
from .exceptions import (
    AlligatorException,
    BrokenModuleError,
    GiveUp,
    NotAllowed,
    RetryIn,
    Snooze,
    UndecodableTask,
    UnknownCallableError,
    UnknownModuleError,
)
from .forks import generation
from .limits import Limit, time_limit
from .redaction import redacted
from .retries import delay
from .tasks import Task
from .trust import OPEN, Trust

#: Errors that another try on this machine would only repeat, and the task's own word for that. A
#: BrokenModuleError, which is one of the third kind, may pass.
HOPELESS = (UndecodableTask, NotAllowed, UnknownModuleError, UnknownCallableError, GiveUp)

#: Seconds that a snoozed task waits at least. It keeps its place in line, so without a wait it
#: would run again and again before everything behind it.
SHORTEST_SNOOZE = 0.1

#: Characters of an error that are kept, and of it and of a traceback those beyond what is kept in
#: which passwords are looked for: the cut may go through one.
_MAX_ERROR, _MARGIN = 1000, 4000

#: Statuses that say nothing of how a try ended, and those that do not say that it failed. The
#: user's own are in neither: they have been chosen.
_NOT_ENDED = (WAITING, DELAYED, RETRYING)
_NOT_FAILED = (*_NOT_ENDED, SUCCESS)

_OUR_FOLDER = os.path.dirname(__file__) + os.sep


@dataclass(slots=True)  # made sooner than a tuple with names
class Done:
    """One try: the task (None when the body was no task), what it raised, and its outcome."""

    task: Task | None
    error: BaseException | None
    outcome: Outcome


@dataclass(slots=True)
class Try:
    """One try of a leased task, decoded and not begun.

    Attributes:
        worker: the name written beside a failure.
        most: seconds it may take at most, whatever the task says.
        seconds: how long it may take, by that and by the task; None for no limit.
        trust: what is believed and may run, and how a body to queue again is signed.
        given: the task's func_args and func_kwargs before it began.
    """

    task: Task
    lease: Lease
    worker: str
    most: float | None
    trust: Trust
    seconds: float | None
    given: tuple[tuple[Any, ...], dict[str, Any]]

    def limit(self) -> Limit | None:
        """Return its time limit, and what follows when that is run out of; None for no limit."""
        if self.seconds is None:
            return None
        return _limit(self.task, self.seconds, self.lease, self.trust)


def prepare(
    task_class: type[Task],
    lease: Lease,
    worker: str,
    most: float | None = None,
    trust: Trust = OPEN,
) -> Try | Done:
    """Decode the leased task and see whether it may run; see Try. What is no task, or may not, is
    Done.

    Args:
        task_class: whose `deserialize` reads the body.
    """
    try:
        task = decode(task_class, lease, trust)
        if trust.allow is not None:
            trust.allow.admit(task)
    except (UndecodableTask, NotAllowed) as error:
        return Done(None, error, Fail(lease, failure_of(error, worker)))
    if not lease.task_id:  # a five-verb backend hands out bodies only
        lease = lease._replace(task_id=task.task_id)
    seconds = most
    if task.timeout is not None:
        seconds = min(filter(None, (task.timeout, most)), default=None)
    return Try(task, lease, worker, most, trust, seconds, (task.func_args, task.func_kwargs))


def run(prepared: Try | Done) -> Done:
    """Run a try here, to its end. Whatever the task does, this returns."""
    if isinstance(prepared, Done):
        return prepared
    before = generation()
    return _ended(prepared, _run(prepared.task, prepared.most, prepared.trust), before)


async def run_async(one: Try) -> Done:
    """Run a try on the loop that runs here. Whatever the task does, this returns."""
    before = generation()
    one.task.error = None
    try:
        if one.trust.allow is not None:
            one.trust.allow.admit_hooks(one.task)
        _succeeded(one.task, await one.task.run_async(one.most))
    except BaseException as error:
        return _ended(one, error, before)
    return _ended(one, None, before)


def run_here(task: Task) -> BaseException | None:
    """Run one try here and set the task's status by it; return what it raised.

    A failed try with retries left uses one up and leaves the status RETRYING. The hook on_error
    ran before that is looked at, so it has the say.
    """
    error = _run(task, None, OPEN)
    if error is not None:
        _judge(task, error)
    return error


def _run(task: Task, most: float | None, trust: Trust) -> BaseException | None:
    """Run one try here and return what it raised. SystemExit and KeyboardInterrupt of a task are
    its failure, too."""
    task.error = None
    try:
        if trust.allow is not None:
            trust.allow.admit_hooks(task)
        if most is None:
            returned = task.run()
        else:
            with time_limit(most):
                returned = task.run()
        _succeeded(task, returned)
    except BaseException as error:
        return error
    return None


def _succeeded(task: Task, returned: object) -> None:
    """Believe what the `run` of a subclass returned, which need not have said so elsewhere."""
    if returned is not None:
        task.result = returned
    if task.status in _NOT_ENDED:
        task.to_success()


def _ended(one: Try, raised: BaseException | None, before: int) -> Done:
    """Say what follows from a try, by what it raised.

    Args:
        before: the `generation` in which it began.
    """
    if generation() != before:
        os._exit(0)  # the task forked, and this is the copy
    task, lease = one.task, one.lease
    try:
        if raised is not None:
            _judge(task, raised)
        return Done(task, raised, outcome_of(one, raised))
    except Exception as error:  # a hook left something in the task that nobody can go by
        task.to_failed()
        if raised is None:
            raised = error
        else:
            raised.add_note(f"not queued again: {type(error).__name__}: {error}")
        return Done(task, raised, Fail(lease, failure_of(raised, one.worker)))


def _judge(task: Task, error: BaseException) -> None:
    """Set the task's error and status by what its try raised, and use up a retry.

    `Task.run` has said that it is delayed, or failed; the `run` of a subclass may not have.
    """
    task.error = error
    if isinstance(error, Snooze):
        if task.status != DELAYED:
            task.to_delayed()
    elif task.retries > 0 and not _is_hopeless(error):
        task.retries -= 1
        task.to_retrying()
    elif task.status in _NOT_FAILED:
        task.to_failed()


def _is_hopeless(error: BaseException) -> bool:
    return isinstance(error, HOPELESS) and not isinstance(error, BrokenModuleError)


def decode(task_class: type[Task], lease: Lease, trust: Trust = OPEN) -> Task:
    """Read a lease's body; the broker's word on id and priority goes.

    Raises:
        UndecodableTask: it is too large, its signature is not believed, or whatever `deserialize`
            raised.
    """
    if len(lease.body) > MAX_BODY:
        body.check_size(lease.body)
    data = trust.unseal(lease.queue, lease.task_id, lease.body)
    try:
        task = task_class.deserialize(data)
    except UndecodableTask:
        raise
    except Exception as error:  # a subclass's own reader, on bytes from anywhere
        raise UndecodableTask(
            f"{task_class.__name__}.deserialize raised {type(error).__name__}: {error}"
        ) from error
    task.task_id = lease.task_id or task.task_id
    task.priority = lease.priority
    return task


def _limit(task: Task, seconds: float, lease: Lease, trust: Trust) -> Limit:
    """Return the limit of a try, with what to queue again should its process have to be ended."""
    if task.retries <= 0:
        return Limit(seconds, None, 0.0)
    task.retries -= 1
    try:
        return Limit(seconds, _again(task, lease, trust), delay(task.backoff, lease.attempts + 1))
    except Exception:  # another program's body may hold what cannot be queued again
        return Limit(seconds, None, 0.0)
    finally:
        task.retries += 1


def outcome_of(one: Try, error: BaseException | None) -> Outcome:
    """Say what follows from a try, by what it raised and the status that this left.

    Raises:
        Exception: the task cannot be queued again, or its options make no sense any more.
    """
    task, lease = one.task, one.lease
    if error is None:
        if task.result_ttl == 0:
            return Ack(lease)
        return Ack(lease, body.dump_result(task.result), _seconds(task.result_ttl))
    if isinstance(error, Snooze):
        return Defer(lease, wait_after(task, error, lease.attempts))
    failure = failure_of(error, one.worker)
    if task.status == RETRYING:
        wait = wait_after(task, error, lease.attempts + 1)
        _restore_arguments(one)
        return Retry(lease, _again(task, lease, one.trust), wait, failure)
    return Fail(lease, failure)


def wait_after(task: Task, error: BaseException, failed: int) -> float:
    """Return the seconds until the next try of a task that is to run again.

    Args:
        error: what the last try raised.
        failed: how many tries have failed.

    Raises:
        Exception: a hook left a backoff that makes no sense.
    """
    if isinstance(error, Snooze):
        return max(_seconds(error.seconds), SHORTEST_SNOOZE)
    if isinstance(error, RetryIn):
        return _seconds(error.seconds)
    return delay(task.backoff, failed)


def _seconds(value: float) -> float:
    """Return a duration that a hook may have spoilt, or raise ValueError or TypeError."""
    seconds = float(value)
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{value!r} is not a number of seconds")
    return seconds


def _restore_arguments(one: Try) -> None:
    """Have the next try called with what was pushed: this one had the task's own lists and dicts,
    and may have changed them before it failed. What a hook set anew stays."""
    task = one.task
    pushed = decode(type(task), one.lease, one.trust)
    if task.func_args is one.given[0]:
        task.func_args = pushed.func_args
    if task.func_kwargs is one.given[1]:
        task.func_kwargs = pushed.func_kwargs


def _again(task: Task, lease: Lease, trust: Trust) -> bytes:
    """Return the body for another try, under the lease's id: a hook may have changed the task's."""
    return trust.seal(lease.queue, lease.task_id, encode(task))


def encode(task: Task) -> bytes:
    """Return the task's body as bytes, whatever kind of text its class serializes to."""
    data = task.serialize()
    return data.encode() if isinstance(data, str) else data


def failure_of(error: BaseException, worker: str) -> Failure:
    """Describe an exception for the broker, capped in size.

    Raising nothing matters more than detail: an exception's own __str__ may be broken.
    """
    try:
        message = str(error)
    except Exception as second:
        message = f"(its __str__ raised {type(second).__name__})"
    kind = type(error).__qualname__
    text = f"{kind}: {message}" if message else kind
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        text += "".join(f" ({note})" for note in notes if isinstance(note, str))
    try:
        import traceback  # workers have it from their start; a push starts sooner without

        trace = "".join(traceback.format_exception(type(error), error, _users_part(error)))
    except Exception:
        trace = ""
    error_kept = _storable(text[: _MAX_ERROR + _MARGIN])[:_MAX_ERROR]
    trace_kept = _storable(trace[-MAX_TRACEBACK - _MARGIN :])[-MAX_TRACEBACK:]
    return Failure(error_kept, trace_kept, time.time(), worker)


def _users_part(error: BaseException) -> TracebackType | None:
    """Return the traceback from where the user's code begins. When that is nowhere, an error that
    we raise to be read has none, so that its cause stands out; any other has all of it."""
    trace = error.__traceback__
    while trace and trace.tb_frame.f_code.co_filename.startswith(_OUR_FOLDER):
        trace = trace.tb_next
    return trace or (None if isinstance(error, AlligatorException) else error.__traceback__)


def _storable(text: str) -> str:
    # A lone surrogate would not survive a broker's encoding, and who may look at a queue need not
    # be told the password in a driver's message.
    return redacted(text.encode(errors="backslashreplace").decode())
