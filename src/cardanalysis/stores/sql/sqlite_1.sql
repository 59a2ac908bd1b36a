CREATE TABLE runs (
    id TEXT PRIMARY KEY,
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
    finished_at REAL
) STRICT;

CREATE TABLE counters (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (run_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE items (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
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
    PRIMARY KEY (run_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX items_in_order ON items (run_id, position, id);

-- Only what can be claimed or renewed: it stays small however many items are done.
CREATE INDEX items_unfinished ON items (run_id, position, id)
    WHERE status IN ('pending', 'loading', 'analyzing', 'saving');

CREATE TABLE outputs (
    run_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    "index" INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,                 -- JSON
    PRIMARY KEY (run_id, item_id, "index"),
    FOREIGN KEY (run_id, item_id) REFERENCES items (run_id, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE events (
    run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    type TEXT NOT NULL,
    item_id TEXT,
    time REAL NOT NULL,
    data TEXT NOT NULL,                 -- JSON
    PRIMARY KEY (run_id, sequence)
) STRICT, WITHOUT ROWID;
