"""A task: what to call and how, its wire format, and running it once."""

from __future__ import annotations

import datetime
import os
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, Self

from . import body
from .awaiting import on_a_loop_of_its_own, to_end
from .checks import at_least_zero, whole
from .constants import CANCELED, DELAYED, FAILED, RETRYING, SUCCESS, WAITING
from .exceptions import InvalidTask, MultipleDelayError, Snooze, UndecodableTask
from .limits import time_limit
from .retries import AnyBackoff, checked, from_wire, to_wire
from .utils import DottedPath, dotted_path

Hook = Callable[..., Any]

#: How a try waits for a coroutine.
Finish = Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]

#: The options of a task that name functions.
HOOKS = ("on_start", "on_success", "on_error")

#: What every body has.
_REQUIRED = {"task_id", "retries", "async"}

#: What stands for an option that was left out, as most are: `is` tells that it need not be looked
#: at.
_LEFT_OUT, _NO_TIME = 0, 0.0


class Task:
    """One call to make later.

    Attributes:
        task_id: chosen by you, else a UUID; after a push, the id the broker holds it under.
        status: one of the constants WAITING to CANCELED, or your own.
        queued: False when a push found the id, or the unique key, on the broker already.
        result: what the call returned, once it has.
        error: what the last try raised, if it did.
        func, func_args, func_kwargs: the call.
    """

    #: Writes the body; whoever has read the arguments from JSON can do it faster.
    _dump = staticmethod(body.dump)

    def __init__(
        self,
        task_id: str | None = None,
        retries: int = 0,
        is_async: bool = True,
        on_start: Hook | None = None,
        on_success: Hook | None = None,
        on_error: Hook | None = None,
        depends_on: str | Task | Iterable[str | Task] | None = None,
        delay_by: float | datetime.timedelta | None = None,
        delay_until: float | datetime.datetime | datetime.date | None = None,
        *,
        priority: int = 0,
        timeout: float | None = None,
        backoff: AnyBackoff = _NO_TIME,
        unique: str | None = None,
        result_ttl: float = _NO_TIME,
        **reserved: bool,
    ) -> None:
        """Set the options of a call; `to_call` sets the call itself.

        Args:
            task_id: up to 200 printable characters.
            retries: how many more tries a failing call gets.
            is_async: False runs it at once, in this process, with its hooks and retries. It may be
                spelled `async`, as `Task(**{"async": False})`: that is the wire format's word.
            on_start: called with the task before each try.
            on_success: called with the task and its result.
            on_error: called with the task and the exception at each failed try; it may change
                `task.retries`.
            depends_on: ids, or tasks, that have to succeed before this one runs.
            delay_by: seconds to wait.
            delay_until: a Unix time, a datetime (a naive one is local time) or a date (its start).
            priority: -1000 to 1000, higher first.
            timeout: seconds a try may take; TaskTimeout is raised in it after that.
            backoff: seconds between a failed try and the next; or a list of them, for the first
                failed try, the second and so on (the last one repeats); or what
                `alligator.retries.exponential` returns.
            unique: while a task with this key is queued or runs, no second one is queued.
            result_ttl: seconds the broker keeps the result; 0 keeps none.

        Raises:
            MultipleDelayError: delay_by and delay_until.
            InvalidTask: an option out of its range.
        """
        if reserved:
            is_async = _reserved_async(reserved)
        self.task_id = new_id() if task_id is None else task_id
        self.retries = 0
        if retries is not _LEFT_OUT:
            self.retries = whole("retries", at_least_zero("retries", retries))
        self.is_async = bool(is_async)
        self.on_start = on_start
        self.on_success = on_success
        self.on_error = on_error
        self.depends_on = () if depends_on is None else _task_ids(depends_on)
        undelayed = delay_by is None and delay_until is None
        self.delay_until = None if undelayed else _delay(delay_by, delay_until)
        self.priority = 0 if priority is _LEFT_OUT else whole("priority", priority)
        self.timeout = None if timeout is None else _timeout(timeout)
        self.backoff: AnyBackoff = 0.0 if backoff is _NO_TIME else checked(backoff)
        self.unique = unique
        self.result_ttl = 0.0
        if result_ttl is not _NO_TIME:
            self.result_ttl = at_least_zero("result_ttl", result_ttl)

        self.status = WAITING
        self.queued = True
        self.result: Any = None
        self.error: BaseException | None = None
        self.func: Callable[..., Any] | None = None
        self.func_args: tuple[Any, ...] = ()
        self.func_kwargs: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.task_id} {self.name}>"

    @property
    def name(self) -> str:
        """The dotted path of the call, or a word for one that has none."""
        if isinstance(self.func, DottedPath):
            return str(self.func)
        return getattr(self.func, "__qualname__", repr(self.func))

    def to_call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Self:
        """Set what to call.

        Args:
            func: any callable that can be imported by a dotted path, or a DottedPath.

        Returns:
            The task itself.
        """
        self.func = func
        self.func_args = args
        self.func_kwargs = kwargs
        return self

    # -- status -----------------------------------------------------------------------------

    def to_waiting(self) -> None:
        """Set the status to WAITING."""
        self.status = WAITING

    def to_delayed(self) -> None:
        """Set the status to DELAYED."""
        self.status = DELAYED

    def to_success(self) -> None:
        """Set the status to SUCCESS."""
        self.status = SUCCESS

    def to_failed(self) -> None:
        """Set the status to FAILED."""
        self.status = FAILED

    def to_canceled(self) -> None:
        """Set the status to CANCELED."""
        self.status = CANCELED

    def to_retrying(self) -> None:
        """Set the status to RETRYING."""
        self.status = RETRYING

    # -- the wire format --------------------------------------------------------------------

    def serialize(self) -> str | bytes:
        """Return the body to queue: a JSON object. A subclass may return other text or bytes.

        Raises:
            UnserialisableTask: an argument JSON would not bring back equal.
            NotImportable: the callable, or a hook, has no dotted path.
        """
        if self.func is None:
            raise InvalidTask(f"task {self.task_id!r} has nothing to call; use to_call first")
        path = dotted_path(self.func)
        payload: dict[str, Any] = {
            "task_id": self.task_id,
            "retries": self.retries,
            "async": self.is_async,
            "module": path.module,
            "callable": path.name,
        }
        # What is empty is left out: most bodies are a quarter smaller, and quicker to read.
        if self.func_args:
            payload["args"] = list(self.func_args)
        if self.func_kwargs:
            payload["kwargs"] = self.func_kwargs
        if options := self._options():
            payload["options"] = options
        return self._dump(payload)

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for name in HOOKS:
            hook = getattr(self, name)
            if hook is not None:
                path = dotted_path(hook)
                options[name] = {"module": path.module, "callable": path.name}
        if self.depends_on:
            options["depends_on"] = list(self.depends_on)
        if self.delay_until:
            options["delay_until"] = self.delay_until
        if self.timeout:
            options["timeout"] = self.timeout
        if self.backoff and (backoff := to_wire(checked(self.backoff))):
            options["backoff"] = backoff
        if self.result_ttl:
            options["result_ttl"] = self.result_ttl
        return options

    @classmethod
    def deserialize(cls, data: str | bytes) -> Self:
        """Make a task from what `serialize` wrote; imports nothing.

        Raises:
            UndecodableTask: it is no JSON object, a required key is missing (task_id, retries,
                async or is_async) or a value has the wrong type.
        """
        payload = body.load(data)
        if not ("task_id" in payload and "retries" in payload and "async" in payload):
            _accept_old_name(payload)
        try:
            task = cls(
                task_id=payload["task_id"],
                retries=payload["retries"],
                is_async=payload["async"],
            )
            if options := payload.get("options"):
                task._set_options(options)
            if payload.get("callable") is not None:
                args, kwargs = payload.get("args", []), payload.get("kwargs", {})
                if not (isinstance(args, list) and isinstance(kwargs, dict)):
                    raise UndecodableTask("args is not a list, or kwargs is not an object")
                task.to_call(_path(payload), *args, **kwargs)
        except (AttributeError, KeyError, TypeError, InvalidTask) as error:
            raise UndecodableTask(f"the body is not a task: {error}") from error
        return task

    def _set_options(self, options: dict[str, Any]) -> None:
        for name in HOOKS:
            if hook := options.get(name):
                setattr(self, name, _path(hook))
        self.depends_on = _task_ids(options.get("depends_on"))
        self.delay_until = _delay(None, options.get("delay_until"))
        self.timeout = _timeout(options.get("timeout"))
        self.backoff = from_wire(options.get("backoff", 0.0))
        self.result_ttl = at_least_zero("result_ttl", options.get("result_ttl", 0.0))

    # -- running ----------------------------------------------------------------------------

    def run(self) -> Any:
        """Run one try: on_start, the call, then on_success, or on_error when any of it raised.

        Returns:
            What the call returned, also kept as `result`. A coroutine is run to its end; so is one
            that a hook returns.

        Raises:
            Snooze: the call, or a hook, asked to be run later.
            Whatever else the call, on_start or on_success raised, once on_error was told.
        """
        raised: list[BaseException] = []
        to_end(self._try(time_limit(self.timeout), on_a_loop_of_its_own, raised))
        if raised:
            raise raised[0]
        return self.result

    async def run_async(self, most: float | None = None) -> Any:
        """Run one try on the loop that runs here, awaiting coroutines; otherwise as `run`.

        Args:
            most: seconds it may take at most, whatever `timeout` says.
        """
        from .loop import limit_on_loop  # and with it asyncio

        seconds = min(filter(None, (self.timeout, most)), default=None)
        raised: list[BaseException] = []
        await self._try(limit_on_loop(seconds), lambda coroutine: coroutine, raised)
        if raised:
            raise raised[0]
        return self.result

    async def _try(
        self,
        limit: AbstractContextManager[None],
        finish: Finish,
        raised: list[BaseException],
    ) -> None:
        """Run one try.

        Args:
            limit: the try's time limit.
            finish: how to wait for a coroutine.
            raised: gets what was raised: a StopIteration could not be raised out of a coroutine,
                and whatever one returns takes a StopIteration.
        """
        if self.func is None:
            nothing = f"task {self.task_id!r} has nothing to call; use to_call first"
            raised.append(InvalidTask(nothing))
            return
        try:
            with limit:
                if self.on_start is not None and (
                    error := await self._call_hook("on_start", finish)
                ):
                    raise error
                func = self.func
                if isinstance(func, DottedPath):  # sooner than through its own call
                    func = func.resolve()
                result = func(*self.func_args, **self.func_kwargs)
                if result is not None and isinstance(result, Coroutine):
                    result = await finish(result)
                self.result = result
                self.to_success()
                if self.on_success is not None and (
                    error := await self._call_hook("on_success", finish, result)
                ):
                    raise error
        except Snooze as snooze:
            self.to_delayed()
            raised.append(snooze)
        except BaseException as error:
            self.to_failed()
            await self._tell(error, finish)
            raised.append(error)

    async def _call_hook(self, name: str, finish: Finish, *args: Any) -> BaseException | None:
        """Call a hook and return what it raised, which may be a StopIteration, too."""
        try:
            returned = getattr(self, name)(self, *args)
            if isinstance(returned, Coroutine):
                await finish(returned)
        except BaseException as error:
            # Whoever reads of it should not look for the mistake in the call itself.
            error.add_note(f"raised by the {name} hook")
            return error
        return None

    async def _tell(self, error: BaseException, finish: Finish) -> None:
        if self.on_error is None:
            return
        second = await self._call_hook("on_error", finish, error)
        if isinstance(second, Exception):
            # The task's own error is the one that counts; the hook's stays with it.
            error.add_note(f"its on_error hook raised {type(second).__name__}: {second}")
        elif second is not None:
            raise second


