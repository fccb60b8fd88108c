-- The targets that servers probe by themselves, and all targets that have pings with their last state.

CREATE TABLE ping_target (
    id text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    "interval" bigint NOT NULL,
    timeout bigint NOT NULL,
    enabled bigint NOT NULL,
    deleted bigint NOT NULL,
    updated bigint NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX ping_target_rev ON ping_target (rev);

CREATE TABLE ping_seen (
    target text COLLATE "C" NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    last_answered bigint,
    last_lost bigint,
    rev bigint NOT NULL,
    PRIMARY KEY (target)
);
CREATE INDEX ping_seen_rev ON ping_seen (rev);
