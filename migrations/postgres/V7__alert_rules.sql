-- The alert rules, all in one row, and the servers that probe.

CREATE TABLE alert_rules (
    id text COLLATE "C" NOT NULL,
    document text COLLATE "C" NOT NULL,
    updated bigint NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX alert_rules_rev ON alert_rules (rev);

CREATE TABLE prober (
    id text COLLATE "C" NOT NULL,
    seen bigint NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX prober_rev ON prober (rev);
