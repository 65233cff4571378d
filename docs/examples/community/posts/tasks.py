"""What the worker runs: the slow part of a new post, and the hooks around it."""

import logging
from smtplib import SMTPRecipientsRefused

import django
from alligator.exceptions import GiveUp
from django.core.mail import send_mail
from django.db import close_old_connections
from django.db.models import F

django.setup()  # a worker begins here; in the web server it was done already

from posts.models import Member, Post  # noqa: E402 - models need the line above

log = logging.getLogger(__name__)


def send_notice(post_id, member_id):
    post = Post.objects.get(pk=post_id)
    member = Member.objects.get(pk=member_id)
    try:
        send_mail(f"{post.author.name} wrote", post.message, None, [member.email])
    except SMTPRecipientsRefused as error:
        code, reason = error.recipients[member.email]
        if code < 500:
            raise  # the server wants to be asked again later
        raise GiveUp(f"{member.email} is refused: {reason.decode()}") from error


def refresh_connections(task):
    """on_start: a worker lives for days; the database's server may not have."""
    close_old_connections()


def count_notice(task, result):
    """on_success: the post's page shows how many have been told."""
    post_id, _ = task.func_args
    Post.objects.filter(pk=post_id).update(mailed=F("mailed") + 1)


def report_failure(task, error):
    """on_error: called at each failed try, so tell people about the last one only."""
    if task.retries == 0 or isinstance(error, GiveUp):
        log.error("notice %s will not be sent: %s", task.func_args, error)
