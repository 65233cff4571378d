"""What is known about a task's signature, and what a dump's line says of it."""

from __future__ import annotations

from enum import StrEnum

from alligator.backends.base import Record
from alligator.exceptions import BadSignature, InvalidSetting
from alligator.gator import Gator
from alligator.signing import unwrap
from alligator.trust import Trust

from .lines import BadLine


class Signed(StrEnum):
    """What became of a look at a signature. Without a secret, one can only be seen to be there."""

    NO = ""  # there is none, and no secret that asks for one
    VALID = "valid"
    INVALID = "invalid"
    MISSING = "missing"
    UNVERIFIED = "unverified"


def signature_of(gator: Gator, record: Record) -> Signed:
    """Look at a task's signature."""
    there = bool(unwrap(record.body)[0])
    try:
        trust = gator.trust
    except InvalidSetting:  # whoever may not read the secrets may look at tasks all the same
        return Signed.UNVERIFIED if there else Signed.NO
    if trust.keys is None:
        return Signed.UNVERIFIED if there else Signed.NO
    if not there:
        return Signed.MISSING
    try:
        trust.unseal(record.queue, record.task_id, record.body)
    except BadSignature:
        return Signed.INVALID
    return Signed.VALID


def check_signature(trust: Trust, note: object, number: int) -> None:
    """Look at what a line says of the signature that its task had when it was dumped: where there
    is a secret it is signed anew, and only what was good should be.

    Raises:
        BadLine: it is not to be signed, or cannot be.
    """
    was_there = note not in (Signed.NO, Signed.MISSING, None)
    if trust.keys is None and was_there:
        raise BadLine(
            number,
            f"line {number}: the task was signed, and there is no secret here to sign it with; "
            'name the file with --secret-file, or take "signed" out of the line',
        )
    if trust.keys is not None and note not in (Signed.NO, Signed.VALID, None):
        raise BadLine(
            number,
            f"line {number}: its signature was {note} when it was dumped, and here it would be "
            'signed; if you know the task, take "signed" out of the line',
        )
