-- What version 2 adds to a file of version 1, and sqlite_file.py to a new one: pausing, the list of
-- workers, and counts of what has ended.

PRAGMA user_version = 2;

CREATE TABLE paused (
    queue  TEXT PRIMARY KEY                 -- nothing is reserved from it
) WITHOUT ROWID;

-- What roster.dump_worker wrote, and the Unix time of the beat.
CREATE TABLE workers (
    name     TEXT PRIMARY KEY,
    beat_at  REAL NOT NULL,
    said     TEXT NOT NULL
) WITHOUT ROWID;

-- Tasks acked, and failed for good, since a queue's first push.
CREATE TABLE ended (
    queue   TEXT    PRIMARY KEY,
    done    INTEGER NOT NULL,
    failed  INTEGER NOT NULL
) WITHOUT ROWID;
