"""The least that Django needs, its mail server and the queue."""

import os
from pathlib import Path

HERE = Path(__file__).parent

DEBUG = True
SECRET_KEY = "good enough for an example"
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["posts"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": HERE / "db.sqlite3",
        # A view that fails leaves nothing behind.
        "ATOMIC_REQUESTS": True,
        # Web server and worker write to one file: let them wait for each other.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}

EMAIL_HOST, _, EMAIL_PORT = os.environ.get("SMTP_SERVER", "localhost:8025").partition(":")
DEFAULT_FROM_EMAIL = "community@example.com"

# The variable that gator goes by, so that it looks where we push.
GATOR_DSN = os.environ["GATOR_DSN"]
# False runs tasks at once, within the request: for tests.
GATOR_ASYNC = True
