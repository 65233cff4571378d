"""Task statuses and the default queue's name.

The numbers are part of the public contract: programs store and compare them. Your own statuses
start above CANCELED.
"""

from typing import Final

WAITING: Final = 0
SUCCESS: Final = 1
FAILED: Final = 2
DELAYED: Final = 3
RETRYING: Final = 4
CANCELED: Final = 5

STATUS_NAMES: Final = ("waiting", "success", "failed", "delayed", "retrying", "canceled")

#: The default queue. It is one queue, not "every queue".
ALL: Final = "all"
