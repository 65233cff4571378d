"""Every snippet of the README and of docs/ runs here, page by page.

A page's snippets run in their order, in an empty folder of the page's own. The rules, by the word
at the fence:

`python`
    One process runs all of them, in one namespace, so what one defines the next can use.
`sh`, `bash`
    bash with `set -euo pipefail`, which must succeed. It begins in the folder and with the
    variables that the one before it ended with. What is printed is what a terminal of 100 columns
    would show.
`console`
    Lines that begin with `$ ` are typed, one after another, `> ` goes on with one; the lines below
    are what is shown. A command may fail if something is shown below it.
`crontab`
    The command of each line is run by sh, with cron's short path.
`toml`, `yaml`, `json`, `ini`
    Are parsed.
`text`
    After a `python` or `sh` snippet, with one paragraph between them at most, it is what that
    printed, and so is `json`. Anywhere else it is only text.

An unknown word, and code that is indented but in no fence, fails the page. Further:

- A snippet whose first line is `# NAME.EXT`, or with `:caption: NAME.EXT` in a `{code-block}`, is
  written under that name, into the page's folder. A Python file that no other snippet names, by
  its file or its module, is imported at the end.
- `GATOR_DSN` is set, to queue.db in the folder, on pages that tell their readers to export it.
  `localhost:6379` and `localhost:11300` become the addresses of a Redis and a beanstalkd of the
  page's own, any other `localhost:PORT` a free port; `/srv/app` becomes the folder, which has the
  environment's programs in `.venv/bin`. A page that speaks of `docs/examples` has a copy of it
  there, and one that speaks of a checkout a copy of all of this repository.
- A page that runs `pip install` has a `.venv` that it may change, or makes it itself. Nothing is
  fetched: pip gets wheels of what is installed here, and apt-get, which runs as it is where there
  is one, succeeds with packages that are installed already. pytest runs one of the tests that it
  is asked for.
- A worker that would go on (no `--burst`, no `max_tasks`) gets Ctrl-C once no task waits or runs on
  the brokers that its snippet names, or else on any of its page's.
- In what is compared, ids, times, durations, process ids, numbers with a point, and the width of
  blanks do not count; `...` stands for anything within a line, and alone on one for any lines.

What cannot run here is no snippet, but a sentence or a table. Two comments, which readers do not
see, stand before a fence:

- `<!-- in another terminal -->` for commands that go on while the page does. The page goes on when
  something listens at each `localhost:PORT` that they name; at its end they get Ctrl-C.
- `<!-- hidden` ... `-->`, around fences, for what a page needs and its reader does not;
  `<!-- hidden, in another terminal` ... `-->`, around one, is both.

`python -m tests.docs` says how many snippets there are of each kind.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages import ROOT, PageError, pages
from .running import run


@pytest.mark.parametrize("page", pages())
def test_the_snippets_of_a_page_do_what_it_says(
    page: str, tmp_path: Path, shared_folder: Path
) -> None:
    wrong = None
    try:
        run(page, (ROOT / page).read_text(), tmp_path, shared_folder)
    except PageError as error:
        wrong = str(error)
    if wrong:
        pytest.fail(wrong, pytrace=False)
