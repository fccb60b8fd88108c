-- The targets that servers probe by themselves, and all targets that have pings with their last state.

CREATE TABLE ping_target (
    rowid INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    target TEXT NOT NULL,
    interval INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (id)
) STRICT;
CREATE INDEX ping_target_by_rev ON ping_target (rev);

CREATE TABLE ping_seen (
    rowid INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    last_answered INTEGER,
    last_lost INTEGER,
    rev INTEGER NOT NULL,
    UNIQUE (target)
) STRICT;
CREATE INDEX ping_seen_by_rev ON ping_seen (rev);
