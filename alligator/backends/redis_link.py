"""Speaking to the Redis server that owns our keys: scripts, connections, resending what is lost."""

from __future__ import annotations

import hashlib
import math
import select
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ..dsn import Dsn
from ..exceptions import BrokerRefused, BrokerUnreachable
from ..forks import begins_in_copies
from .lookout import Lookout
from .redis_driver import code_of, driver, translate
from .redis_place import Where, place

_T = TypeVar("_T")

#: The calls whose callers rely on what they changed, so that it has to survive a fail-over.
PROMISES = frozenset(
    {"push", "settle", "claim", "cancel", "requeue", "move", "drop", "pause", "resume"}
)

#: What to do about a call of which nobody knows whether it was carried out.
REPEATABLE = {
    "push": "; a push may be repeated with its id, which is not queued again while it is held"
}

#: Seconds after which a call is not repeated, as the server forgets its answer after 300 (once() of
#: prelude.lua) and would carry it out again: only a process that was stopped takes so long.
REMEMBERED = 280.0

#: The scripts that do without moves.lua.
MOVELESS = frozenset(
    {"forget", "leave", "pause", "paused", "push", "queues", "resume", "wait", "workers"}
)

#: Seconds between two looks while nothing comes: what a lost hint costs. A worker looks every 5 s
#: anyway: with one in between, an idle one wakes about once a second.
MAX_SLEEP = 2.5

