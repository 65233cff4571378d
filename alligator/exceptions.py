"""Every error Alligator raises by itself, one tree.

AlligatorException
├── MultipleDelayError        delay_by and delay_until on one task
├── InvalidTask               a push that would not run as it was meant; nothing was queued
│   ├── UnserialisableTask    arguments that JSON would not bring back equal
│   ├── NotImportable         a callable that no dotted path leads to
│   ├── InvalidName           a task id or queue name that no broker could keep
│   └── BodyTooLarge          over the broker's limit
├── UndecodableTask           bytes from a broker that are no task
├── UnknownModuleError        a task's module cannot be imported
├── UnknownCallableError      the module has no such callable
├── TaskFailed                a task failed for good, elsewhere
├── TaskTimeout               a task ran past its time limit
├── TaskRunning               a worker holds the task
└── BrokerError
    ├── InvalidDSN            not a DSN, or a scheme nobody registered
    ├── MissingDriver         the broker's client library is not installed
    ├── BrokerUnreachable     no answer; whether the last request was done is unknown
    ├── BrokerRefused         an answer, and it was no (password, memory, disk, configuration)
    └── UnsupportedByBroker   this broker cannot do that
"""


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


class UnknownModuleError(AlligatorException):
    """A task's module cannot be imported."""


class UnknownCallableError(AlligatorException):
    """A task's module has no such attribute, or it cannot be called."""


class TaskFailed(AlligatorException):
    """A task failed for good and its own exception is not at hand."""


class TaskTimeout(AlligatorException):
    """Raised inside a task that runs past its time limit."""


class TaskRunning(AlligatorException):
    """The task is held by a worker, so it can be neither claimed nor canceled."""


class BrokerError(AlligatorException):
    """Something is wrong between this process and the broker."""


class InvalidDSN(BrokerError):
    """The DSN cannot be read, or no backend answers to its scheme."""


class MissingDriver(BrokerError):
    """The broker's client library is not installed."""


class BrokerUnreachable(BrokerError):
    """The broker gave no answer; whether the request was carried out is unknown."""


class BrokerRefused(BrokerError):
    """The broker answered that it will not: password, memory, disk or configuration."""


class UnsupportedByBroker(BrokerError):
    """The broker behind this DSN cannot do what was asked."""
