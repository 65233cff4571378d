"""What a new post does, with its tasks run at once; python manage.py test."""

from django.core import mail
from django.test import TestCase, override_settings

from posts.models import Member, Post
from posts.tasks import send_notice


class SendNotice(TestCase):
    """A task is a plain function: call it."""

    fixtures = ("members",)

    def test_it_mails_one_member(self):
        post = Post.objects.create(author=Member.objects.get(name="ada"), message="Hello")
        send_notice(post.pk, Member.objects.get(name="grace").pk)

        (message,) = mail.outbox
        self.assertEqual(message.to, ["grace@example.com"])
        self.assertEqual(message.subject, "ada wrote")


@override_settings(GATOR_ASYNC=False)
class NewPost(TestCase):
    """The whole view, hooks and retries included."""

    fixtures = ("members",)

    def test_each_follower_is_told_once(self):
        with self.captureOnCommitCallbacks(execute=True):
            response = self.post(author="ada")

        self.assertEqual(response.status_code, 201)
        told = sorted(message.to[0] for message in mail.outbox)
        self.assertEqual(told, ["edsger@example.com", "grace@example.com"])
        self.assertEqual(Post.objects.get().mailed, 2)

    def test_a_post_that_is_not_saved_tells_nobody(self):
        with self.captureOnCommitCallbacks() as callbacks:
            response = self.post(author="nobody")

        self.assertEqual(response.status_code, 404)
        self.assertEqual(callbacks, [])

    def post(self, author):
        return self.client.post("/posts/", {"author": author, "message": "Hello"})
