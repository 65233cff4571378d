"""The floor: the least that a queue on Redis could do, with nothing kept safe.

LPUSH of a JSON body; RPOP of up to 100, json.loads and the call. As a program it is the worker.
"""

from __future__ import annotations

import json
import os
import uuid

import redis
import work

KEY = "floor"
client = redis.Redis.from_url(os.environ["BENCH_BROKER"])


def _body(name: str, args: object) -> str:
    call = {"task_id": str(uuid.uuid4()), "module": "work", "callable": name, "args": args}
    return json.dumps(call)


def send(name: str, *args: object) -> None:
    """Push one call."""
    client.lpush(KEY, _body(name, args))


def send_many(name: str, calls: list[list[object]]) -> None:
    """Push calls with one command."""
    client.lpush(KEY, *(_body(name, args) for args in calls))


def work_forever() -> None:
    """Run what is on the list, and wait for more."""
    while True:
        bodies = client.rpop(KEY, 100)
        if not bodies:
            popped = client.brpop([KEY], 1)
            bodies = [popped[1]] if popped else []
        for body in bodies:
            call = json.loads(body)
            getattr(work, call["callable"])(*call["args"])


if __name__ == "__main__":
    work_forever()
