"""The queues that are compared: how each is started and set, and what it promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Words of the guarantee column.
AT_LEAST_ONCE = "at least once"
AT_MOST_ONCE = "at most once"


@dataclass(frozen=True)
class System:
    """One queue with one setting.

    Attributes:
        key: its name on the command line and in the results; what is before the first "-" is its
            family.
        label: its name on the page.
        environment: the environment that it runs in; see pins/.
        app: the module of apps/ that pushes through it.
        broker: "redis", "sqlite" or "beanstalk".
        command: how its worker is started; the first word is a program of its environment.
        settings: what was set, for the page.
        guarantee: what becomes of a task whose worker is killed, for the page.
        rate: no-op tasks a second that it drained on the machine this was written on: a trial gets
            as many tasks as it then works for a few seconds on.
        variables: environment variables that the app reads.
        processes: how many run tasks.
    """

    key: str
    label: str
    environment: str
    app: str
    broker: str
    command: tuple[str, ...]
    settings: str
    guarantee: str
    rate: int
    variables: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1

    @property
    def family(self) -> str:
        return self.key.partition("-")[0]


def alligator(
    key: str, label: str, broker: str, *options: str, rate: int = 30_000, processes: int = 1
) -> System:
    """Return Alligator with the options of `gator worker`."""
    shown = " ".join(options)
    return System(
        f"alligator-{key}",
        f"Alligator, {label}",
        "alligator",
        "alligator_app",
        broker,
        ("gator", "worker", "--log-level", "error", *options),
        f"`gator worker {shown}`",
        f"{AT_LEAST_ONCE}: again within about a second",
        rate,
        processes=processes,
    )


FLOOR = System(
    "floor",
    "the floor: a bare loop",
    "alligator",
    "floor_app",
    "redis",
    ("python", "floor_app.py"),
    "RPOP of up to 100, `json.loads`, the call; BRPOP when empty",
    "none: up to 100 tasks are lost with the process",
    100_000,
)

RAW = System(
    "raw",
    "round trips on a raw socket",
    "alligator",
    "raw_app",
    "redis",
    ("python", "-c", ""),
    "LPUSH of 160 bytes, packed once; one recv",
    "none",
    10_000,
)

GATOR = alligator("c1", "one process", "redis", "-c", "1")
GATOR_2 = alligator("c2", "two processes", "redis", "-c", "2", processes=2)
GATOR_SQLITE = alligator("sqlite", "SQLite, one process", "sqlite", "-c", "1")
GATOR_BEANSTALK = alligator("beanstalk", "beanstalkd, one process", "beanstalk", "-c", "1")
GATOR_THREADS = alligator("threads", "50 threads", "redis", "--threads", "50")
GATOR_COROUTINES = alligator("coroutines", "500 coroutines", "redis", "--coroutines", "500")


def celery(
    key: str, label: str, *options: str, prefetch: int, rate: int, processes: int = 1
) -> System:
    """Return Celery with a pool."""
    return System(
        f"celery-{key}",
        f"Celery, {label}",
        "celery",
        "celery_app",
        "redis",
        (
            *("celery", "-A", "celery_app", "worker", "-l", "ERROR"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat", *options),
        ),
        f"`{' '.join(options)}`, worker_prefetch_multiplier {prefetch}, acks_late off, no results, "
        "no gossip, mingle, heartbeat or remote control",
        f"{AT_MOST_ONCE}: acknowledged before it runs; prefetched ones come back after an hour",
        rate,
        {"BENCH_PREFETCH": str(prefetch)},
        processes,
    )


CELERY_SOLO = celery("solo", "solo", "-P", "solo", prefetch=128, rate=1_000)
CELERY_PREFORK = celery(
    "prefork", "prefork 2", "-P", "prefork", "-c", "2", prefetch=64, rate=1_000, processes=2
)
CELERY_THREADS = celery("threads", "50 threads", "-P", "threads", "-c", "50", prefetch=4, rate=450)


def rq(key: str, label: str, worker_class: str, rate: int) -> System:
    """Return RQ with a worker class."""
    return System(
        f"rq-{key}",
        f"RQ, {label}",
        "rq",
        "rq_app",
        "redis",
        ("rq", "worker", "-q", "-w", worker_class, "-c", "rq_settings", "bench"),
        f"`rq worker -w {worker_class}`, result_ttl 0",
        f"{AT_MOST_ONCE}: a killed worker's task goes to the failed registry",
        rate,
    )


RQ_SIMPLE = rq("simple", "SimpleWorker", "rq.worker.SimpleWorker", 220)
RQ_FORK = rq("fork", "forking", "rq.worker.Worker", 60)


def huey(
    key: str, label: str, kind: str, workers: int, rate: int = 2_500, broker: str = "redis"
) -> System:
    """Return Huey with a kind of workers."""
    durable = ", WAL and synchronous=FULL, its defaults" if broker == "sqlite" else ""
    return System(
        f"huey-{key}",
        f"Huey, {label}",
        "huey",
        "huey_app",
        broker,
        ("huey_consumer", "huey_app.huey", "-n", "-q", "-k", kind, "-w", str(workers)),
        f"`huey_consumer -n -k {kind} -w {workers}`, no results{durable}",
        f"{AT_MOST_ONCE}: removed before it runs",
        rate,
        processes=workers if kind == "process" else 1,
    )


HUEY_THREAD = huey("thread", "one thread", "thread", 1)
HUEY_PROCESS = huey("process", "two processes", "process", 2)
HUEY_GREENLET = huey("greenlet", "8 greenlets", "greenlet", 8)
HUEY_SQLITE = huey("sqlite", "SQLite, one thread", "thread", 1, broker="sqlite")
HUEY_THREADS = huey("threads", "50 threads", "thread", 50, rate=450)

DRAMATIQ = System(
    "dramatiq",
    "Dramatiq, 8 threads",
    "dramatiq",
    "dramatiq_app",
    "redis",
    ("dramatiq", "dramatiq_app", "-p", "1", "-t", "8", "--skip-logging"),
    "`dramatiq -p 1 -t 8`, default middleware",
    f"{AT_LEAST_ONCE}: again after 60 s",
    2_000,
)
DRAMATIQ_THREADS = System(
    "dramatiq-threads",
    "Dramatiq, 50 threads",
    "dramatiq",
    "dramatiq_app",
    "redis",
    ("dramatiq", "dramatiq_app", "-p", "1", "-t", "50", "--skip-logging"),
    "`dramatiq -p 1 -t 50`, default middleware",
    DRAMATIQ.guarantee,
    450,
)


def saq(key: str, label: str, concurrency: int) -> System:
    """Return SAQ with a concurrency."""
    return System(
        key,
        label,
        "saq",
        "saq_app",
        "redis",
        ("saq", "saq_app.settings", "--quiet"),
        f"concurrency {concurrency}, ttl -1 (nothing kept), hiredis, uvloop",
        f"{AT_MOST_ONCE} as set: swept and aborted; again only with retries left",
        1_500,
        {"BENCH_CONCURRENCY": str(concurrency)},
    )


SAQ = saq("saq", "SAQ", 100)
SAQ_500 = saq("saq-500", "SAQ, 500 at once", 500)


def arq(key: str, label: str, jobs: int) -> System:
    """Return arq with a number of jobs at once."""
    return System(
        key,
        label,
        "arq",
        "arq_app",
        "redis",
        ("arq", "arq_app.WorkerSettings", "--custom-log-dict", "arq_settings.QUIET"),
        f"max_jobs {jobs}, poll_delay 0.01 s, keep_result 0, hiredis, uvloop",
        f"{AT_LEAST_ONCE}: again after job_timeout and 10 s, 310 s as set",
        1_500,
        {"BENCH_CONCURRENCY": str(jobs)},
    )


ARQ = arq("arq", "arq", 100)
ARQ_500 = arq("arq-500", "arq, 500 at once", 500)


def taskiq(key: str, label: str, kind: str, tasks: int, guarantee: str) -> System:
    """Return Taskiq with a broker class."""
    return System(
        f"taskiq-{key}",
        f"Taskiq, {label}",
        "taskiq",
        "taskiq_app",
        "redis",
        (
            *("taskiq", "worker", "taskiq_app:broker", "--workers", "1", "--no-parse"),
            *("--log-level", "ERROR", "--max-async-tasks", str(tasks)),
        ),
        f"`taskiq worker --workers 1 --max-async-tasks {tasks} --no-parse`, no results, uvloop",
        guarantee,
        2_500,
        {"BENCH_KIND": kind},
    )


_STREAM = f"{AT_LEAST_ONCE}: claimed again after 10 minutes"
TASKIQ_STREAM = taskiq("stream", "streams", "stream", 100, _STREAM)
TASKIQ_LIST = taskiq("list", "lists", "list", 100, f"{AT_MOST_ONCE}: popped before it runs")
TASKIQ_500 = taskiq("500", "streams, 500 at once", "stream", 500, _STREAM)

SYSTEMS = {system.key: system for system in globals().copy().values() if isinstance(system, System)}

#: Those whose figures are set against Alligator's; the family of each can be chosen.
PEERS = ("celery", "rq", "huey", "dramatiq", "saq", "arq", "taskiq")

#: Left out, and why; the page says so.
LEFT_OUT = {"Procrastinate": "it needs PostgreSQL, which Alligator does not speak"}
