-- What is done of items that are still in work; deleted when an item is completed.
CREATE TABLE checkpoints (
    item INTEGER NOT NULL REFERENCES items (number) ON DELETE CASCADE,
    key TEXT NOT NULL,
    data TEXT NOT NULL,                 -- JSON
    PRIMARY KEY (item, key)
) STRICT;
