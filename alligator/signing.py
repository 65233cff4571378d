"""Signed bodies: the envelope that a broker keeps, and the secrets that make and check it.

An envelope is ``signed-1 ``, 64 hexadecimal digits, a newline and the body itself. The digits are
HMAC-SHA256 (RFC 2104) over a version tag, the lengths of queue and id, queue, id and body; with the
lengths no byte can move from one field into the next. JSON never starts with an ``s``.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterable

from .exceptions import BadSignature, InvalidSetting
from .redaction import hide

#: A secret, or several: the first signs, all of them verify.
Secrets = str | bytes | Iterable[str | bytes]

#: The variable that names the file with the secrets.
FILE_VARIABLE = "GATOR_SECRET_FILE"

#: Bytes a secret has at least. Fewer could be found out by trying.
SHORTEST = 16

MAGIC = b"signed-1 "
_ENVELOPE = re.compile(rb"signed-1 ([0-9a-f]{64})\n")
_HEAD = len(MAGIC) + 65
_TAG = b"alligator-task-1"
_LENGTHS = struct.Struct("!II")

#: Characters that a file of secrets may have: who names another file should hear of it soon.
_LARGEST_FILE = 65_536

_HOW_TO_MAKE = "make one with: openssl rand -hex 32"


def unwrap(data: bytes) -> tuple[bytes, bytes]:
    """Return the signature and the body in `data`; (b"", data) when that is no envelope."""
    found = _ENVELOPE.match(data)
    return (found[1], data[_HEAD:]) if found else (b"", data)


class Keys:
    """Secrets at work: signs with the first, verifies with any."""

    def __init__(self, secrets: Secrets) -> None:
        """Take the secrets, and have them hidden in whatever this process logs or stores.

        Raises:
            InvalidSetting: there is none, or one is shorter than SHORTEST bytes.
        """
        # Loads OpenSSL: several milliseconds that only those who sign should pay for.
        import hmac

        self._digest = hmac.digest
        self._equal = hmac.compare_digest
        given = [secrets] if isinstance(secrets, str | bytes) else list(secrets)
        self._secrets = [_checked(one) for one in given]
        if not self._secrets:
            raise InvalidSetting(f"there is no secret in an empty list; {_HOW_TO_MAKE}")
        for one in self._secrets:
            hide(one.decode(errors="backslashreplace"))

    def __repr__(self) -> str:
        return f"<Keys: {len(self._secrets)}>"

    def seal(self, queue: str, task_id: str, body: bytes) -> bytes:
        """Return the body in an envelope that holds for this queue and id only."""
        signature = self._signature(self._secrets[0], _signed(queue, task_id, body))
        return b"%s%s\n%s" % (MAGIC, signature, body)

    def verify(self, queue: str, task_id: str, data: bytes) -> bytes:
        """Return the body of an envelope.

        Raises:
            BadSignature: it is none, or was not made by one of these secrets for this queue, this
                id and this body.
        """
        signature, body = unwrap(data)
        if not signature:
            raise BadSignature(
                "bad signature: the body is not signed. If it is yours, push it again where "
                f"{FILE_VARIABLE} is set"
            )
        message = _signed(queue, task_id, body)
        for secret in self._secrets:
            if self._equal(signature, self._signature(secret, message)):
                return body
        raise BadSignature(
            "bad signature: the body was altered, came from another queue or id, or was signed "
            f"with a secret that this worker does not have. If it is yours, see {FILE_VARIABLE} of "
            "whoever pushed it"
        )

    def _signature(self, secret: bytes, message: bytes) -> bytes:
        return self._digest(secret, message, "sha256").hex().encode()


def read_secrets(path: str, source: str = FILE_VARIABLE) -> list[bytes]:
    """Return the secrets in a file, one a line; blank lines don't count.

    Args:
        source: what named the file, for messages.

    Raises:
        InvalidSetting: it cannot be read, is no file of secrets, or others may change it.
    """
    where = f"{source} {path!r}"
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise InvalidSetting(f"{where} is no regular file, which every start of a worker reads")
        with open(path, encoding="utf-8") as file:
            text = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise InvalidSetting(f"{where} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        text = "\0"
    if len(text) > _LARGEST_FILE:
        raise InvalidSetting(f"{where} is larger than {_LARGEST_FILE}; is it the right file?")
    _look_at_mode(where, path, mode)
    lines = [line.strip() for line in text.splitlines()]
    if not all(map(str.isprintable, lines)):
        raise InvalidSetting(f"{where} is no text with a secret a line; {_HOW_TO_MAKE}")
    secrets = [line.encode() for line in lines if line]
    if not secrets:
        raise InvalidSetting(f"{where} is empty; {_HOW_TO_MAKE}")
    for number, secret in enumerate(secrets, 1):
        if len(secret) < SHORTEST:
            raise InvalidSetting(f"{where}: secret {number} has {_too_few(secret)}")
    return secrets


def _look_at_mode(where: str, path: str, mode: int) -> None:
    if not mode & (stat.S_IWOTH | stat.S_IROTH):
        return
    # As slow to import as all of this package, and seldom needed.
    import logging
    import shlex

    name = shlex.quote(path)
    if mode & stat.S_IWOTH:
        raise InvalidSetting(f"{where} may be changed by everybody; chmod 600 {name}")
    if mode & stat.S_IROTH:
        # Not refused: containers mount their secrets like that.
        logging.getLogger("alligator.signing").warning(
            "%s may be read by every user of this machine; chmod o-r %s", where, name
        )


def _checked(secret: str | bytes) -> bytes:
    if not isinstance(secret, str | bytes):
        raise InvalidSetting(f"a secret is text or bytes, not {type(secret).__name__}")
    # As it is read from a file, so that the file's text with its line end is the same secret.
    data = (secret.encode() if isinstance(secret, str) else secret).strip()
    if len(data) < SHORTEST:
        raise InvalidSetting(f"a secret has {_too_few(data)}")
    return data


def _too_few(secret: bytes) -> str:
    return f"{len(secret)} bytes, and fewer than {SHORTEST} can be guessed; {_HOW_TO_MAKE}"


def _signed(queue: str, task_id: str, body: bytes) -> bytes:
    names = queue.encode(errors="surrogatepass"), task_id.encode(errors="surrogatepass")
    return b"".join((_TAG, _LENGTHS.pack(*map(len, names)), *names, body))
