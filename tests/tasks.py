"""Functions that tests push as tasks, and hooks for them. What they did shows in files, so that it
shows wherever they ran."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from alligator import Task
from alligator.exceptions import GiveUp, RetryIn, Snooze

#: Importable, and not callable.
NUMBER = 5


def nothing() -> None:
    """Return None."""


def add(a: int, b: int) -> int:
    return a + b


def echo(*args: Any, **kwargs: Any) -> list[Any]:
    """Return what it was called with."""
    return [list(args), kwargs]


async def add_later(a: int, b: int) -> int:
    return a + b


def use_up(items: list[int], options: dict[str, Any]) -> None:
    """Take the first item off the list, write what no JSON has into the dict, and fail."""
    items.pop(0)
    options["seen"] = object()
    raise ValueError(items)


def call_with_two(task: Task, _error: BaseException) -> None:
    """Have the next try called with something else."""
    task.func_args = (2,)


async def fail_later(*_args: Any) -> None:
    raise ValueError("no such user")


async def rest_on_loop(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def rest_in_hook(task: Task) -> None:
    await asyncio.sleep(0.01)


def spin() -> None:
    """Compute for 10 s."""
    _spend_time(10)


async def spend_time_in_a_callback(seconds: float, rest: float) -> None:
    asyncio.get_running_loop().call_soon(_spend_time, seconds)
    await asyncio.sleep(rest)


def _spend_time(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def stop_iteration(*_args: Any) -> None:
    """Fail as a careless next() does."""
    next(iter(()))


def append(path: str, line: str) -> None:
    with open(path, "a") as file:
        file.write(f"{line}\n")


def lines(path: Path) -> list[str]:
    """Return what `append` wrote."""
    return path.read_text().splitlines() if path.exists() else []


def wait_for_file(path: str) -> None:
    """Return once there is such a file."""
    while not Path(path).exists():
        time.sleep(0.01)


def fail(*_args: Any) -> None:
    raise ValueError("no such user")


def fail_times(path: str, times: int) -> str:
    """Fail for the first `times` calls with this path."""
    append(path, "tried")
    tried = len(lines(Path(path)))
    if tried <= times:
        raise ValueError(f"try {tried} failed")
    return f"done at try {tried}"


def snooze_times(path: str, times: int, seconds: float) -> str:
    """Ask to be run later for the first `times` calls with this path."""
    append(path, "called")
    called = len(lines(Path(path)))
    if called <= times:
        raise Snooze(seconds)
    return f"done at call {called}"


def snooze_then_fail(path: str) -> None:
    """Ask to be run later at the first call with this path, and fail at the others."""
    snooze_times(path, 1, 3600)
    fail()


def retry_then_give_up(path: str) -> None:
    """Fail twice with a wish for a late retry, and then for good."""
    append(path, "tried")
    if len(lines(Path(path))) > 2:
        give_up()
    raise RetryIn(3600)


def ask_for_a_retry(seconds: float) -> None:
    try:
        fail()
    except ValueError as error:
        raise RetryIn(seconds, "the server is busy") from error


def give_up(*_args: Any) -> None:
    raise GiveUp("the account is closed")


def leave(*_args: Any) -> None:
    raise SystemExit(7)


def fork_and_return(path: str) -> None:
    """Return twice, once in a copy of the process."""
    copy = os.fork()
    append(path, "original" if copy else "copy")
    if copy:
        os.waitpid(copy, 0)


def interrupt(*_args: Any) -> None:
    raise KeyboardInterrupt


def terminate_this_process(path: str = os.devnull) -> None:
    """Send the signal that asks the process it runs in to end, and then finish."""
    os.kill(os.getpid(), signal.SIGTERM)
    append(path, "finished")


def terminate_a_copy(path: str) -> None:
    """Fork a copy of the process it runs in, and ask the copy to end."""
    copy = get_context("fork").Process(target=time.sleep, args=(600,))
    copy.start()
    copy.terminate()
    copy.join(10)
    append(path, f"exit code {copy.exitcode}")
    copy.kill()


def press_control_c() -> None:
    """Send this process what the terminal sends."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)  # the signal ends it


def interrupt_this_process_twice(path: str) -> None:
    """Send the signal of Control-C to the process it runs in, and again; the second ends it."""
    os.kill(os.getpid(), signal.SIGINT)
    append(path, "interrupted once")
    os.kill(os.getpid(), signal.SIGINT)
    append(path, "interrupted twice")


def rest(seconds: float) -> None:
    time.sleep(seconds)


def append_and_rest(path: str, line: str, seconds: float) -> None:
    append(path, line)
    rest(seconds)


class Unprintable:
    """What neither print() nor JSON takes."""

    def __repr__(self) -> str:
        raise RuntimeError("this cannot be shown")


def return_unprintable() -> Unprintable:
    return Unprintable()


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("this cannot be shown either")


def fail_unprintably() -> None:
    raise BrokenError


class Mail:
    """A class whose methods are tasks."""

    @staticmethod
    def send(to: str) -> str:
        return f"sent to {to}"

    @classmethod
    def kind(cls) -> str:
        return cls.__name__

    def reply(self) -> None:
        """Not importable when bound."""


class Letter(Mail):
    pass


# -- hooks: each leaves a line in the file that the task's first argument names --------------------


def note_start(task: Task) -> None:
    append(task.func_args[0], f"start {task.task_id}")


def note_success(task: Task, result: Any) -> None:
    append(task.func_args[0], f"success {result}")


def note_error(task: Task, error: BaseException) -> None:
    append(task.func_args[0], f"error {error!r} status {task.status}")


def one_retry_more(task: Task, _error: BaseException) -> None:
    """Give the first failing try one retry, whatever the task came with."""
    first = not lines(Path(task.func_args[0] + ".hook"))
    append(task.func_args[0] + ".hook", "called")
    task.retries = 1 if first else 0


def wait_four_hours(task: Task, _error: BaseException) -> None:
    task.backoff = [4 * 3600]


def wait_in_words(task: Task, _error: BaseException) -> None:
    task.backoff = "an hour"  # type: ignore[assignment]


def snooze_in_hook(task: Task, *_args: Any) -> None:
    raise Snooze(3600)


def no_retries(task: Task, _error: BaseException) -> None:
    task.retries = 0


def unreadable_options(task: Task, _error: BaseException) -> None:
    """Leave the task in a state that cannot be queued again."""
    task.func_args = (object(),)
    task.retries = 3


def grow(task: Task, _error: BaseException) -> None:
    """Make the task larger than some brokers take."""
    task.func_args = ("x" * 100_000,)


def no_number_of_retries(task: Task, _error: BaseException) -> None:
    task.retries = None  # type: ignore[assignment]


def raise_in_hook(*_args: Any) -> None:
    raise RuntimeError("the hook broke")


# -- and these are coroutine functions -------------------------------------------------------------


async def note_start_later(task: Task) -> None:
    note_start(task)


async def note_success_later(task: Task, result: Any) -> None:
    note_success(task, result)


async def note_error_later(task: Task, error: BaseException) -> None:
    note_error(task, error)


async def append_later(path: str, line: str) -> str:
    append(path, line)
    return line


async def append_later_and_fail(path: str, line: str) -> str:
    append(path, line)
    raise ValueError(line)
