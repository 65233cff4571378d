"""The tutorial's project does what the tutorial says: real Django, real mail, real workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from alligator import Gator

from ..servers import eventually
from .conftest import MailServer, Project

POSTS = 3
FOLLOWERS = ("edsger@example.com", "grace@example.com")
EACH_TOLD_ONCE = sorted((follower, "ada wrote") for follower in FOLLOWERS)


def test_the_view_as_it_was_answers_when_the_mails_are_out(
    project: Project, mail: MailServer
) -> None:
    mail.open.clear()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(project.post, "/before/")
        eventually(lambda: mail.waiting, "no mail is sent")
        assert not answer.done()
        mail.open.set()
        assert answer.result(60) == 201

    assert sorted(mail.received) == EACH_TOLD_ONCE


def test_the_view_as_it_was_fails_with_the_mail_server(project: Project, mail: MailServer) -> None:
    mail.stop()
    assert project.post("/before/") == 500


def test_the_view_as_it_is_answers_before_a_mail_is_out(project: Project, mail: MailServer) -> None:
    mail.open.clear()
    project.start("gator", "worker")

    assert project.post("/posts/") == 201
    eventually(lambda: mail.waiting, "no mail is sent")
    assert mail.received == []
    mail.open.set()
    eventually(lambda: len(mail.received) == len(FOLLOWERS), "not every mail arrives")
    assert sorted(mail.received) == EACH_TOLD_ONCE


@pytest.fixture(params=["gator worker", "latergator.py", "manage.py run_tasks"])
def worked(
    request: pytest.FixtureRequest, tmp_path: Path, mail: MailServer
) -> Iterator[tuple[Project, list[str]]]:
    """The project on one of the brokers, and the command of one of its workers."""
    brokers = {
        "gator worker": "sqlite",
        "latergator.py": "redis",
        "manage.py run_tasks": "beanstalk",
    }
    dsn = request.getfixturevalue(f"{brokers[request.param]}_dsn")
    commands = {
        "gator worker": ["gator", "worker"],
        "latergator.py": ["latergator.py", dsn],
        "manage.py run_tasks": ["python", "manage.py", "run_tasks"],
    }
    project = Project(tmp_path, dsn, mail)
    try:
        project.serve()
        yield project, commands[request.param]
    finally:
        project.end()


def test_each_follower_gets_exactly_one_mail_a_post(
    worked: tuple[Project, list[str]], mail: MailServer
) -> None:
    project, worker = worked
    with Gator(project.dsn) as gator:
        assert [project.post("/posts/") for _ in range(POSTS)] == [201] * POSTS
        assert gator.len() == POSTS * len(FOLLOWERS)
        assert mail.received == []

        project.start(*worker)
        eventually(lambda: _settled(gator), "tasks are left")

    assert sorted(mail.received) == sorted(EACH_TOLD_ONCE * POSTS)
    assert project.get("/posts/1/") == "ada: Hello (2 of 2 told)\n"


def test_mail_arrives_once_the_mail_server_is_back(project: Project, mail: MailServer) -> None:
    mail.stop()
    project.start("gator", "worker")
    assert project.post("/posts/") == 201
    eventually(
        lambda: [task["attempts"] > 0 for task in _tasks(project)] == [True, True],
        "the tasks are not tried",
    )

    mail.start()
    eventually(lambda: not _tasks(project), "the tasks are not done", timeout=60)

    assert sorted(mail.received) == EACH_TOLD_ONCE
    assert project.get("/posts/1/") == "ada: Hello (2 of 2 told)\n"


def test_an_address_that_is_refused_fails_at_once_and_can_be_sent_to_once_it_is_mended(
    project: Project, mail: MailServer
) -> None:
    mail.refused.add("grace@example.com")
    project.start("gator", "worker")
    project.post("/posts/")
    eventually(lambda: _states(project) == ["failed"], "nothing fails, or is left")

    (failed,) = _tasks(project)
    assert failed["attempts"] == 1
    assert failed["error"] == "GiveUp: grace@example.com is refused: no such mailbox"
    assert "notice (1, 2) will not be sent: grace@example.com is refused" in project.log.read_text()
    assert mail.received == [("edsger@example.com", "ada wrote")]

    mail.refused.clear()
    project.run("gator", "retry", failed["id"])
    eventually(lambda: not _tasks(project), "the task is not done")
    assert sorted(mail.received) == EACH_TOLD_ONCE


@pytest.mark.parametrize(("then", "queued"), [("raise Undo", 0), ("pass", len(FOLLOWERS))])
def test_nothing_is_queued_for_a_post_that_is_not_saved(
    project: Project, then: str, queued: int
) -> None:
    code = f"""
from django.db import transaction
from django.test import RequestFactory
from posts.views import new_post
class Undo(Exception): pass
try:
    with transaction.atomic():
        new_post(RequestFactory().post("/posts/", {{"author": "ada", "message": "Hello"}}))
        {then}
except Undo:
    pass
"""
    project.run("python", "manage.py", "shell", "-c", code)
    assert len(_tasks(project)) == queued


def test_the_projects_own_tests_pass(project: Project) -> None:
    project.run("python", "manage.py", "test")
    assert _tasks(project) == []


def _settled(gator: Gator) -> bool:
    return not any(
        (counts := gator.client.counts(queue)).waiting or counts.running
        for queue in gator.client.queues()
    )


def _tasks(project: Project) -> list[dict[str, Any]]:
    shown = project.run("gator", "peek", "--limit", "0", "--json")
    return [json.loads(line) for line in shown.splitlines()]


def _states(project: Project) -> list[str]:
    return [task["state"] for task in _tasks(project)]
