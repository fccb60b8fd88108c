-- The alert rules, all in one row, and the servers that probe.

CREATE TABLE alert_rules (
    rowid INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    document TEXT NOT NULL,
    updated INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (id)
) STRICT;
CREATE INDEX alert_rules_by_rev ON alert_rules (rev);

CREATE TABLE prober (
    rowid INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    seen INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (id)
) STRICT;
CREATE INDEX prober_by_rev ON prober (rev);
CREATE INDEX prober_by_time ON prober (seen, id);
