"""A backend of another package: an SQLite queue that writes down who pushed what."""

import logging

from alligator.backends import sqlite_backend

log = logging.getLogger("audit")


class Client(sqlite_backend.Client):
    """Takes audited:///queue.db, or audited:////path/to/queue.db."""

    def __init__(self, conn_string):
        super().__init__(conn_string.replace("audited://", "sqlite://", 1))

    def push_many(self, queue_name, entries):
        receipts = super().push_many(queue_name, entries)
        for receipt in receipts:
            log.info("%s pushed %s to %s", self.worker, receipt.task_id, queue_name)
        return receipts
