"""Envelopes, the secrets that make them, and the files that hold those."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alligator import Task, execution
from alligator.backends.base import Fail, Lease, Retry
from alligator.exceptions import BadSignature, InvalidSetting
from alligator.redaction import redacted
from alligator.signing import Keys, read_secrets, unwrap
from alligator.trust import Trust

from .. import tasks

SECRET, OTHER = "a secret of some length", b"another one of some length"
BODY = b'{"task_id": "x"}'


def test_an_envelope_is_what_the_documentation_says() -> None:
    """As another language would compute it."""
    message = b"alligator-task-1" + struct.pack("!II", 4, 2) + b"mail" + b"id" + BODY
    digits = hmac.new(SECRET.encode(), message, hashlib.sha256).hexdigest()
    assert Keys(SECRET).seal("mail", "id", BODY) == f"signed-1 {digits}\n".encode() + BODY


@given(st.text(max_size=8), st.text(max_size=8), st.binary(max_size=40))
def test_what_is_signed_comes_back(queue: str, task_id: str, body: bytes) -> None:
    keys = Keys([SECRET, OTHER])
    assert keys.verify(queue, task_id, keys.seal(queue, task_id, body)) == body
    assert unwrap(keys.seal(queue, task_id, body))[1] == body


@given(st.data())
def test_no_changed_bit_passes(data: st.DataObject) -> None:
    sealed = bytearray(Keys(SECRET).seal("all", "id", BODY))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadSignature, match=r"^bad signature: "):
        Keys(SECRET).verify("all", "id", bytes(sealed))


@pytest.mark.parametrize(
    ("queue", "task_id", "body"),
    [
        ("mail", "id", BODY),
        ("all", "other", BODY),
        ("all", "", BODY),
        ("alli", "d", BODY),
        ("al", "lid", BODY),
        ("all", "i", b"d" + BODY),
        ("all", "id", BODY + b" "),
        ("all", "id", b""),
    ],
)
def test_a_signature_holds_for_one_queue_one_id_and_one_body(
    queue: str, task_id: str, body: bytes
) -> None:
    sealed = Keys(SECRET).seal("all", "id", BODY)
    moved = sealed[: -len(BODY)] + body
    with pytest.raises(BadSignature, match="altered, came from another queue or id, or"):
        Keys(SECRET).verify(queue, task_id, moved)


@pytest.mark.parametrize(
    "data",
    [BODY, b"", b"signed-1 ", b"signed-1 " + b"0" * 64, b"signed-1 " + b"G" * 64 + b"\n", b"s"],
)
def test_what_is_no_envelope_is_not_signed(data: bytes) -> None:
    assert unwrap(data) == (b"", data)
    with pytest.raises(BadSignature, match=r"not signed\. If it is yours, push it again"):
        Keys(SECRET).verify("all", "id", data)


def test_every_secret_verifies_and_the_first_signs() -> None:
    old, new = Keys(SECRET), Keys([OTHER, SECRET])
    assert new.verify("all", "id", old.seal("all", "id", BODY)) == BODY
    assert new.seal("all", "id", BODY) == Keys(OTHER).seal("all", "id", BODY)
    with pytest.raises(BadSignature):
        old.verify("all", "id", new.seal("all", "id", BODY))


@pytest.mark.parametrize("secrets", ["short", b"15 bytes long..", ["x" * 16, "short"], "é" * 7])
def test_a_secret_that_can_be_guessed_is_refused_unshown(secrets: str) -> None:
    with pytest.raises(InvalidSetting, match="can be guessed; make one with: openssl") as caught:
        Keys(secrets)
    assert "short" not in str(caught.value)


def test_a_line_end_is_no_part_of_a_secret() -> None:
    sealed = Keys(f"{SECRET}\n").seal("all", "id", BODY)
    assert Keys(SECRET.encode()).verify("all", "id", sealed) == BODY


def test_no_secret_and_no_text_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="no secret in an empty list"):
        Keys([])
    with pytest.raises(InvalidSetting, match="text or bytes, not int"):
        Keys([1])  # type: ignore[list-item]


def test_a_secret_is_hidden_where_it_could_be_seen() -> None:
    keys = Keys(["the-first-of-the-secrets", b"the-second-of-the-secrets"])
    text = redacted(f"{keys!r} the-first-of-the-secrets ('the-second-of-the-secrets',)")
    assert text == "<Keys: 2> *** ('***',)"
    assert "secrets" not in repr(Trust(keys))


# -- files ----------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "the secrets"
    path.touch(0o600)
    return path


def test_a_file_has_a_secret_a_line(file: Path) -> None:
    file.write_bytes(b"\n  the new secret, 1234 \r\n\n\tthe old secret, 1234\n\n")
    assert read_secrets(str(file)) == [b"the new secret, 1234", b"the old secret, 1234"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty; make one with: openssl rand -hex 32"),
        (b" \n\n", "is empty"),
        (b"x" * 20 + b"\nsecret\n", "secret 2 has 6 bytes, and fewer than 16 can be guessed"),
        (bytes(range(32)), "is no text with a secret a line"),
        (b"x" * 70_000, "is larger than 65536; is it the right file"),
    ],
    ids=["empty", "blank", "short", "binary", "long"],
)
def test_a_file_of_no_use_is_named_with_the_reason(file: Path, data: bytes, said: str) -> None:
    file.write_bytes(data)
    with pytest.raises(InvalidSetting, match=rf"^--secret-file '{re.escape(str(file))}'.*{said}"):
        read_secrets(str(file), "--secret-file")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="cannot be read: No such file"):
        read_secrets(str(tmp_path / "none"))
    with pytest.raises(InvalidSetting, match="no regular file"):
        read_secrets(str(tmp_path))
    with pytest.raises(InvalidSetting, match="no regular file"):
        read_secrets("/dev/zero")


def test_a_file_that_everybody_may_change_is_refused(file: Path) -> None:
    file.write_bytes(b"x" * 20)
    file.chmod(0o606)
    with pytest.raises(InvalidSetting, match="may be changed by everybody") as refused:
        read_secrets(str(file))
    assert str(refused.value).endswith(f"; chmod 600 '{file}'")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_file_that_everybody_may_read_is_warned_of(
    file: Path, mode: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_bytes(b"x" * 20)
    file.chmod(mode)
    with caplog.at_level(logging.WARNING):
        read_secrets(str(file))
    said = f"may be read by every user of this machine; chmod o-r '{file}'"
    assert (said in caplog.text) is warned


# -- trust, and a try under it --------------------------------------------------------------------


def test_the_environment_has_what_was_not_given(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("from the environment\n")
    monkeypatch.setenv("GATOR_SECRET_FILE", str(file))
    monkeypatch.setenv("GATOR_ALLOW", "a.*,b.*  c.*")
    trust = Trust.of()
    assert trust.seal("all", "id", BODY) == Keys("from the environment").seal("all", "id", BODY)
    assert str(trust.allow) == "a.*, b.*, c.*"
    given = Trust.of(secret=SECRET, allow="d.*")
    assert given.seal("all", "id", BODY) == Keys(SECRET).seal("all", "id", BODY)
    assert str(given.allow) == "d.*"


@pytest.mark.parametrize("name", ["GATOR_SECRET_FILE", "GATOR_ALLOW"])
def test_a_variable_that_came_out_empty_opens_no_door(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "")
    with pytest.raises(InvalidSetting, match=f"^{name} "):
        Trust.of()


def test_without_a_secret_a_signed_body_is_taken_as_it_is() -> None:
    assert Trust().unseal("all", "id", Keys(SECRET).seal("x", "y", BODY)) == BODY
    assert Trust().seal("all", "id", BODY) is BODY


def test_on_a_broker_that_chooses_ids_a_signature_holds_for_any() -> None:
    trust = Trust(Keys(SECRET), binds_ids=False)
    assert trust.unseal("all", "17", trust.seal("all", "chosen", BODY)) == BODY
    with pytest.raises(BadSignature):
        trust.unseal("mail", "17", trust.seal("all", "chosen", BODY))


def run(task: Task, trust: Trust, **fields: str) -> execution.Done:
    sealed = trust.seal("all", "id", execution.encode(task))
    lease = Lease(**{"queue": "all", "task_id": "id", "token": "t", "body": sealed, **fields})  # type: ignore[arg-type]
    return execution.run(execution.prepare(Task, lease, "host:1", trust=trust))


def test_a_retry_is_signed_anew_under_the_id_that_the_broker_has() -> None:
    trust = Trust(Keys(SECRET))
    again = run(Task("id", retries=2).to_call(tasks.fail), trust).outcome
    assert isinstance(again, Retry)
    assert Task.deserialize(trust.unseal("all", "id", again.body)).retries == 1


def test_what_is_queued_again_after_the_end_of_a_process_is_signed() -> None:
    trust = Trust(Keys(SECRET))
    task = Task("id", retries=2, timeout=60).to_call(tasks.nothing)
    lease = Lease("all", "id", trust.seal("all", "id", execution.encode(task)), "t")
    prepared = execution.prepare(Task, lease, "host:1", trust=trust)
    assert isinstance(prepared, execution.Try)
    limit = prepared.limit()
    assert limit is not None
    assert limit.body is not None
    assert Task.deserialize(trust.unseal("all", "id", limit.body)).retries == 1


@pytest.mark.parametrize("queue", ["all", "other"])
def test_a_body_that_is_not_believed_is_not_read(queue: str) -> None:
    class Reader(Task):
        @classmethod
        def deserialize(cls, data: str | bytes) -> Reader:
            raise AssertionError("it was read")

    trust = Trust(Keys(SECRET))
    body = BODY if queue == "all" else trust.seal(queue, "id", BODY)
    done = execution.run(
        execution.prepare(Reader, Lease("all", "id", body, "t"), "host:1", trust=trust)
    )
    assert done.task is None
    assert isinstance(done.outcome, Fail)
    assert done.outcome.failure.error.startswith("BadSignature: bad signature: ")
