-- The store's own name, minted here and now, for those who follow it; and the primary it follows itself, until it takes
-- records of its own.

CREATE TABLE store_id (id TEXT NOT NULL) STRICT;
INSERT INTO store_id (id) VALUES (lower(hex(randomblob(16))));

CREATE TABLE following (
    single INTEGER PRIMARY KEY CHECK (single = 1),
    primary_id TEXT NOT NULL,
    cursor TEXT NOT NULL
) STRICT;
