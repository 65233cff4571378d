"""Every error Alligator raises by itself, and what a task raises to steer it.

They are one tree::

    AlligatorException
    ├── MultipleDelayError        delay_by and delay_until on one task
    ├── InvalidTask               a push that would not run as meant; nothing was queued
    │   ├── UnserialisableTask    arguments that JSON would not bring back equal
    │   ├── NotImportable         a callable that no dotted path leads to
    │   ├── InvalidName           a task id or queue name that no broker could keep
    │   └── BodyTooLarge          over the broker's limit
    ├── UndecodableTask           bytes from a broker that are no task
    │   └── BadSignature          where a secret is set: unsigned, altered, or moved
    ├── NotAllowed                a call, or a hook, that the allow list does not have
    ├── InvalidSetting            an allow list or a secret that is of no use
    ├── UnknownModuleError        a task's module cannot be imported
    │   └── BrokenModuleError     it is there, and raised: a retry may help
    ├── UnknownCallableError      the module has no such callable
    ├── TaskFailed                a task failed for good, elsewhere
    ├── TaskTimeout               a task ran past its time limit
    ├── TaskRunning               a worker holds the task
    ├── MissingExtra              a package that an option needs is not installed
    ├── Verdict                   raised by a task, to say itself what becomes of it
    │   ├── Snooze                not yet: run it again later; no failure, no retry used
    │   ├── RetryIn               this try failed; the next one in so many seconds
    │   └── GiveUp                failed for good, whatever retries are left
    └── BrokerError
        ├── InvalidDSN            not a DSN, or a scheme nobody registered
        ├── MissingDriver         the broker's client library is not installed, or broken
        ├── BrokerUnreachable     no answer; the last request may have been carried out
        ├── BrokerRefused         the answer was no: password, memory, disk, settings
        └── UnsupportedByBroker   this broker cannot do that
"""

from __future__ import annotations

import datetime


class AlligatorException(Exception):
    """The root of every error that Alligator raises."""


class MultipleDelayError(AlligatorException):
    """A task was given both delay_by and delay_until."""


class InvalidTask(AlligatorException):
    """A task that cannot be pushed as it is; nothing was queued."""


class UnserialisableTask(InvalidTask):
    """The arguments hold something that JSON would not bring back equal."""


class NotImportable(InvalidTask):
    """The callable cannot be found again by a dotted path."""


class InvalidName(InvalidTask):
    """A task id or a queue name is empty, too long or has control characters."""


class BodyTooLarge(InvalidTask):
    """The serialized task is larger than the broker takes."""


class UndecodableTask(AlligatorException):
    """The bytes a broker returned are not a task."""


class BadSignature(UndecodableTask):
    """A secret is set, and the body was not signed with it for this queue and id."""


class NotAllowed(AlligatorException):
    """The allow list has no such call, or hook; nothing of it was called."""


class InvalidSetting(AlligatorException):
    """An allow list or a secret that is of no use."""


class UnknownModuleError(AlligatorException):
    """A task's module cannot be imported."""


class BrokenModuleError(UnknownModuleError):
    """A task's module is there, and raised while it was imported: as it may not do the next time,
    a task that has retries is tried again."""


class UnknownCallableError(AlligatorException):
    """A task's module has no such attribute, or it cannot be called."""


class TaskFailed(AlligatorException):
    """A task failed for good and its own exception is not at hand."""


class TaskTimeout(AlligatorException):
    """Raised inside a task that runs past its time limit."""


class TaskRunning(AlligatorException):
    """The task is held by a worker, so it can be neither claimed nor canceled."""


class MissingExtra(AlligatorException):
    """A package that an option needs is not installed."""


class Verdict(AlligatorException):
    """What a task raises to say itself what becomes of it."""


class Snooze(Verdict):
    """Not yet: run the task again in so many seconds, as it is.

    The try counts as none: it uses up no retry, on_error is not called, and nothing is noted as a
    failure.
    """

    def __init__(self, seconds: float | datetime.timedelta) -> None:
        """Set the wait; less than 0.1 s is 0.1 s, so that what is ready goes first."""
        super().__init__(seconds)
        self.seconds = _wait(self, seconds)

    def __str__(self) -> str:
        return f"again in {self.seconds:g} s"


class RetryIn(Verdict):
    """The try failed as by any other exception, and the next one, if a retry is left, comes in so
    many seconds, whatever the task's backoff. Raise it `from` the error that it stands for."""

    def __init__(self, seconds: float | datetime.timedelta, reason: str = "") -> None:
        """Set the wait, and why the try failed."""
        super().__init__(seconds, reason)
        self.seconds = _wait(self, seconds)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason or f"try again in {self.seconds:g} s"


class GiveUp(Verdict):
    """The task failed for good, whatever retries are left; the argument says why."""


class BrokerError(AlligatorException):
    """Something is wrong between this process and the broker."""


class InvalidDSN(BrokerError):
    """The DSN cannot be read, or no backend answers to its scheme."""


class MissingDriver(BrokerError):
    """The broker's client library is not installed, or cannot be imported."""


class BrokerUnreachable(BrokerError):
    """The broker gave no answer.

    Attributes:
        maybe_done: the last request was sent, and may have been carried out all the same.
    """

    def __init__(self, *args: object, maybe_done: bool = False) -> None:
        super().__init__(*args)
        self.maybe_done = maybe_done


class BrokerRefused(BrokerError):
    """The broker answered that it will not: password, memory, disk or configuration."""


class UnsupportedByBroker(BrokerError):
    """The broker behind this DSN cannot do what was asked."""


def _wait(verdict: Verdict, given: float | datetime.timedelta) -> float:
    seconds = given.total_seconds() if isinstance(given, datetime.timedelta) else given
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not 0 <= seconds < 2**53:
        raise ValueError(f"{type(verdict).__name__}({given!r}): give seconds, 0 or more")
    return seconds
