-- The file of one Alligator broker, as version 1 had it; sqlite_schema_2.sql adds the rest.
--
-- state  0 waiting, 1 delayed, 2 retrying, 3 blocked, 4 running, 5 failed
-- seq    the place in line; a retry, a failure and a requeue take a new one at the tail
-- rank   what a state is ordered by before seq: waiting -priority, delayed and retrying the due
--        time, running the start, failed the failure, blocked 0
-- Times are Unix times in seconds.

PRAGMA application_id = 1097623911;  -- "Alig"
PRAGMA user_version = 1;

CREATE TABLE tasks (
    seq         INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    queue       TEXT    NOT NULL,
    state       INTEGER NOT NULL,
    rank        REAL    NOT NULL,
    priority    INTEGER NOT NULL,
    due         REAL,                        -- not before this time
    attempts    INTEGER NOT NULL DEFAULT 0,
    deliveries  INTEGER NOT NULL DEFAULT 0,
    pushed_at   REAL    NOT NULL,
    lease       INTEGER,                     -- while running: the fence, a number used once
    holder      TEXT,                        -- while running: the file whose lock is its life
    worker      TEXT,                        -- while running: who to show
    failures    TEXT,                        -- JSON, as base.dump_failures writes it
    unique_key  TEXT,
    body        BLOB    NOT NULL
);

-- Serves reserve, peek and recovery. Every index ends with the row's seq by itself.
CREATE INDEX tasks_in_order ON tasks (state, queue, rank);
CREATE INDEX tasks_by_unique_key ON tasks (unique_key) WHERE unique_key IS NOT NULL;

-- One row for each task that a blocked task still waits for.
CREATE TABLE dependencies (
    task_id     TEXT NOT NULL,
    depends_on  TEXT NOT NULL
);
CREATE INDEX dependencies_by_task ON dependencies (task_id);
CREATE INDEX dependents ON dependencies (depends_on);

-- Counting a million rows takes 70 ms, so each transaction keeps the sums; no row means 0.
CREATE TABLE totals (
    queue   TEXT    NOT NULL,
    state   INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    PRIMARY KEY (queue, state)
) WITHOUT ROWID;

CREATE TABLE results (
    task_id  TEXT PRIMARY KEY,
    result   BLOB NOT NULL,
    expires  REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX results_by_expiry ON results (expires);
