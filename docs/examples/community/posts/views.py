"""The view as it is: it queues the mails, and answers."""

from functools import partial

from alligator.retries import exponential
from django.conf import settings
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404

from posts.models import Member, Post
from posts.queue import gator
from posts.tasks import count_notice, refresh_connections, report_failure, send_notice


def new_post(request):
    author = get_object_or_404(Member, name=request.POST["author"])
    post = Post.objects.create(author=author, message=request.POST["message"])
    transaction.on_commit(partial(notify_followers, post))
    return HttpResponse(f"post {post.pk}\n", status=201)


def notify_followers(post):
    with gator.options(
        is_async=settings.GATOR_ASYNC,
        retries=8,
        backoff=exponential(1, cap=600),
        on_start=refresh_connections,
        on_success=count_notice,
        on_error=report_failure,
    ) as opts:
        for member in post.author.followers.all():
            opts.task(send_notice, post.pk, member.pk)


def show_post(request, post_id):
    post = get_object_or_404(Post, pk=post_id)
    followers = post.author.followers.count()
    return HttpResponse(f"{post.author.name}: {post.message} ({post.mailed} of {followers} told)\n")
