-- The catalogue: one table per record type of tallybook-core, the columns of its descriptor in their order.
--
-- `rowid` is spelled out so that VACUUM keeps it: it orders the changes of one revision. `rev` is the number of the
-- commit that changed the row last. Times are nanoseconds since the Unix epoch. A `service` of '' sums up all services.
-- Every index on a column that each flush changes costs each flush, so only lists that are sorted by it have one.

CREATE TABLE service (
    rowid INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    metric_points INTEGER NOT NULL,
    spans INTEGER NOT NULL,
    log_records INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (name)
) STRICT;
CREATE INDEX service_by_rev ON service (rev);

CREATE TABLE metric (
    rowid INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    metric_type TEXT NOT NULL,
    unit TEXT,
    description TEXT,
    temporality TEXT,
    monotonic INTEGER,
    bounds TEXT,
    quantiles TEXT,
    scope_name TEXT,
    scope_version TEXT,
    sample_count INTEGER NOT NULL,
    active_series INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (service, name)
) STRICT;
CREATE TABLE metric_sketch (
    rowid INTEGER PRIMARY KEY,
    series BLOB NOT NULL
) STRICT;
CREATE TRIGGER metric_takes_its_sketch AFTER DELETE ON metric BEGIN
    DELETE FROM metric_sketch WHERE rowid = old.rowid;
END;
CREATE INDEX metric_by_rev ON metric (rev);
CREATE INDEX metric_by_name ON metric (name, service);
CREATE INDEX metric_by_samples ON metric (service, sample_count, name);
CREATE INDEX metric_by_series ON metric (service, active_series, name);
CREATE INDEX metric_by_first_seen ON metric (service, first_seen, name);
CREATE INDEX metric_by_last_seen ON metric (service, last_seen, name);

CREATE TABLE span (
    rowid INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    pattern TEXT NOT NULL,
    scope_name TEXT,
    scope_version TEXT,
    sample_count INTEGER NOT NULL,
    kind_unspecified INTEGER NOT NULL,
    kind_internal INTEGER NOT NULL,
    kind_server INTEGER NOT NULL,
    kind_client INTEGER NOT NULL,
    kind_producer INTEGER NOT NULL,
    kind_consumer INTEGER NOT NULL,
    status_unset INTEGER NOT NULL,
    status_ok INTEGER NOT NULL,
    status_error INTEGER NOT NULL,
    events INTEGER NOT NULL,
    links INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (service, name)
) STRICT;
CREATE INDEX span_by_rev ON span (rev);
CREATE INDEX span_by_name ON span (name, service);
CREATE INDEX span_by_samples ON span (service, sample_count, name);
CREATE INDEX span_by_first_seen ON span (service, first_seen, name);
CREATE INDEX span_by_last_seen ON span (service, last_seen, name);

CREATE TABLE span_pattern (
    rowid INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    pattern TEXT NOT NULL,
    example TEXT NOT NULL,
    sample_count INTEGER NOT NULL,
    name_count INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (service, pattern)
) STRICT;
CREATE TABLE span_pattern_sketch (
    rowid INTEGER PRIMARY KEY,
    names BLOB NOT NULL
) STRICT;
CREATE TRIGGER span_pattern_takes_its_sketch AFTER DELETE ON span_pattern BEGIN
    DELETE FROM span_pattern_sketch WHERE rowid = old.rowid;
END;
CREATE INDEX span_pattern_by_rev ON span_pattern (rev);
CREATE INDEX span_pattern_by_samples ON span_pattern (service, sample_count, pattern);
CREATE INDEX span_pattern_by_names ON span_pattern (service, name_count, pattern);

CREATE TABLE log (
    rowid INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    severity TEXT NOT NULL,
    sample_count INTEGER NOT NULL,
    body_string INTEGER NOT NULL,
    body_kvlist INTEGER NOT NULL,
    body_array INTEGER NOT NULL,
    body_other INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (service, severity)
) STRICT;
CREATE INDEX log_by_rev ON log (rev);

CREATE TABLE event (
    rowid INTEGER PRIMARY KEY,
    signal TEXT NOT NULL,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    event TEXT NOT NULL,
    count INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (signal, service, name, event)
) STRICT;
CREATE INDEX event_by_rev ON event (rev);

CREATE TABLE attribute (
    rowid INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    scope TEXT NOT NULL,
    count INTEGER NOT NULL,
    metric_count INTEGER NOT NULL,
    span_count INTEGER NOT NULL,
    log_count INTEGER NOT NULL,
    cardinality INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (key, scope)
) STRICT;
CREATE TABLE attribute_sketch (
    rowid INTEGER PRIMARY KEY,
    distinct_values BLOB NOT NULL
) STRICT;
CREATE TRIGGER attribute_takes_its_sketch AFTER DELETE ON attribute BEGIN
    DELETE FROM attribute_sketch WHERE rowid = old.rowid;
