"""Logging for the arq worker: at its default it writes two lines a task."""

QUIET = {"version": 1, "disable_existing_loggers": False, "root": {"level": "ERROR"}}
