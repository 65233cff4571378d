"""Reading a DSN, and never showing its password."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alligator.dsn import Dsn, parse, redact
from alligator.exceptions import InvalidDSN

#: What a person may type as a password without quoting it. Its words are in no other part of the
#: texts below, so that each can be looked for by itself.
WORDS = st.lists(st.sampled_from(("hunter", "wolf", "Qé☂", "X1%2F")), min_size=1, max_size=4)
MARKS = st.sampled_from("@:/?#&=+ []")


def assert_hidden(words: list[str], shown: str) -> None:
    for word in words:
        assert word not in shown


def test_every_part_is_read() -> None:
    dsn = parse("Redis://ann:secret@Example.org:6380/2?lease=5&prefix=x")

    assert (dsn.scheme, dsn.host, dsn.port) == ("redis", "example.org", 6380)
    assert (dsn.username, dsn.password) == ("ann", "secret")
    assert dsn.path == "/2"
    assert dsn.options == {"lease": "5", "prefix": "x"}


def test_what_is_absent_is_none() -> None:
    dsn = parse("locmem://")

    assert (dsn.host, dsn.port, dsn.username, dsn.password) == (None, None, None, None)
    assert (dsn.path, dsn.options) == ("", {})


def test_paths_of_files_keep_their_slashes() -> None:
    assert parse("sqlite:///queue.db").path == "/queue.db"
    assert parse("sqlite:////var/lib/queue.db").path == "//var/lib/queue.db"
    assert parse("sqlite:////var/my%20queue.db?timeout=1").path == "//var/my queue.db"


def test_a_user_without_a_password_and_a_password_without_a_user() -> None:
    assert (parse("redis://ann@h").username, parse("redis://ann@h").password) == ("ann", None)
    assert (parse("redis://:pw@h").username, parse("redis://:pw@h").password) == (None, "pw")


@given(password=st.text(min_size=1))
def test_a_quoted_password_is_read_back(password: str) -> None:
    try:
        quoted = quote(password, safe="")
    except UnicodeEncodeError:
        return  # lone surrogates have no UTF-8 form to quote

    assert parse(f"redis://ann:{quoted}@host:1/0").password == password


def test_addresses_of_version_six_are_read() -> None:
    dsn = parse("redis://[::1]:6379/0")

    assert (dsn.host, dsn.port) == ("::1", 6379)


def test_several_hosts_are_read() -> None:
    dsn = parse("redis+sentinel://ann:se%2Ccret@One:1,[::1]:2,three/main/0")

    assert dsn.scheme == "redis+sentinel"
    assert dsn.hosts == (("one", 1), ("::1", 2), ("three", None))
    assert (dsn.host, dsn.port, dsn.password) == ("one", 1, "se,cret")
    assert dsn.path == "/main/0"


@pytest.mark.parametrize("text", ["redis://h1,", "redis://,h2", "redis://h1,:1,h2"])
def test_a_host_that_is_missing_among_several_is_said(text: str) -> None:
    with pytest.raises(InvalidDSN, match="bad host"):
        parse(text)


@pytest.mark.parametrize("port", ["x", "65536", "0"])
def test_each_port_of_several_is_checked(port: str) -> None:
    with pytest.raises(InvalidDSN, match="port is not a number from 1 to 65535") as caught:
        parse(f"redis+cluster://ann:hunter2@h1:1,h2:{port}")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "redis", "localhost:6379", "/var/queue.db", "redis:/host"])
def test_what_is_no_dsn_is_told_what_one_looks_like(text: str) -> None:
    with pytest.raises(InvalidDSN, match=r"is not a DSN; write one like sqlite:///queue\.db"):
        parse(text)


def test_what_is_no_string_is_no_dsn() -> None:
    with pytest.raises(InvalidDSN, match=r"None.? is not a DSN"):
        parse(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("port", ["x", "65536", "0", "-1", "1.5"])
def test_a_bad_port_is_named_without_the_password(port: str) -> None:
    with pytest.raises(InvalidDSN, match="port is not a number from 1 to 65535") as caught:
        parse(f"redis://ann:hunter2@host:{port}/0")

    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None or "hunter2" not in str(caught.value.__context__)


def test_a_bad_host_is_named_without_the_password() -> None:
    with pytest.raises(InvalidDSN, match="bad host") as caught:
        parse("redis://ann:hunter2@[::1/0")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://ann:secret@host:1/0", "redis://ann:***@host:1/0"),
        ("redis://:secret@host", "redis://:***@host"),
        ("redis://ann@host/0", "redis://ann@host/0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://ann:se@cr@et@host", "redis://ann:***@host"),
        ("redis://ann:se:cr:et@host", "redis://ann:***@host"),
        ("redis://host/0?password=secret&lease=1", "redis://host/0?password=***&lease=1"),
        ("unix://ann:secret@/run/redis.sock?db=1", "unix://ann:***@/run/redis.sock?db=1"),
        ("redis+sentinel://:secret@h1:1,h2:2/main/0", "redis+sentinel://:***@h1:1,h2:2/main/0"),
        (
            "rediss+sentinel://h1,h2/m?sentinel_password=s",
            "rediss+sentinel://h1,h2/m?sentinel_password=***",
        ),
        ("redis://h:1/0?password=se@cr&lease=1", "redis://h:1/0?password=***&lease=1"),
        ("redis://ann:se@h:1/0?password=cr@et", "redis://ann:***@h:1/0?password=***"),
        ("redis://h/0?password=se&cret&lease=1", "redis://h/0?password=***&lease=1"),
        ("redis://ann:secret", "redis://ann:***"),
        ("redis://ann:se/cr?et=1", "redis://ann:***"),
        ("redis://:se[cret", "redis://:***"),
        ("redis://h1:1,[::1]:2/0", "redis://h1:1,[::1]:2/0"),
        ("sqlite:////home/ann/queue.db", "sqlite:////home/ann/queue.db"),
        ("sqlite:///C:/queue.db", "sqlite:///C:/queue.db"),
        ("no dsn at all", "no dsn at all"),
    ],
)
def test_only_the_password_is_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@given(words=WORDS, data=st.data(), host=st.sampled_from(("example.org:6379", "[::1]", "")))
def test_no_part_of_a_password_is_ever_shown(
    words: list[str], data: st.DataObject, host: str
) -> None:
    password = words[0]
    for word in words[1:]:
        password += data.draw(MARKS) + word
    text = f"redis://ann:{password}@{host}/0?lease=5"

    shown = redact(text)

    assert_hidden(words, shown)
    assert shown.startswith("redis://ann:***@")
    assert shown.endswith(f"{host}/0?lease=5")


@given(words=WORDS, data=st.data(), port=st.sampled_from(("", "80", "80,h:", "[::1]:80")))
def test_no_part_of_a_password_is_ever_said_to_be_wrong(
    words: list[str], data: st.DataObject, port: str
) -> None:
    password = port
    for word in words:
        password += data.draw(MARKS | st.sampled_from(("?lease=", "/0?replicas=", "/?"))) + word

    assert_hidden(words, what_is_said_of(f"redis://ann:{password}@example.org/0"))


@given(words=WORDS)
def test_no_part_of_a_quoted_password_is_ever_shown(words: list[str]) -> None:
    password = quote("@".join(words), safe="")

    assert_hidden([quote(word) for word in words], redact(f"rediss://:{password}@example.org/0"))


@given(words=WORDS, name=st.sampled_from(("password", "ssl_password", "sentinel_PASSWORD")))
def test_no_password_among_the_options_is_ever_shown(words: list[str], name: str) -> None:
    for mark in "?#=/@:&":
        for address in ("example.org:1", "ann:secret@example.org", "example.org:x", "[", "a@b@c:x"):
            text = f"redis://{address}/0?lease=5&{name}={mark.join(words)}&db=1"
            assert_hidden(words, redact(text))
            assert_hidden(words, what_parse_says(text))


def what_parse_says(text: str) -> str:
    try:
        return parse(text).redacted()
    except InvalidDSN as error:
        return str(error)


def what_is_said_of(text: str) -> str:
    """Return all that a backend would say of a DSN."""
    said = [what_parse_says(text)]
    for read in (
        lambda: parse(text).expect_options("lease"),
        lambda: parse(text).expect_one_host(),
        lambda: parse(text).seconds("lease", 1.0),
        lambda: parse(text).count("replicas", 0),
    ):
        try:
            read()
        except InvalidDSN as error:
            said.append(str(error))
    return "\n".join(said)


@pytest.mark.parametrize(
    "text",
    [
        "redis:/ann:hunter2@host",
        "redis:ann:hunter2@host",
        "redis:/host?password=x@hunter2",
        "redis://host:x?password=x@hunter2",
    ],
)
def test_a_mistyped_dsn_does_not_show_its_password_either(text: str) -> None:
    with pytest.raises(InvalidDSN) as caught:
        parse(text)

    assert "hunter2" not in str(caught.value)


def test_neither_repr_nor_redacted_shows_the_password() -> None:
    dsn = parse("redis://ann:hunter2@host/0?password=hunter2")

    assert "hunter2" not in dsn.redacted()
    assert "hunter2" not in repr(dsn).replace("'password': 'hunter2'", "")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        dsn = parse(text)
    except InvalidDSN:
        return
    assert isinstance(dsn, Dsn)
    assert dsn.scheme == dsn.scheme.lower()


def test_an_option_in_seconds_is_read() -> None:
    dsn = parse("redis://host?lease=2.5")

    assert dsn.seconds("lease", 10.0) == 2.5
    assert dsn.seconds("timeout", 10.0) == 10.0
    assert parse("redis://host?lease=2147483").seconds("lease", 10.0) == 2147483.0


def test_an_option_that_counts_is_read() -> None:
    dsn = parse("redis://host?replicas=2&other=1.5")

    assert dsn.count("replicas", 0) == 2
    assert dsn.count("absent", 7) == 7
    with pytest.raises(InvalidDSN, match=r"option other='1\.5' is not a number from 0"):
        dsn.count("other", 0)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "", "nan", "inf", "1e20", "2147484"])
def test_an_option_that_is_no_time_is_refused(value: str) -> None:
    dsn = parse(f"redis://ann:hunter2@host?lease={value}")

    with pytest.raises(InvalidDSN, match="positive number of seconds up to 2147483") as caught:
        dsn.seconds("lease", 10.0)

    assert f"lease={value!r}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_unknown_option_is_refused_and_the_known_ones_are_listed() -> None:
    dsn = parse("redis://ann:hunter2@host?leese=5")

    with pytest.raises(InvalidDSN, match="unknown option 'leese'; redis knows: lease, prefix") as e:
        dsn.expect_options("lease", "prefix")
    with pytest.raises(InvalidDSN, match="redis knows: none"):
        dsn.expect_options()

    assert "hunter2" not in str(e.value)
    dsn.expect_options("leese")


@pytest.mark.parametrize(
    "text",
    [
        "redis://wolf:80/hunter@h/0",
        "redis://wolf:p@hunter/wolf@h/0",
        "redis://wolf:80?hunter@h/0",
        "redis://wolf:80?hunter=1@h/0",
        "redis://wolf:?timeout=hunter@h/0",
        "redis://wolf:hunter?timeout=x@h/0",
        "redis://wolf:hunter#x@h/0",
        "redis://wolf:hunter@?timeout=hunter@h/0",
        "redis://wolf:80#hunter@h/0",
        "redis://wolf:hunter/x@h/0",
        "redis://wolf/hunter@h/0",
    ],
)
def test_a_raw_mark_in_a_password_is_said_to_need_quoting(text: str) -> None:
    with pytest.raises(InvalidDSN) as error:
        parse(text)

    assert str(error.value) == (
        "redis://***@h/0: there is an @ behind the host; write it as %40, and in a user name or "
        "password also / as %2F, ? as %3F and # as %23"
    )


def test_an_option_s_name_that_ends_like_a_password_s_hides_no_raw_mark() -> None:
    with pytest.raises(InvalidDSN, match="there is an @ behind the host") as error:
        parse("redis://wolf:80?hunter@h/0?ssl_password=wolf")

    assert_hidden(["hunter", "wolf"], str(error.value))


def test_a_dsn_that_cannot_be_read_shows_nothing_before_its_last_at_sign() -> None:
    with pytest.raises(InvalidDSN) as error:
        parse("redis://wolf:hunter@h:x/0?password=cr@et")

    assert str(error.value) == (
        "redis://***@h:x/0?password=***: the port is not a number from 1 to 65535"
    )


@pytest.mark.parametrize("quote_mark", ["'", '"'])
def test_quotes_around_a_dsn_are_to_be_taken_off(quote_mark: str) -> None:
    with pytest.raises(InvalidDSN) as caught:
        parse(f"{quote_mark}redis://ann:hunter2@h/0{quote_mark}")

    shown = f"{quote_mark}redis://***@h/0{quote_mark}"
    assert str(caught.value) == f"{shown} is in quotes; take them off"


def test_a_raw_ampersand_in_a_password_is_said_to_need_quoting() -> None:
    with pytest.raises(InvalidDSN) as error:
        parse("rediss://h/0?ssl_password=wolf&hunter&lease=5")

    assert str(error.value) == (
        "rediss://h/0?ssl_password=***&lease=5: there is an option without a value behind a "
        "password; write & in a password as %26"
    )
    assert parse("redis://h/0?password=wolf&").options == {"password": "wolf"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://ann:wolf@h/0#db", "redis://ann:***@h/0#db"),
        ("redis://h/0?prefix=a#b", "redis://h/0?prefix=a#b"),
        ("redis://h?ssl_password=wolf#hunter", "redis://h?ssl_password=***"),
        ("redis://h#?ssl_password=wolf&hunter", "redis://h#?ssl_password=***"),
        ("sqlite:///a#b", "sqlite:///a#b"),
        ("redis://h/0#", "redis://h/0#"),
    ],
)
def test_a_raw_number_sign_is_said_to_need_quoting(text: str, shown: str) -> None:
    with pytest.raises(InvalidDSN) as error:
        parse(text)

    assert str(error.value) == f"{shown}: nothing is read behind a #; write # as %23"


def test_an_at_sign_in_a_file_or_among_the_options_is_no_password() -> None:
    assert parse("sqlite:////var/a@b.db").path == "//var/a@b.db"
    assert parse("unix://:pw@/run/a@b.sock").path == "/run/a@b.sock"
    assert parse("redis://h/0?ssl_ca_certs=/a%40b").options == {"ssl_ca_certs": "/a@b"}
    assert parse("redis://h/0?ssl_password=a@b").options == {"ssl_password": "a@b"}