END;
CREATE INDEX attribute_by_rev ON attribute (rev);
CREATE INDEX attribute_by_count ON attribute (count, key, scope);
CREATE INDEX attribute_by_cardinality ON attribute (cardinality, key, scope);
CREATE INDEX attribute_by_first_seen ON attribute (first_seen, key, scope);
CREATE INDEX attribute_by_last_seen ON attribute (last_seen, key, scope);

CREATE TABLE attribute_key (
    rowid INTEGER PRIMARY KEY,
    signal TEXT NOT NULL,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    count INTEGER NOT NULL,
    cardinality INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (signal, service, name, scope, key)
) STRICT;
CREATE TABLE attribute_key_sketch (
    rowid INTEGER PRIMARY KEY,
    distinct_values BLOB NOT NULL
) STRICT;
CREATE TRIGGER attribute_key_takes_its_sketch AFTER DELETE ON attribute_key BEGIN
    DELETE FROM attribute_key_sketch WHERE rowid = old.rowid;
END;
CREATE INDEX attribute_key_by_rev ON attribute_key (rev);
CREATE INDEX attribute_key_by_key ON attribute_key (key, service);
CREATE INDEX attribute_key_by_cardinality ON attribute_key (service, cardinality, signal, name, scope, key);
CREATE INDEX attribute_key_by_first_seen ON attribute_key (service, first_seen);

CREATE TABLE template (
    rowid INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    severity TEXT NOT NULL,
    template TEXT NOT NULL,
    example TEXT,
    count INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (service, severity, template)
) STRICT;
CREATE INDEX template_by_rev ON template (rev);
CREATE INDEX template_by_count ON template (count);
CREATE INDEX template_by_severity_and_count ON template (service, severity, count);

CREATE TABLE metric_bucket (
    rowid INTEGER PRIMARY KEY,
    window TEXT NOT NULL,
    start INTEGER NOT NULL,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    sample_count INTEGER NOT NULL,
    active_series INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (window, start, service, name)
) STRICT;
CREATE TABLE metric_bucket_sketch (
    rowid INTEGER PRIMARY KEY,
    series BLOB NOT NULL
) STRICT;
CREATE TRIGGER metric_bucket_takes_its_sketch AFTER DELETE ON metric_bucket BEGIN
    DELETE FROM metric_bucket_sketch WHERE rowid = old.rowid;
END;
CREATE INDEX metric_bucket_by_rev ON metric_bucket (rev);

CREATE TABLE attribute_key_bucket (
    rowid INTEGER PRIMARY KEY,
    window TEXT NOT NULL,
    start INTEGER NOT NULL,
    signal TEXT NOT NULL,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    count INTEGER NOT NULL,
    cardinality INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (window, start, signal, service, name, scope, key)
) STRICT;
CREATE TABLE attribute_key_bucket_sketch (
    rowid INTEGER PRIMARY KEY,
    distinct_values BLOB NOT NULL
) STRICT;
CREATE TRIGGER attribute_key_bucket_takes_its_sketch AFTER DELETE ON attribute_key_bucket BEGIN
    DELETE FROM attribute_key_bucket_sketch WHERE rowid = old.rowid;
END;
CREATE INDEX attribute_key_bucket_by_rev ON attribute_key_bucket (rev);

CREATE TABLE template_bucket (
    rowid INTEGER PRIMARY KEY,
    window TEXT NOT NULL,
    start INTEGER NOT NULL,
    service TEXT NOT NULL,
    severity TEXT NOT NULL,
    template TEXT NOT NULL,
    count INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (window, start, service, severity, template)
) STRICT;
CREATE INDEX template_bucket_by_rev ON template_bucket (rev);

CREATE TABLE dead_letter (
    rowid INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    at INTEGER NOT NULL,
    target TEXT NOT NULL,
    error TEXT NOT NULL,
    record TEXT NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (id)
) STRICT;
CREATE INDEX dead_letter_by_rev ON dead_letter (rev);
CREATE INDEX dead_letter_by_time ON dead_letter (at, id);

-- The last batch of each source, written in the transaction that applies it.
CREATE TABLE batch_source (
    source TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The number of the last commit, in one row. Kept apart from the rows, because the newest of them may be pruned.
CREATE TABLE revision (
    last INTEGER NOT NULL
) STRICT;
INSERT INTO revision (last) VALUES (0);
