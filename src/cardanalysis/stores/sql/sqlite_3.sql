-- One number as the key of an output: with two columns each row stood in an index as well.
CREATE TABLE outputs_3 (
    number INTEGER PRIMARY KEY,         -- the item's number * 16777216 + the place among its outputs, from 0
    kind TEXT NOT NULL,
    data TEXT NOT NULL                  -- JSON
) STRICT;

INSERT INTO outputs_3 SELECT (item << 24) + "index", kind, data FROM outputs ORDER BY item, "index";

DROP TABLE outputs;
ALTER TABLE outputs_3 RENAME TO outputs;

-- What the reference to the item did before; also for items that go with their run.
CREATE TRIGGER outputs_of_deleted AFTER DELETE ON items
    BEGIN DELETE FROM outputs WHERE number BETWEEN old.number << 24 AND (old.number << 24) + 16777215; END;
