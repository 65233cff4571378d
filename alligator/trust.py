"""Which bodies this process believes: the secrets and the allow list that hold for it.

Both come from whoever made the Gator, else from the environment; so a worker's own processes, and
the tasks in them that push others, need to be told nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from .backends.base import Record
from .exceptions import InvalidSetting
from .signing import FILE_VARIABLE, MAGIC, Keys, Secrets, read_secrets, unwrap

if TYPE_CHECKING:
    from .allow import AllowList
    from .settings import WorkerSettings

#: The variable with the patterns of every worker that is told of no others.
ALLOW_VARIABLE = "GATOR_ALLOW"


@dataclass(frozen=True)
class Trust:
    """What is signed, what is believed, and what may run.

    Attributes:
        keys: sign and verify; None takes bodies as they come.
        allow: what may run; None allows everything that can be imported.
        binds_ids: whether a signature holds for one id only. It cannot on a broker that chooses
            the ids.
    """

    keys: Keys | None = None
    allow: AllowList | None = None
    binds_ids: bool = True

    @classmethod
    def of(
        cls,
        secret: Secrets | None = None,
        allow: str | Iterable[str] | None = None,
        binds_ids: bool = True,
    ) -> Self:
        """Return what was asked for, and for what is None what the environment says.

        Raises:
            InvalidSetting: a secret, a file of secrets or a pattern that is of no use.
        """
        if secret is None and (path := os.environ.get(FILE_VARIABLE)) is not None:
            secret = read_secrets(path)
        source = "allow"
        if allow is None:
            allow, source = os.environ.get(ALLOW_VARIABLE), ALLOW_VARIABLE
        keys = None if secret is None else Keys(secret)
        if allow is None:
            return cls(keys, None, binds_ids)
        from .allow import AllowList  # most have none, and a push starts the sooner

        return cls(keys, AllowList(allow, source), binds_ids)

    def seal(self, queue: str, task_id: str, body: bytes) -> bytes:
        """Return what the broker is to keep: the body, signed if there are keys."""
        if self.keys is None:
            return body
        return self.keys.seal(queue, task_id if self.binds_ids else "", body)

    def unseal(self, queue: str, task_id: str, data: bytes) -> bytes:
        """Return the body in what a broker kept. Without keys no signature is looked at: there is
        nothing to compare it with.

        Raises:
            BadSignature: there are keys, and it is not signed with any of them.
        """
        if self.keys is None:
            # Far quicker than the expression in there, and enough for nearly all.
            return unwrap(data)[1] if data.startswith(MAGIC) else data
        return self.keys.verify(queue, task_id if self.binds_ids else "", data)

    def resealed(self, record: Record, queue: str) -> bytes | None:
        """Return what the broker is to keep of a task that goes to another queue: its signature
        names the one it is in. None when that is what it keeps already.

        Raises:
            InvalidSetting: it is signed, and there are no keys to sign it anew.
            BadSignature: it is signed with none of the keys. To sign it anew would vouch for it.
        """
        if record.queue == queue or not unwrap(record.body)[0]:
            return None
        if self.keys is None:
            raise InvalidSetting(
                f"task {record.task_id!r} is signed for queue {record.queue!r}, and there is no "
                f"secret here to sign it for {queue!r}; name the file with {FILE_VARIABLE}"
            )
        body = self.unseal(record.queue, record.task_id, record.body)
        return self.seal(queue, record.task_id, body)


def variables(worker: WorkerSettings) -> dict[str, str]:
    """Return the variables that pass what a worker was told on to its processes; a secret itself
    stays in its file."""
    told = {}
    if worker.allow:
        told[ALLOW_VARIABLE] = " ".join(worker.allow)
    if worker.secret_file is not None:
        told[FILE_VARIABLE] = os.path.abspath(worker.secret_file)
    return told


#: Neither keys nor a list.
OPEN = Trust()