# Of our own, as a program may seed the module's; and no secret is made of it. A forked child must
# not go on with its parent's.
_random = random.Random()
_bits = _random.getrandbits
os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """Return a UUID of version 7 (RFC 9562): milliseconds, then 74 random bits.

    Ids that grow with time are neighbours in a broker's index: SQLite fills twice as fast with them
    as with random ones.
    """
    ms = time.time_ns() // 1_000_000
    parts = ms >> 16, ms & 0xFFFF, 0x7000 | _bits(12), 0x8000 | _bits(14), _bits(48)
    return "%08x-%04x-%x-%x-%012x" % parts  # noqa: UP031 - a third quicker than an f-string


def _accept_old_name(payload: dict[str, Any]) -> None:
    if "is_async" in payload:  # Alligator 1.0 wrote it so
        payload.setdefault("async", payload["is_async"])
    missing = _REQUIRED - payload.keys()
    if missing:
        raise UndecodableTask(f"the body lacks {', '.join(sorted(missing))}")


def _path(found: dict[str, Any]) -> DottedPath:
    module, name = found["module"], found["callable"]
    if not (isinstance(module, str) and isinstance(name, str)):
        raise UndecodableTask(f"module {module!r} and callable {name!r} are not both text")
    # Another program may have written names of any length.
    return _known_path(module, name) if len(module) + len(name) < 200 else DottedPath(module, name)


