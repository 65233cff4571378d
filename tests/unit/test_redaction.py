"""Passwords of DSNs stay out of what is shown or stored."""

from __future__ import annotations

import subprocess
import sys

import pytest

from alligator import redaction
from alligator.redaction import passwords, redacted

DSN = "redis://ann:s3cr%2Fet@host:6379/0?ssl_password=0ther&lease=3"


def test_both_spellings_of_each_password_are_known() -> None:
    assert passwords(DSN) == {"s3cr%2Fet", "s3cr/et", "0ther"}
    assert passwords("sqlite:///queue.db") == set()


def test_the_passwords_of_address_and_options_are_told_apart() -> None:
    dsn = "redis://ann:s3@h/0?sentinel_password=0n@3.&ssl_password=tw'0+x"

    assert passwords(dsn) == {"s3", "0n@3.", "tw'0+x", "tw'0 x"}
    assert redacted("at redis://ann:s3@h/0?password=0n@3&lease=5, now") == (
        "at redis://ann:***@h/0?password=***&lease=5, now"
    )


@pytest.mark.parametrize("name", ["token", "api_key", "ApiKey", "client_secret"])
def test_options_that_are_secrets_by_another_name_are_hidden(name: str) -> None:
    dsn = f"own://h/0?{name}=wolf&lease=3"

    assert passwords(dsn) == {"wolf"}
    assert redacted(f"at {dsn}") == f"at own://h/0?{name}=***&lease=3"


def test_a_dsn_within_a_text_loses_its_passwords() -> None:
    text = f"cannot reach {DSN}; trying again"

    assert redacted(text) == (
        "cannot reach redis://ann:***@host:6379/0?ssl_password=***&lease=3; trying again"
    )


def test_the_passwords_of_servers_and_of_sentinels_are_known_and_hidden() -> None:
    dsn = "rediss+sentinel://:0ne@h1:1,h2:2/main/0?sentinel_password=tw0&lease=3"

    assert passwords(dsn) == {"0ne", "tw0"}
    assert redacted(f"at {dsn}") == (
        "at rediss+sentinel://:***@h1:1,h2:2/main/0?sentinel_password=***&lease=3"
    )


@pytest.mark.parametrize("after", ["", ": unknown option 'x'", "; mend it", ", then", ". Mend it"])
def test_a_sentence_keeps_its_marks_after_a_dsn_that_ends_in_a_password(after: str) -> None:
    shown = f"redis://h/0?password=***{after}"

    assert redacted(f"redis://h/0?password=a:b;c{after}") == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize("text", ["s3cr/et was refused", "(s3cr/et)", "'s3cr%2Fet'", "0ther"])
def test_a_password_on_its_own_is_hidden_where_it_is_known(text: str) -> None:
    shown = redacted(text, passwords(DSN))

    assert "***" in shown
    assert not any(password in shown for password in passwords(DSN))
    assert redacted(text) == text


def test_a_short_password_hides_whole_words_only() -> None:
    assert redacted("a task is late", ("a",)) == "*** task is late"


def test_a_long_secret_is_hidden_within_a_word_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_long", {"a" * 16, "a" * 16 + "b"})

    assert redacted(f"token_{'a' * 16} {'a' * 16}b!") == "token_*** ***!"


def test_what_is_learnt_is_hidden_everywhere_in_the_process() -> None:
    code = (
        "from alligator.redaction import learn, redacted\n"
        f"learn({DSN!r})\n"
        "print(redacted('the word is s3cr/et'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "the word is ***\n"
