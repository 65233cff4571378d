"""What `rq worker -c rq_settings` reads."""

import os

REDIS_URL = os.environ["BENCH_BROKER"]
