"""Tasks that leave evidence: each appends lines to a file, so that a killed process is seen too."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging.config
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from alligator import Gator, Task


def note(evidence: str, line: str) -> None:
    """Append one line; O_APPEND keeps lines of several processes whole."""
    descriptor = os.open(evidence, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def lines(evidence: str | Path) -> list[str]:
    """Return the lines noted so far."""
    path = Path(evidence)
    return path.read_text().splitlines() if path.exists() else []


def quick(evidence: str, name: str) -> None:
    note(evidence, name)


def slow(evidence: str, name: str, seconds: float) -> None:
    time.sleep(seconds)
    note(evidence, name)


def quick_or_not(evidence: str, name: str, slow: bool) -> None:
    """Sit on those behind for longer than they wait with patience, when slow."""
    note(evidence, name)
    if slow:
        time.sleep(0.15)


def once_stuck(evidence: str) -> None:
    """Hang at the first run; end at once at a later one."""
    first = not any(line.startswith("started") for line in lines(evidence))
    note(evidence, f"started {os.getpid()}")
    while first:
        time.sleep(60)
    note(evidence, "finished")


def run_once_stuck(evidence: str, name: str) -> None:
    """As `once_stuck`, and note the name at each run."""
    first = f"run {name}" not in lines(evidence)
    note(evidence, f"run {name}")
    while first:
        time.sleep(60)


def until_told(evidence: str, go: str) -> None:
    """Run until the file `go` exists."""
    note(evidence, f"started {os.getpid()}")
    while not os.path.exists(go):
        time.sleep(0.01)
    note(evidence, "finished")


def fail_when_told(evidence: str, go: str) -> None:
    """Fail once the file `go` exists."""
    note(evidence, f"started {os.getpid()}")
    while not os.path.exists(go):
        time.sleep(0.01)
    note(evidence, "finished")
    raise ValueError("as asked")


def hold_the_interpreter(evidence: str, seconds: float) -> None:
    """Keep every other Python thread of this process from running."""
    note(evidence, f"started {os.getpid()}")
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    note(evidence, "finished")


def kill_the_process(evidence: str, number: int) -> None:
    note(evidence, f"started {os.getpid()}")
    os.kill(os.getpid(), number)


def kill_the_tree(evidence: str) -> None:
    """Kill this process and the worker whose child it is."""
    note(evidence, f"started {os.getpid()}")
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def crash_twice_and_fail_once(evidence: str) -> None:
    note(evidence, f"started {os.getpid()}")
    times = sum(line.startswith("started") for line in lines(evidence))
    if times <= 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    if times == 3:
        raise ValueError("as asked")
    note(evidence, "finished")


def leave_orphans(evidence: str, count: int) -> None:
    """Leave processes that nobody waits for, which end at once."""
    for _ in range(count):
        subprocess.run(["sh", "-c", "true &"], check=True)
    note(evidence, f"orphans {count}")


def leave_after_orphans(evidence: str, count: int) -> None:
    """Die with an exit code that is to be told from those of others."""
    leave_orphans(evidence, count)
    os._exit(7)


def leave(evidence: str) -> None:
    note(evidence, f"started {os.getpid()}")
    os._exit(7)


def leave_beside(evidence: str) -> None:
    """End this process, once something beside it has begun."""
    while not any(line.startswith("started") for line in lines(evidence)):
        time.sleep(0.01)
    os._exit(7)


def fail(evidence: str) -> None:
    note(evidence, "tried")
    raise ValueError("as asked")


def who(evidence: str) -> None:
    note(evidence, f"pid {os.getpid()}")


def loaded(evidence: str, module: str) -> None:
    note(evidence, f"loaded {module in sys.modules}")


def fork_away(evidence: str) -> None:
    """What a program does to become a daemon: the copy goes its own way, this process goes on."""
    if os.fork() == 0:
        sys.exit(0)
    note(evidence, "forked")


def run_a_program(evidence: str, go: str) -> None:
    """Have a program run `until_told`, and fail if that ends badly."""
    note(evidence, "program")
    code = f"from {__name__} import until_told; until_told({evidence!r}, {go!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    note(evidence, f"ended {os.getpid()}")


def read_the_terminal(evidence: str) -> None:
    """Do as programs do that ask for a password."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError as error:
        note(evidence, f"terminal {errno.errorcode[error.errno or 0]}")


