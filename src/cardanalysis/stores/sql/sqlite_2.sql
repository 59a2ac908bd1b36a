-- Whole numbers as keys: an item's id is long, and stood in every row of its outputs and in every index.
CREATE TABLE runs_2 (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, so that nothing is added to a run of later
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    sequence INTEGER NOT NULL,          -- of the newest event
    fingerprint TEXT NOT NULL,
    asked TEXT NOT NULL,                -- JSON
    error TEXT,
    requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    cost_nano INTEGER,                  -- billionths of a US dollar; NULL: unknown
    created_at REAL NOT NULL,           -- seconds since 1970, like all times here
    started_at REAL,
    finished_at REAL,
    heartbeat_at REAL
) STRICT;

CREATE TABLE counters_2 (
    run INTEGER NOT NULL REFERENCES runs_2 (number) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE items_2 (
    number INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs_2 (number) ON DELETE CASCADE,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    size INTEGER NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    token INTEGER NOT NULL,
    owner TEXT,
    lease_until REAL,
    error_code TEXT,
    error_message TEXT,
    requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    cost_nano INTEGER,
    created_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    UNIQUE (run, id)
) STRICT;

CREATE TABLE outputs_2 (
    item INTEGER NOT NULL REFERENCES items_2 (number) ON DELETE CASCADE,
    "index" INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,                 -- JSON
    PRIMARY KEY (item, "index")
) STRICT;

CREATE TABLE events_2 (
    run INTEGER NOT NULL REFERENCES runs_2 (number) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    type TEXT NOT NULL,
    item_id TEXT,
    time REAL NOT NULL,
    data TEXT NOT NULL,                 -- JSON
    PRIMARY KEY (run, sequence)
) STRICT, WITHOUT ROWID;

INSERT INTO runs_2
    (id, kind, status, version, sequence, fingerprint, asked, error, requests, input_tokens, output_tokens,
     cache_read_tokens, cache_write_tokens, cost_nano, created_at, started_at, finished_at, heartbeat_at)
    SELECT id, kind, status, version, sequence, fingerprint, asked, error, requests, input_tokens, output_tokens,
        cache_read_tokens, cache_write_tokens, cost_nano, created_at, started_at, finished_at, started_at
    FROM runs ORDER BY created_at, id;

INSERT INTO counters_2
    SELECT runs_2.number, counters.name, counters.value FROM counters JOIN runs_2 ON runs_2.id = counters.run_id;

INSERT INTO items_2
    (run, id, kind, name, position, size, status, version, attempts, token, owner, lease_until, error_code,
     error_message, requests, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_nano,
     created_at, started_at, finished_at)
    SELECT runs_2.number, items.id, items.kind, name, position, size, items.status, items.version, attempts, token,
        owner, lease_until, error_code, error_message, items.requests, items.input_tokens, items.output_tokens,
        items.cache_read_tokens, items.cache_write_tokens, items.cost_nano, items.created_at, items.started_at,
        items.finished_at
    FROM items JOIN runs_2 ON runs_2.id = items.run_id ORDER BY runs_2.number, position, items.id;

INSERT INTO outputs_2
    SELECT items_2.number, outputs."index", outputs.kind, outputs.data
    FROM outputs JOIN runs_2 ON runs_2.id = outputs.run_id
        JOIN items_2 ON items_2.run = runs_2.number AND items_2.id = outputs.item_id
    ORDER BY items_2.number, outputs."index";

INSERT INTO events_2
    SELECT runs_2.number, events.sequence, type, item_id, time, data
    FROM events JOIN runs_2 ON runs_2.id = events.run_id ORDER BY runs_2.number, events.sequence;

DROP TABLE events;
DROP TABLE outputs;
DROP TABLE items;
DROP TABLE counters;
DROP TABLE runs;
ALTER TABLE runs_2 RENAME TO runs;
ALTER TABLE counters_2 RENAME TO counters;
ALTER TABLE items_2 RENAME TO items;
ALTER TABLE outputs_2 RENAME TO outputs;
ALTER TABLE events_2 RENAME TO events;

CREATE INDEX runs_by_age ON runs (created_at DESC, id);
CREATE INDEX runs_by_question ON runs (kind, fingerprint);
CREATE INDEX items_in_order ON items (run, position, id);

-- What waits, and what is in work: each item is in one of them at most, and in none when it is done.
CREATE INDEX items_pending ON items (run, position, id) WHERE status = 'pending';
CREATE INDEX items_in_work ON items (run, owner) WHERE status IN ('loading', 'analyzing', 'saving');