#: Seconds without an answer after which a command is lost; the DSN option `timeout` overrides.
DEFAULT_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script and the name the server keeps it under."""

    text: bytes
    sha: str


@cache
def script(name: str) -> Script:
    """Return a script of redis_scripts/ with what it builds on before it."""
    folder = Path(__file__).with_name("redis_scripts")
    files = ("prelude", name) if name in MOVELESS else ("prelude", "moves", name)
    text = b"".join((folder / f"{file}.lua").read_bytes() for file in files)
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


class Link:
    """The connections of one process to one server.

    There is one connection for calls, under a lock, and as many as there are threads waiting.
    redis-py resends nothing (a bare Connection has no retries): a lost reply would queue twice, or
    lose what was reserved. Here every call that changes something carries this client's id and a
    number, and the script repeats its answer to a number it has seen, so each call can be resent
    however it was lost: a resent settle reports what the first one did and returns its leases.
    """

    def __init__(self, dsn: Dsn, base: str, hurry: Callable[[], bool]) -> None:
        """Prepare to speak to the server of a DSN, under keys that begin with `base`.

        Args:
            hurry: see Backend.
        """
        self._hurry = hurry
        self.where = dsn.redacted()
        self.timeout = dsn.seconds("timeout", DEFAULT_TIMEOUT)
        self._replicas = dsn.count("replicas", 0)
        self._driver = driver()
        self._base = base
        # Each attempt has half of it, so that a request whose answer does not come is sent once
        # more, on a new connection, and still there is one time-out and not two.
        self._place = place(dsn, self.timeout / 2, base[1 : base.index("}")])
        self._at: Where | None = None  # where to connect; None: find it
        self._met: set[Where | None] = set()  # the servers that were found fit to keep tasks
        self.begin()
        begins_in_copies(self)

    def begin(self) -> None:
        """Begin a life of its own: in a forked child the parent's lock may be held for ever, its
        sockets belong to the parent, and its client id would mix up two series of numbers."""
        self._lock = threading.Lock()
        self._calls = self._make()
        self._idle: list[Any] = []
        self._client = uuid.uuid4().hex
        self._number = 0
        self._lookout = Lookout()

    def _make(self) -> Any:
        kind, arguments = self._place.address
        return kind(**arguments)

    @property
    def client(self) -> str:
        """What this process is known by: no other has it, nor a child that it forks."""
        return self._client

    def open(self, seconds: float) -> Any:
        """Return one more connection, which is the caller's, to the server that owns our keys.

        Args:
            seconds: how long one step of it, or of what is asked on it, may take.

        Raises:
            RedisError, OSError, BrokerError: there is none.
        """
        connection = self._make()
        connection.socket_timeout = connection.socket_connect_timeout = seconds
        self._connect(connection)
        return connection

    def call(self, name: str, *arguments: Any, sending: Callable[[], object] | None = None) -> Any:
        """Run a script and return its answer.

        Args:
            sending: called before each time that the script is sent. A call that fails without it
                did nothing.

        Raises:
            BrokerUnreachable: no answer within about the time-out, in which other threads may have
                had their turn; it may have run or not.
            BrokerRefused: the server's answer is no; it did not run.
        """
        lock = self._lock  # a fork in the middle of it puts another one there
        deadline = self._take_turn(lock)
        try:
            self._number += 1
            return self._run(self._calls, name, self._number, arguments, sending, deadline)
        finally:
            lock.release()

    def ask(self, *command: Any) -> Any:
        """Send a command that may be repeated, and return the answer."""
        lock = self._lock  # a fork in the middle of it puts another one there
        deadline = self._take_turn(lock)
        try:
            return self._persist(
                self._calls, lambda: self.exchange(self._calls, *command), deadline
            )
        finally:
            lock.release()

    def _take_turn(self, lock: threading.Lock) -> float:
        """Take the connection for calls, once other threads are done with it; return when the
        time-out is over. The wait counts, or of many threads on a server that hangs the last would
        have its error after as many time-outs."""
        deadline = time.monotonic() + self.timeout
        if not lock.acquire(timeout=min(self.timeout, threading.TIMEOUT_MAX)):
            raise BrokerUnreachable(
                f"{self.where}: not sent: the requests of other threads, which come first, took "
                f"{self.timeout:g} s; check that the server runs and can be reached"
            )
        return deadline

    def _run(
        self,
        connection: Any,
        name: str,
        number: int,
        arguments: tuple[Any, ...],
        sending: Callable[[], object] | None = None,
        deadline: float | None = None,
    ) -> Any:
        chosen = script(name)
        rest = (1, self._base, self._client, number, *arguments)

        def evaluate() -> Any:
            if sending:
                sending()
            try:
                answer = self.exchange(connection, "EVALSHA", chosen.sha, *rest)
            except self._driver.exceptions.NoScriptError:
                answer = self.exchange(connection, "EVAL", chosen.text, *rest)
            if self._replicas and name in PROMISES:
                self._await_replicas(connection)
            return answer

        keeps = REMEMBERED if name in PROMISES else math.inf
        return self._persist(connection, evaluate, deadline, REPEATABLE.get(name, ""), keeps)

    def _await_replicas(self, connection: Any) -> None:
        """Wait until so many replicas as the DSN asks for have what the last call changed."""
        # Briefly, and again with the call: a master that was deposed has no replicas any more.
        milliseconds = max(1, int(1000 * min(1.0, self.timeout / 4)))
        reached = self.exchange(connection, "WAIT", self._replicas, milliseconds)
        if reached < self._replicas:
            raise BrokerUnreachable(
                f"{self.where}: carried out on the master, but {reached} of {self._replicas} "
                "replicas have it, so a fail-over might lose it; check the replicas, or ask for "
                "fewer (?replicas=)",
                maybe_done=True,
            )

    def exchange(self, connection: Any, *command: Any) -> Any:
        """Send a command and return its answer; without one, the connection is closed."""
        try:
            connection.send_packed_command(_pack(connection, command))
            self._lookout.wait(socket_of(connection))
            return connection.read_response()
        except self._driver.ResponseError:
            raise  # a whole answer was read, so the connection is in step
        except BaseException:
            connection.disconnect()  # or the next call would read the answer to this one
            raise

    def _connect(self, connection: Any) -> None:
        """Connect to the server that owns our keys, wherever it is now."""
        if socket_of(connection) is not None:
            return
        known = self._at
        found = known or self._place.find(self.timeout / 4)
        if found:
            connection.host, connection.port = found
        try:
            connection.connect()
            if not known:
                self._place.verify(connection)
            if found not in self._met:
                self._meet(connection)
        except BaseException:
            connection.disconnect()  # or the next call would read what belongs to the handshake
            self._place.doubt()
            raise
        self._met.add(found)
        self._at = found

    def _meet(self, connection: Any) -> None:
        """Refuse a server that may throw tasks away to make room."""
        connection.send_command("INFO", "memory")
        try:
            memory = read_info(connection.read_response())
        except self._driver.ResponseError as error:
            if code_of(error) not in ("NOPERM", None):
                raise
            memory = {}  # some services hide it: then nobody can tell
        policy = memory.get("maxmemory_policy", "noeviction")
        if memory.get("maxmemory", "0") != "0" and policy != "noeviction":
            raise BrokerRefused(
                f"{self.where}: with maxmemory-policy {policy} Redis would throw queued tasks away "
                "when memory is short; set maxmemory-policy noeviction"
            )

    def _persist(
        self,
        connection: Any,
        attempt: Callable[[], _T],
        deadline: float | None = None,
        remedy: str = "",
        keeps: float = math.inf,
    ) -> _T:
        """Try until there is an answer: once more in any case, then until the time-out is over.

        A server that was never reached is not waited for, so a wrong address shows at once.
        Where over half of the time went by before, no second attempt begins after the end of it:
        each takes half of the time-out.

        Args:
            deadline: when the time-out is over; left out, it begins now.
            remedy: what the error adds when nobody knows whether it was carried out.
            keeps: for how many seconds the server knows what it has carried out.
        """
        began = time.monotonic()
        deadline = began + self.timeout if deadline is None else deadline
        single = deadline - began < self.timeout / 2
        pause = 0.0
        connected = False
        # By the wall clock, as others may stand still with a computer that is suspended.
        lost_at, sent_at = math.inf, -math.inf
        while True:
            try:
                self._connect(connection)
                connected = True
                sent_at = time.time()
                if sent_at - lost_at > keeps:
                    raise BrokerUnreachable(
                        f"{self.where}: not sent again: the answer was lost over {keeps:g} s ago, "
                        "and Redis may have forgotten it"
                    )
                return attempt()
            except (self._driver.RedisError, OSError, BrokerUnreachable) as error:
                ours = translate(error, self.where)
                if ours is error and self._hurry():
                    raise  # a worker's time was up, and no signal would end another attempt
                no_answer = code_of(error) is None
                if connected and no_answer and ours is not error:
                    lost_at = min(lost_at, sent_at)
                late = self._hurry() or time.monotonic() + pause > deadline
                never_met = not (self._met or self._place.answered) and no_answer
                forgotten = sent_at - lost_at > keeps
                given_up = forgotten or (late and single) or (pause > 0 and (late or never_met))
                if not isinstance(ours, BrokerUnreachable):
                    raise ours from error
                if given_up:
                    cause = error.__cause__ if ours is error else error
                    raise (_in_doubt(ours, remedy) if lost_at < math.inf else ours) from cause
                self._follow(connection, error)
            time.sleep(pause)
            pause = min(0.25, 2 * pause + 0.01)

    def _follow(self, connection: Any, error: Exception) -> None:
        """Make the next attempt reach the server that can answer it.

        ASK is not followed. It means that our slot is on its way to another node, key by key, and a
        script may see either half only; so calls wait until all of it is there, and MOVED says so.
        """
        self._at = None
        if code_of(error) == "MOVED":
            # "MOVED slot host:port", where no host means the one that answered.
            host, _, port = str(error).rpartition(" ")[2].rpartition(":")
            self._at = Where(host or connection.host, int(port))
        connection.disconnect()

    def found(self) -> str:
        """Say which server the last call reached, where that is not in the DSN."""
        return f"{self._at}, {self._place}" if self._at and str(self._place) else ""

    def sleep(self, queues: tuple[str, ...], timeout: float, wake_on: int | None) -> None:
        """Sleep until a hint for one of the queues, one of their tasks is due, `wake_on` is
        readable, or time is up."""
        connection = self._idle.pop() if self._idle else self._make()
        idle = self._idle  # close() puts another list there; then this connection is dropped
        keys = [f"{self._base}wake:{queue}" for queue in queues]
        deadline = time.monotonic() + timeout
        while True:
            due = self._run(connection, "wait", 0, queues)
            left = deadline - time.monotonic()
            if due == 0 or left <= 0 or readable(0, wake_on):
                break
            seconds = min(left, due / 1e6 + 0.001) if due > 0 else left
            woken = self._block(connection, keys, min(seconds, MAX_SLEEP), wake_on)
            if woken or seconds <= MAX_SLEEP:
                break
        idle.append(connection)

    def _block(self, connection: Any, keys: list[str], seconds: float, wake_on: int | None) -> bool:
        """Sleep for so many seconds at most; False when nothing came meanwhile."""
        # 0 would mean for ever.
        seconds = max(0.001, round(seconds, 3))
        in_step = False
        try:
            connection.send_command("BZPOPMIN", *keys, seconds)
            # The server ends the wait, unless it is gone.
            awake = readable(seconds + self.timeout, socket_of(connection), wake_on)
            if socket_of(connection).fileno() in awake:
                hint = connection.read_response()
                in_step = True
                return hint is not None
        except (self._driver.RedisError, OSError) as error:
            # Nothing was asked but to sleep. If the server is gone the next call says so.
            if isinstance(ours := translate(error, self.where), BrokerRefused):
                raise ours from error
        finally:
            # A hint that this throws away costs other sleepers no more than the cap on a sleep.
            if not in_step:
                connection.disconnect()
        return True

    def listen(self, channel: bytes) -> Iterator[Callable[[float], None]]:
        """Yield, once, a function that waits for a message on a channel or so many seconds."""
        connection = self._make()

        def subscribe() -> None:
            self._persist(connection, lambda: self.exchange(connection, "SUBSCRIBE", channel))

        def wait(seconds: float) -> None:
            if socket_of(connection) is None:
                subscribe()  # and return: what was said meanwhile nobody heard
            elif readable(seconds, socket_of(connection)):
                try:
                    connection.read_response()
                except (self._driver.RedisError, OSError):
                    connection.disconnect()

        try:
            subscribe()
            yield wait
        finally:
            connection.disconnect()

    def close(self) -> None:
        """Close every connection; the next call opens what it needs."""
        with self._lock:
            self._calls.disconnect()
            idle, self._idle = self._idle, []
            for connection in idle:
                connection.disconnect()


def _in_doubt(error: BrokerUnreachable, remedy: str) -> BrokerUnreachable:
    return BrokerUnreachable(
        f"{error}; whether the last request was carried out is unknown{remedy}", maybe_done=True
    )


def read_info(text: bytes) -> dict[str, str]:
    """Read the answer to INFO."""
    lines = (line.partition(":") for line in text.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}


def _pack(connection: Any, command: tuple[Any, ...]) -> list[bytes]:
    """Return a command as it is sent. redis-py would look at each part before it leaves them all to
    hiredis, which takes as long again."""
    packer = _packer()
    return [packer(command)] if packer else connection.pack_command(*command)


@cache
def _packer() -> Callable[[tuple[Any, ...]], bytes] | None:
    """Return hiredis's own packer of commands, where it is installed."""
    try:
        from hiredis import pack_command
    except ImportError:  # redis-py does without, and slower
        return None
    packer: Callable[[tuple[Any, ...]], bytes] = pack_command
    return packer


def socket_of(connection: Any) -> Any:
    # redis-py has no public name for it; 5, 6, 7 and 8 agree on this one.
    return connection._sock


def readable(seconds: float, *files: Any) -> set[int]:
    """Wait until one of the files is readable; None stands for no file."""
    poller = select.poll()
    for file in files:
        if file is not None:
            poller.register(file, select.POLLIN)
    return {number for number, _ in poller.poll(seconds * 1000)}
