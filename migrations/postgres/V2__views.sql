-- The plain schema for tools that read the database themselves. A service is known by its name, so that is its id. Rows
-- that sum up all services, and templates that became part of a more general one, are left out. A percentage is of the
-- records of the metric, span name or severity.

CREATE VIEW services AS
SELECT
    name AS id,
    name,
    metric_points,
    spans,
    log_records,
    to_timestamp(first_seen / 1e9) AS first_seen,
    to_timestamp(last_seen / 1e9) AS last_seen
FROM service;

CREATE VIEW metrics_metadata AS
SELECT
    m.service AS service_id,
    m.name,
    m.metric_type AS type,
    m.unit,
    m.description,
    m.temporality,
    m.monotonic <> 0 AS monotonic,
    (
        SELECT coalesce(jsonb_agg(k.key ORDER BY k.key), '[]')
        FROM attribute_key AS k
        WHERE k.signal = 'metric' AND k.service = m.service AND k.name = m.name AND k.scope = 'attribute'
    ) AS label_keys,
    (
        SELECT coalesce(jsonb_agg(k.key ORDER BY k.key), '[]')
        FROM attribute_key AS k
        WHERE k.signal = 'metric' AND k.service = m.service AND k.name = m.name AND k.scope = 'resource'
    ) AS resource_keys,
    m.sample_count,
    m.active_series,
    to_timestamp(m.first_seen / 1e9) AS first_seen,
    to_timestamp(m.last_seen / 1e9) AS last_seen
FROM metric AS m
WHERE m.service <> '';

CREATE VIEW spans_metadata AS
SELECT
    s.service AS service_id,
    s.name,
    s.pattern,
    (
        SELECT coalesce(jsonb_agg(k.key ORDER BY k.key), '[]')
        FROM attribute_key AS k
        WHERE k.signal = 'span' AND k.service = s.service AND k.name = s.name AND k.scope = 'attribute'
    ) AS attr_keys,
    (
        SELECT coalesce(jsonb_agg(k.key ORDER BY k.key), '[]')
        FROM attribute_key AS k
        WHERE k.signal = 'span' AND k.service = s.service AND k.name = s.name AND k.scope = 'resource'
    ) AS resource_keys,
    s.sample_count,
    s.status_error,
    to_timestamp(s.first_seen / 1e9) AS first_seen,
    to_timestamp(s.last_seen / 1e9) AS last_seen
FROM span AS s
WHERE s.service <> '';

CREATE VIEW logs_metadata AS
SELECT
    l.service AS service_id,
    l.severity,
    (
        SELECT coalesce(jsonb_agg(k.key ORDER BY k.key), '[]')
        FROM attribute_key AS k
        WHERE k.signal = 'log' AND k.service = l.service AND k.name = l.severity AND k.scope = 'attribute'
    ) AS attr_keys,
    (
        SELECT coalesce(jsonb_agg(k.key ORDER BY k.key), '[]')
        FROM attribute_key AS k
        WHERE k.signal = 'log' AND k.service = l.service AND k.name = l.severity AND k.scope = 'resource'
    ) AS resource_keys,
    l.sample_count,
    to_timestamp(l.first_seen / 1e9) AS first_seen,
    to_timestamp(l.last_seen / 1e9) AS last_seen
FROM log AS l
WHERE l.service <> '';

CREATE VIEW body_templates AS
SELECT
    t.service AS service_id,
    t.severity,
    t.template,
    t.example,
    t.count,
    100.0 * t.count / nullif(l.sample_count, 0) AS percentage,
    to_timestamp(t.first_seen / 1e9) AS first_seen,
    to_timestamp(t.last_seen / 1e9) AS last_seen
FROM template AS t
LEFT JOIN log AS l ON l.service = t.service AND l.severity = t.severity
WHERE t.count > 0;

CREATE VIEW key_metadata AS
SELECT
    k.service AS service_id,
    k.signal,
    k.name,
    k.scope,
    k.key,
    k.count AS sample_count,
    k.count,
    100.0 * k.count / nullif(
        CASE k.signal
            WHEN 'metric' THEN (SELECT m.sample_count FROM metric AS m WHERE m.service = k.service AND m.name = k.name)
            WHEN 'span' THEN (SELECT s.sample_count FROM span AS s WHERE s.service = k.service AND s.name = k.name)
            ELSE (SELECT l.sample_count FROM log AS l WHERE l.service = k.service AND l.severity = k.name)
        END,
        0
    ) AS percentage,
    k.cardinality AS cardinality_estimate,
    k.distinct_values AS sketch,
    to_timestamp(k.first_seen / 1e9) AS first_seen,
    to_timestamp(k.last_seen / 1e9) AS last_seen
FROM attribute_key AS k
WHERE k.service <> '';
