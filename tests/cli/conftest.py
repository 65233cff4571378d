"""Running gator: inside this process where possible, as a process of its own where that matters."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from alligator.backends.base import Ack, Backend, Entry, Fail, Failure, State
from alligator.gator import Gator
from alligator.tasks import Task
from alligator.utils import DottedPath
from alligator_cli.app import app

from ..servers import eventually

TASKS = """
import os, sys, time

def add(a, b):
    print("printed by add")
    os.system("echo printed by a child of add")
    return a + b

def boom(*args):
    raise ValueError("no\\tway\\nat all")

def leave():
    raise SystemExit(7)

def snooze():
    from alligator.exceptions import Snooze
    raise Snooze(3600)

def give_up():
    from alligator.exceptions import GiveUp
    raise GiveUp("no such account")

def unreachable():
    from alligator.exceptions import BrokerUnreachable
    raise BrokerUnreachable("the task's own broker")

def wait_for(path):
    open(path + ".started", "w").close()
    while not os.path.exists(path):
        time.sleep(0.01)

def hook(task, *_): pass

NUMBER = 5
"""


class _Started(subprocess.Popen[str]):
    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, value, traceback)


@dataclass
class Cli:
    """gator on one broker, in a folder that has the module `shop`."""

    dsn: str
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        clean = {name: text for name, text in os.environ.items() if not _matters(name)}
        state = {
            "TERM": "xterm",
            "XDG_STATE_HOME": str(self.folder / "state"),
            "HOME": str(self.folder),
        }
        return {**clean, **state, "GATOR_DSN": self.dsn, **self.env}

    def __call__(self, *args: str, input: str | None = None) -> Result:
        """Run gator in this process."""
        env: dict[str, str | None] = {name: None for name in os.environ if _matters(name)}
        env.update(self.environment())
        return _runner().invoke(app, list(args), input=input, env=env)

    def ok(self, *args: str, input: str | None = None) -> str:
        """Run gator in this process, expect exit code 0, and return stdout."""
        result = self(*args, input=input)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def json(self, *args: str) -> list[Any]:
        """Return the objects that a command prints with --json."""
        return [json.loads(line) for line in self.ok(*args, "--json").splitlines()]

    def process(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run gator as a process of its own."""
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, **options}
        if "input" in given:
            del given["stdin"]
        return subprocess.run(
            command(*args), cwd=self.folder, env=self.environment(), text=True, timeout=60, **given
        )

    def start(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        """Start gator as a process of its own; a `with` that fails ends it."""
        return _Started(
            command(*args), cwd=self.folder, env=self.environment(), text=True, **options
        )

    def on_terminal(self, *args: str, columns: int = 80, **options: Any) -> str:
        """Run gator with a terminal as stdin, stdout and stderr; return what it shows."""
        return self.talk("", *args, columns=columns, **options)[0]

    def talk(
        self,
        typed: str,
        *args: str,
        columns: int = 80,
        interrupt_when: Callable[[], bool] | None = None,
        **options: Any,
    ) -> tuple[str, int]:
        """Run gator on a terminal at which `typed` is typed; return what it shows, and its exit
        code.

        Args:
            interrupt_when: send it SIGINT once this holds.
            options: stdin, stdout or stderr, where that is to be something else.
        """
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.write(master, typed.encode())
        try:
            streams = {"stdin": slave, "stdout": slave, "stderr": slave, **options}
            with self.start(*args, **streams) as process:
                os.close(slave)
                if interrupt_when is not None:
                    eventually(interrupt_when, "the moment to interrupt")
                    process.send_signal(signal.SIGINT)
                shown = b""
                while chunk := _read(master):
                    shown += chunk
                code = process.wait(60)
        finally:
            os.close(master)
        return shown.decode().replace("\r\n", "\n"), code


def _runner() -> CliRunner:
    # click 8.1 mixes stderr into stdout unless told not to; later ones know no such option.
    apart = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
    return CliRunner(**apart)  # type: ignore[arg-type]


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "alligator", *args]


def _matters(name: str) -> bool:
    return name.startswith(("GATOR", "ALLIGATOR")) or name in {
        "NO_COLOR",
        "FORCE_COLOR",
        "COLUMNS",
        "PYTHONUNBUFFERED",
    }


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # the other side has closed
        return b""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(TASKS)
    return tmp_path


@pytest.fixture
def cli(sqlite_dsn: str, folder: Path) -> Cli:
    return Cli(sqlite_dsn, folder)


@pytest.fixture
def any_cli(shared_dsn: str, folder: Path) -> Cli:
    """gator, once on each broker that processes share."""
    return Cli(shared_dsn, folder)


@pytest.fixture
def redis_cli(redis_dsn: str, folder: Path) -> Cli:
    return Cli(redis_dsn, folder)


@pytest.fixture
def beanstalk_cli(beanstalk_dsn: str, folder: Path) -> Cli:
    return Cli(beanstalk_dsn, folder)


@dataclass
class Given:
    """Puts tasks into the states that a test starts from."""

    client: Backend

    def task(self, path: str, *args: Any, queue: str = "all", **options: Any) -> str:
        task = Task(**options).to_call(DottedPath.parse(path), *args)
        body = task.serialize()
        data = body.encode() if isinstance(body, str) else body
        entry = Entry(task.task_id, data, task.delay_until, task.priority, task.depends_on)
        return self.client.push_many(queue, [entry])[0].task_id

    def body(self, task_id: str, body: bytes, queue: str = "all") -> str:
        return self.client.push_many(queue, [Entry(task_id, body)])[0].task_id

    def running(self, task_id: str) -> None:
        assert self.client.claim(task_id)

    def failed(self, task_id: str, error: str = "ValueError: no way") -> str:
        """Fail a task, and return its id, which beanstalkd changes."""
        lease = self.client.claim(task_id)
        assert lease
        before = self._failed_ids(lease.queue)
        failure = Failure(error, "Traceback (most recent call last):\n  in shop", 1.7e9, "host:1")
        self.client.settle([Fail(lease, failure)])
        (failed,) = self._failed_ids(lease.queue) - before
        return failed

    def _failed_ids(self, queue: str) -> set[str]:
        return {one.task_id for one in self.client.peek(queue, State.FAILED, 1000).records}

    def done(self, task_id: str, result: bytes) -> None:
        lease = self.client.claim(task_id)
        assert lease
        self.client.settle([Ack(lease, result, 60.0)])

    def states(self) -> dict[str, State]:
        """Every held task's state, by id."""
        return {
            record.task_id: state
            for queue in self.client.queues()
            for state in State
            for record in self.client.peek(queue, state, 1000).records
        }


@pytest.fixture
def given(cli: Cli) -> Iterator[Given]:
    """States on the broker of `cli`."""
    client = Gator(cli.dsn).client
    yield Given(client)
    client.close()


@pytest.fixture
def given_any(any_cli: Cli) -> Iterator[Given]:
    """States on the broker of `any_cli`."""
    client = Gator(any_cli.dsn).client
    yield Given(client)
    client.close()