#: Most tasks of a queue call the same few functions.
_known_path = lru_cache(maxsize=1000)(DottedPath)


def _reserved_async(reserved: dict[str, bool]) -> bool:
    unknown = [name for name in reserved if name != "async"]
    if unknown:
        raise TypeError(f"a task has no option {unknown[0]!r}")
    return reserved["async"]


def _timeout(seconds: float | None) -> float | None:
    if seconds is not None and at_least_zero("timeout", seconds) == 0:
        raise InvalidTask("timeout 0 leaves no time to run; leave it out for no limit")
    return seconds


def _task_ids(depends_on: str | Task | Iterable[str | Task] | None) -> tuple[str, ...]:
    if depends_on is None:
        return ()
    if isinstance(depends_on, str | Task):
        depends_on = (depends_on,)
    ids = tuple(one.task_id if isinstance(one, Task) else one for one in depends_on)
    for one in ids:
        if not isinstance(one, str):
            raise InvalidTask(f"depends_on {one!r} is neither a task nor its id, which is text")
    return ids


def _delay(
    by: float | datetime.timedelta | None,
    until: float | datetime.datetime | datetime.date | None,
) -> float | None:
    """Return the Unix time a delay ends at, or None for no delay."""
    if by is None and until is None:
        return None
    if by is not None and until is not None:
        raise MultipleDelayError(
            f"delay_by={by!r} and delay_until={until!r}: a task takes one of the two"
        )
    if isinstance(by, datetime.timedelta):
        by = by.total_seconds()
    if by is not None:
        return time.time() + float(at_least_zero("delay_by", by))
    if isinstance(until, datetime.date) and not isinstance(until, datetime.datetime):
        until = datetime.datetime(until.year, until.month, until.day)
    if isinstance(until, datetime.datetime):
        try:
            until = until.timestamp()
        except (ValueError, OverflowError, OSError) as error:  # far before or after our time
            raise InvalidTask(f"delay_until {until!r} is no time to wait for: {error}") from error
    return float(at_least_zero("delay_until", until))
