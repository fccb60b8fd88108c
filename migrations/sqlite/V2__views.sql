-- The plain schema for tools that read the file themselves. A service is known by its name, so that is its id. Rows that
-- sum up all services, and templates that became part of a more general one, are left out. A percentage is of the
-- records of the metric, span name or severity.

CREATE VIEW services AS
SELECT
    name AS id,
    name,
    metric_points,
    spans,
    log_records,
    first_seen,
    last_seen
FROM service;

CREATE VIEW metrics_metadata AS
SELECT
    service AS service_id,
    name,
    metric_type AS type,
    unit,
    description,
    temporality,
    monotonic,
    (
        SELECT json_group_array(key)
        FROM (
            SELECT key
            FROM attribute_key AS k
            WHERE k.signal = 'metric' AND k.service = m.service AND k.name = m.name AND k.scope = 'attribute'
            ORDER BY key
        )
    ) AS label_keys,
    (
        SELECT json_group_array(key)
        FROM (
            SELECT key
            FROM attribute_key AS k
            WHERE k.signal = 'metric' AND k.service = m.service AND k.name = m.name AND k.scope = 'resource'
            ORDER BY key
        )
    ) AS resource_keys,
    sample_count,
    active_series,
    first_seen,
    last_seen
FROM metric AS m
WHERE service <> '';

CREATE VIEW spans_metadata AS
SELECT
    service AS service_id,
    name,
    pattern,
    (
        SELECT json_group_array(key)
        FROM (
            SELECT key
            FROM attribute_key AS k
            WHERE k.signal = 'span' AND k.service = s.service AND k.name = s.name AND k.scope = 'attribute'
            ORDER BY key
        )
    ) AS attr_keys,
    (
        SELECT json_group_array(key)
        FROM (
            SELECT key
            FROM attribute_key AS k
            WHERE k.signal = 'span' AND k.service = s.service AND k.name = s.name AND k.scope = 'resource'
            ORDER BY key
        )
    ) AS resource_keys,
    sample_count,
    status_error,
    first_seen,
    last_seen
FROM span AS s
WHERE service <> '';

CREATE VIEW logs_metadata AS
SELECT
    service AS service_id,
    severity,
    (
        SELECT json_group_array(key)
        FROM (
            SELECT key
            FROM attribute_key AS k
            WHERE k.signal = 'log' AND k.service = l.service AND k.name = l.severity AND k.scope = 'attribute'
            ORDER BY key
        )
    ) AS attr_keys,
    (
        SELECT json_group_array(key)
        FROM (
            SELECT key
            FROM attribute_key AS k
            WHERE k.signal = 'log' AND k.service = l.service AND k.name = l.severity AND k.scope = 'resource'
            ORDER BY key
        )
    ) AS resource_keys,
    sample_count,
    first_seen,
    last_seen
FROM log AS l
WHERE service <> '';

CREATE VIEW body_templates AS
SELECT
    t.service AS service_id,
    t.severity,
    t.template,
    t.example,
    t.count,
    100.0 * t.count / nullif(l.sample_count, 0) AS percentage,
    t.first_seen,
    t.last_seen
FROM template AS t
LEFT JOIN log AS l ON l.service = t.service AND l.severity = t.severity
WHERE t.count > 0;

CREATE VIEW key_metadata AS
SELECT
    service AS service_id,
    signal,
    name,
    scope,
    key,
    count AS sample_count,
    count,
    100.0 * count / nullif(
        CASE signal
            WHEN 'metric' THEN (SELECT sample_count FROM metric AS m WHERE m.service = k.service AND m.name = k.name)
            WHEN 'span' THEN (SELECT sample_count FROM span AS s WHERE s.service = k.service AND s.name = k.name)
            ELSE (SELECT sample_count FROM log AS l WHERE l.service = k.service AND l.severity = k.name)
        END,
        0
    ) AS percentage,
    cardinality AS cardinality_estimate,
    (SELECT distinct_values FROM attribute_key_sketch AS s WHERE s.rowid = k.rowid) AS sketch,
    first_seen,
    last_seen
FROM attribute_key AS k
WHERE service <> '';