def terminate_copies(evidence: str, count: int) -> None:
    """Fork copies and ask each to end, as a multiprocessing.Pool does with its own."""
    for _ in range(count):
        copy = get_context("fork").Process(target=time.sleep, args=(600,))
        copy.start()
        copy.terminate()
        copy.join(10)
        note(evidence, f"exitcode {copy.exitcode}")
        copy.kill()


def leave_a_thread(evidence: str) -> None:
    """Leave a thread that keeps the process from ending by itself."""
    threading.Thread(target=time.sleep, args=(600,)).start()
    note(evidence, f"pid {os.getpid()}")


def measure(evidence: str, text: str) -> None:
    note(evidence, f"length {len(text)}")


def tell_the_dsn(password: list[str]) -> None:
    """Fail with a message like those of drivers that know no better."""
    raise ConnectionError(f"{os.environ['GATOR_DSN']} refuses the password {'/'.join(password)}")


def never_end(evidence: str) -> None:
    """Ignore every exception, as careless loops do."""
    note(evidence, f"started {os.getpid()}")
    while True:
        try:
            time.sleep(60)
        except Exception:
            continue


def rest(evidence: str) -> None:
    note(evidence, f"started {os.getpid()}")
    time.sleep(60)


def rest_until_stopped(evidence: str) -> None:
    """Note that the time limit was heeded, and by which process."""
    try:
        while True:
            time.sleep(0.01)
    finally:
        note(evidence, f"stopped {os.getpid()}")


def note_error(task: Task, error: BaseException) -> None:
    """A hook on_error."""
    note(task.func_args[0], f"told {type(error).__name__}")


def grow(evidence: str, size: int) -> None:
    """Need much memory for a moment."""
    bytearray(size)
    note(evidence, f"pid {os.getpid()}")


def push_another(evidence: str, name: str) -> None:
    """Push a task as a program does that knows no more than the DSN."""
    with Gator(os.environ["GATOR_DSN"]) as gator:
        gator.task(quick, evidence, name)


def tell_the_secret(evidence: str) -> None:
    """Fail with a message that has what no message should have."""
    note(evidence, f"pid {os.getpid()}")
    secret = Path(os.environ["GATOR_SECRET_FILE"]).read_text().strip()
    raise RuntimeError(f"the secret is {secret}")


async def fail_later(evidence: str) -> None:
    """Fail, on a loop."""
    note(evidence, "tried on a loop")
    raise ValueError("as asked")


async def quick_on_loop(evidence: str, name: str) -> None:
    """Note it, on a loop."""
    note(evidence, f"quick {name}")


async def cancel_all_others(evidence: str) -> None:
    """Cancel whatever else is on the loop, as some programs do to end theirs."""
    for other in asyncio.all_tasks() - {asyncio.current_task()}:
        other.cancel()
    note(evidence, "canceled")


def close_stderr(evidence: str) -> None:
    """Close the file that the process tells its errors on."""
    note(evidence, "closes")
    sys.stderr.close()


def write_to_every_pipe(evidence: str, data: str) -> None:
    """Write to descriptors that are not its own, as after a double close."""
    note(evidence, "writes")
    for number in range(3, 30):
        with suppress(OSError):
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                os.write(number, bytes.fromhex(data))


def close_every_descriptor(evidence: str) -> None:
    """Close what the process has open, as daemons do, and go on."""
    note(evidence, "closes")
    os.closerange(3, 256)
    time.sleep(60)


def configure_logging(evidence: str) -> None:
    """Configure logging as programs do, which disables the loggers that are there, and fail."""
    logging.config.dictConfig({"version": 1})
    note(evidence, "configured")
    raise ValueError("and fails")
