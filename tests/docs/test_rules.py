"""What the snippet tests pass over, and what they do not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .pages import Kind, PageError, snippets
from .running import run

GOOD = """\
# A page

<!-- hidden
```python
# greetings.py
def hello(name):
    print(f"Hello, {name}")
```
-->

```sh
mkdir sub
cd sub
export NAME=Ada
```

```sh
[ "$(basename "$PWD")" = sub ]
cd ..
gator push greetings.hello --args "[\\"$NAME\\"]"
gator worker
```

It prints:

```text
01a20c53-be90-738a-b65e-ba8b38692d78
2026-11-24T06:30:02.113Z INFO    [811] consuming all on SQLite 3.40.1, processes: 1
...
Hello, Ada
...
... INFO    [811] stopped
```

```python
from alligator import Gator, Worker
from greetings import hello

gator = Gator("redis://localhost:6379/0")
gator.task(hello, "Grace")
Worker(gator).run_forever()
```

```text
Alligator Worker (#12) starting, consuming all.
Hello, Grace
None
Alligator Worker (#12) stopping after 1 tasks.
```

```console
$ gator ping --dsn redis://localhost:6379/0 \\
> --fields dsn
dsn: redis://localhost:6379/0
$ gator show nosuch
Error: ...nosuch...
```

<!-- in another terminal -->
```console
$ python -m http.server --bind 127.0.0.1 0
```

```toml
a = 1
```

```text
A drawing.
```

<!-- hidden, in another terminal
```sh
python -m aiosmtpd -n -l localhost:8025 -c aiosmtpd.handlers.Sink
```
-->

```python
import smtplib

smtplib.SMTP("localhost:8025").quit()
```
"""


def test_a_page_that_tells_the_truth_passes(tmp_path: Path) -> None:
    run("good.md", GOOD, tmp_path)


def test_each_snippet_has_its_kind_and_its_line() -> None:
    found = snippets("good.md", GOOD)
    assert [one.kind for one in found] == [
        Kind.FILE,
        Kind.SHELL,
        Kind.SHELL,
        Kind.OUTPUT,
        Kind.PYTHON,
        Kind.OUTPUT,
        Kind.CONSOLE,
        Kind.CONSOLE,
        Kind.DATA,
        Kind.TEXT,
        Kind.SHELL,
        Kind.PYTHON,
    ]
    lines = GOOD.splitlines()
    for one in found:
        assert lines[one.line - 1] == one.code.splitlines()[0], one.place


def fence(language: str, *code: str) -> str:
    return "\n".join([f"```{language}", *code, "```", ""])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (fence("pyhton", "x = 1"), "page.md:2: nothing is known about the language 'pyhton'"),
        (fence("", "x = 1"), "page.md:2: nothing is known about the language ''"),
        (fence("{program-output} ls"), "nothing is known about the language"),
        ("Do this:\n\n    gator worker\n", "page.md:3: indented code"),
        ("<!-- in another terminal -->\n\nText.\n", "page.md:1: no fence follows <!-- in another"),
        ("<!-- in another terminal -->\n", "page.md:1: no fence follows"),
        ("<!-- in another terminal -->\n" + fence("python", "1"), "only commands can run in"),
        (fence("python", "x = 1", "y = z"), "page.md:2: Traceback"),
        (fence("python", "x = 1", "y = z"), 'File "page.md", line 3, in <module>'),
        (fence("python", "raise SystemExit(0)"), "SystemExit"),
        (fence("python", "import os", "os._exit(0)"), "Python has ended"),
        (fence("sh", "false", "true"), "page.md:2: exit code 1"),
        (fence("sh", "false | true"), "page.md:2: exit code 1"),
        (fence("sh", "echo $NOSUCH"), "NOSUCH: unbound variable"),
        (fence("sh", "sudo true"), "sudo would change this machine"),
        (fence("sh", "pip install nosuch"), "No matching distribution found for nosuch"),
        pytest.param(
            fence("sh", "apt-get install -y nosuch"),
            "Unable to locate package nosuch",
            marks=pytest.mark.skipif(not shutil.which("apt-get"), reason="this is no Debian"),
        ),
        (fence("sh", "# -m venv .venv", "pip install click"), "the page has to make or to enter"),
        (fence("sh", "echo 1") + "\n" + fence("text", "2"), "page.md:6: something else is printed"),
        (fence("python", "print(1)") + "\nThat is:\n\n" + fence("text", "2"), "page.md:8: some"),
        (fence("console", "$ echo 1", "2"), "page.md:2: something else is printed"),
        (fence("console", "$ false"), "page.md:2: exit code 1 of false"),
        (fence("console", "$ false", "oh no"), "something else is printed"),
        (fence("console", "echo 1"), "a console begins with '$ '"),
        (fence("toml", "a = b"), "page.md:2: this is no toml"),
        (fence("yaml", "a: [b"), "page.md:2: this is no yaml"),
        (fence("json", "{'a': 1}"), "page.md:2: this is no json"),
        (fence("ini", "a = 1"), "page.md:2: this is no ini"),
        (fence("crontab", "*/5 * * * gator ping"), "is not five fields and a command"),
        (fence("crontab", "* * * * * date +%F"), "cron takes the %"),
        (fence("crontab", "* * * * * gator ping"), "page.md:2: exit code 127"),
        (fence("python", "# app/jobs.py", "import nosuch"), "page.md:2: import app.jobs fails"),
        (fence("python", "# ../jobs.py", "x = 1"), "is not in the page's folder"),
        (
            "<!-- in another terminal -->\n" + fence("sh", "cat nosuch localhost:80"),
            "it ended at once",
        ),
        ("```{note}\n~~~sh\nfalse\n~~~\n```\n", "page.md:3: exit code 1"),
        ("1. First\n\n   ```sh\n   false\n   ```\n", "page.md:4: exit code 1"),
        ("<!-- hidden\n```sh\nfalse\n```\n-->\n", "page.md:3: exit code 1"),
    ],
)
def test_a_page_that_does_not_fails_and_says_where(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PageError) as raised:
        run("page.md", text, tmp_path)
    assert message in str(raised.value)


def test_a_server_in_another_terminal_is_waited_for_and_stopped(tmp_path: Path) -> None:
    smtp = "python -m aiosmtpd -n -l localhost:8025 -c aiosmtpd.handlers.Sink"
    talk = "import smtplib; smtplib.SMTP('localhost:8025').quit()"
    page = f"<!-- in another terminal -->\n{fence('console', f'$ {smtp}')}\n{fence('python', talk)}"
    run("page.md", page, tmp_path)
