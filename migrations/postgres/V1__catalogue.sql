-- The catalogue: one table per record type of tallybook-core, in the order of its columns, and the revision that changed
-- a row last. Text compares bytewise in every locale. Times are nanoseconds since the Unix epoch; views show timestamptz.

-- One row: the revision of the last commit. Every commit updates it first, so it is the lock that puts commits in order
-- and lets no revision become visible before a lower one.
CREATE TABLE revision (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    rev bigint NOT NULL
);
INSERT INTO revision (rev) VALUES (0);

-- The last batch of each source; seq is unsigned with its sign bit turned round, which keeps the order.
CREATE TABLE batch_source (
    source uuid PRIMARY KEY,
    seq bigint NOT NULL,
    at timestamptz NOT NULL
);

CREATE TABLE service (
    name text COLLATE "C" NOT NULL,
    metric_points bigint NOT NULL,
    spans bigint NOT NULL,
    log_records bigint NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE metric (
    service text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    metric_type text COLLATE "C" NOT NULL,
    unit text COLLATE "C",
    description text COLLATE "C",
    temporality text COLLATE "C",
    monotonic bigint,
    bounds json,
    quantiles json,
    scope_name text COLLATE "C",
    scope_version text COLLATE "C",
    sample_count bigint NOT NULL,
    active_series bigint NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    series bytea NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (service, name)
);

CREATE TABLE span (
    service text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    pattern text COLLATE "C" NOT NULL,
    scope_name text COLLATE "C",
    scope_version text COLLATE "C",
    sample_count bigint NOT NULL,
    kind_unspecified bigint NOT NULL,
    kind_internal bigint NOT NULL,
    kind_server bigint NOT NULL,
    kind_client bigint NOT NULL,
    kind_producer bigint NOT NULL,
    kind_consumer bigint NOT NULL,
    status_unset bigint NOT NULL,
    status_ok bigint NOT NULL,
    status_error bigint NOT NULL,
    events bigint NOT NULL,
    links bigint NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (service, name)
);

CREATE TABLE span_pattern (
    service text COLLATE "C" NOT NULL,
    pattern text COLLATE "C" NOT NULL,
    example text COLLATE "C" NOT NULL,
    sample_count bigint NOT NULL,
    name_count bigint NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    names bytea NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (service, pattern)
);

CREATE TABLE "log" (
    service text COLLATE "C" NOT NULL,
    severity text COLLATE "C" NOT NULL,
    sample_count bigint NOT NULL,
    body_string bigint NOT NULL,
    body_kvlist bigint NOT NULL,
    body_array bigint NOT NULL,
    body_other bigint NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (service, severity)
);

CREATE TABLE "event" (
    signal text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    event text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (signal, service, name, event)
);

CREATE TABLE attribute (
    key text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    metric_count bigint NOT NULL,
    span_count bigint NOT NULL,
    log_count bigint NOT NULL,
    cardinality bigint NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    distinct_values bytea NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (key, scope)
);

CREATE TABLE attribute_key (
    signal text COLLATE "C" NOT NULL,
    service text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    cardinality bigint NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    distinct_values bytea NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (signal, service, name, scope, key)
);

CREATE TABLE template (
    service text COLLATE "C" NOT NULL,
    severity text COLLATE "C" NOT NULL,
    template text COLLATE "C" NOT NULL,
    example text COLLATE "C",
    count bigint NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (service, severity, template)
);

CREATE TABLE dead_letter (
    id text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    target text COLLATE "C" NOT NULL,
    error text COLLATE "C" NOT NULL,
    record text COLLATE "C" NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (id)
);

-- The time-bucketed tables: hypertables where TimescaleDB is there, else partitions by day that a commit makes when it
-- first needs them.
DO $$
DECLARE
    bucketed text;
    timescale boolean := EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
    EXECUTE format($table$
        CREATE TABLE metric_bucket (
            "window" text COLLATE "C" NOT NULL,
            "start" bigint NOT NULL,
            service text COLLATE "C" NOT NULL,
            name text COLLATE "C" NOT NULL,
            sample_count bigint NOT NULL,
            active_series bigint NOT NULL,
            series bytea NOT NULL,
            rev bigint NOT NULL,
            PRIMARY KEY ("window", "start", service, name)
        ) %s
    $table$, CASE WHEN timescale THEN '' ELSE 'PARTITION BY RANGE (start)' END);
    EXECUTE format($table$
        CREATE TABLE attribute_key_bucket (
            "window" text COLLATE "C" NOT NULL,
            "start" bigint NOT NULL,
            signal text COLLATE "C" NOT NULL,
            service text COLLATE "C" NOT NULL,
            name text COLLATE "C" NOT NULL,
            scope text COLLATE "C" NOT NULL,
            key text COLLATE "C" NOT NULL,
            count bigint NOT NULL,
            cardinality bigint NOT NULL,
            distinct_values bytea NOT NULL,
            rev bigint NOT NULL,
            PRIMARY KEY ("window", "start", signal, service, name, scope, key)
        ) %s
    $table$, CASE WHEN timescale THEN '' ELSE 'PARTITION BY RANGE (start)' END);
    EXECUTE format($table$
        CREATE TABLE template_bucket (
            "window" text COLLATE "C" NOT NULL,
            "start" bigint NOT NULL,
            service text COLLATE "C" NOT NULL,
            severity text COLLATE "C" NOT NULL,
            template text COLLATE "C" NOT NULL,
            count bigint NOT NULL,
            rev bigint NOT NULL,
            PRIMARY KEY ("window", "start", service, severity, template)
        ) %s
    $table$, CASE WHEN timescale THEN '' ELSE 'PARTITION BY RANGE (start)' END);
    IF timescale THEN
        FOREACH bucketed IN ARRAY ARRAY['metric_bucket', 'attribute_key_bucket', 'template_bucket'] LOOP
            EXECUTE format('SELECT create_hypertable(%L, %L, chunk_time_interval => 86400000000000)', bucketed, 'start');
        END LOOP;
    END IF;
END $$;

-- What changed since a revision.
CREATE INDEX service_rev ON service (rev);
CREATE INDEX metric_rev ON metric (rev);
CREATE INDEX span_rev ON span (rev);
CREATE INDEX span_pattern_rev ON span_pattern (rev);
CREATE INDEX log_rev ON "log" (rev);
CREATE INDEX event_rev ON "event" (rev);
CREATE INDEX attribute_rev ON attribute (rev);
CREATE INDEX attribute_key_rev ON attribute_key (rev);
CREATE INDEX template_rev ON template (rev);
CREATE INDEX dead_letter_rev ON dead_letter (rev);
CREATE INDEX metric_bucket_rev ON metric_bucket (rev);
CREATE INDEX attribute_key_bucket_rev ON attribute_key_bucket (rev);
CREATE INDEX template_bucket_rev ON template_bucket (rev);

-- The orders lists are asked for.
CREATE INDEX metric_by_count ON metric (service, sample_count);
CREATE INDEX metric_by_series ON metric (service, active_series);
CREATE INDEX metric_by_name ON metric (name, service);
CREATE INDEX span_by_count ON span (service, sample_count);
CREATE INDEX span_by_name ON span (name, service);
CREATE INDEX span_pattern_by_count ON span_pattern (service, sample_count);
CREATE INDEX attribute_by_cardinality ON attribute (cardinality);
CREATE INDEX attribute_by_count ON attribute (count);
CREATE INDEX attribute_key_by_name ON attribute_key (signal, name, service);
CREATE INDEX attribute_key_by_cardinality ON attribute_key (service, cardinality);
CREATE INDEX attribute_key_by_first_seen ON attribute_key (first_seen);
CREATE INDEX template_by_count ON template (count);
