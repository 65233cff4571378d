"""A worker of our own: python manage.py run_tasks."""

from alligator import Worker
from django.core.management.base import BaseCommand

from posts.queue import gator


class Command(BaseCommand):
    help = "Run tasks until Ctrl-C."

    def handle(self, **options):
        Worker(gator).run_forever()
