-- The list of spans by errors has its index, too.
CREATE INDEX span_by_errors ON span (service, status_error, name);

-- What ANALYZE would find in a catalogue of a busy year, given once, so that every database plans its lists alike from its
-- first row on: of the indexes that fit, the one that leaves the fewest rows, or else the one that is in the list's order.
-- The first number counts the rows, the others the rows that share the first one, two, … columns.

ANALYZE;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
('service', 'sqlite_autoindex_service_1', '100 1'),
('service', 'service_by_rev', '100 2'),
('metric', 'sqlite_autoindex_metric_1', '50000 2000 1'),
('metric', 'metric_by_rev', '50000 100'),
('metric', 'metric_by_name', '50000 5 1'),
('metric', 'metric_by_samples', '50000 2000 5 1'),
('metric', 'metric_by_series', '50000 2000 20 1'),
('metric', 'metric_by_first_seen', '50000 2000 5 1'),
('metric', 'metric_by_last_seen', '50000 2000 5 1'),
('span', 'sqlite_autoindex_span_1', '50000 2000 1'),
('span', 'span_by_rev', '50000 100'),
('span', 'span_by_name', '50000 5 1'),
('span', 'span_by_samples', '50000 2000 5 1'),
('span', 'span_by_errors', '50000 2000 50 1'),
('span', 'span_by_first_seen', '50000 2000 5 1'),
('span', 'span_by_last_seen', '50000 2000 5 1'),
('span_pattern', 'sqlite_autoindex_span_pattern_1', '20000 1000 1'),
('span_pattern', 'span_pattern_by_rev', '20000 100'),
('span_pattern', 'span_pattern_by_samples', '20000 1000 5 1'),
('span_pattern', 'span_pattern_by_names', '20000 1000 50 1'),
('log', 'sqlite_autoindex_log_1', '500 5 1'),
('log', 'log_by_rev', '500 10'),
('event', 'sqlite_autoindex_event_1', '5000 2500 100 2 1'),
('event', 'event_by_rev', '5000 50'),
('attribute', 'sqlite_autoindex_attribute_1', '100000 2 1'),
('attribute', 'attribute_by_rev', '100000 500'),
('attribute', 'attribute_by_count', '100000 10 1 1'),
('attribute', 'attribute_by_cardinality', '100000 100 2 1'),
('attribute', 'attribute_by_first_seen', '100000 10 1 1'),
('attribute', 'attribute_by_last_seen', '100000 10 1 1'),
('attribute_key', 'sqlite_autoindex_attribute_key_1', '600000 200000 20000 6 3 1'),
('attribute_key', 'attribute_key_by_rev', '600000 1000'),
('attribute_key', 'attribute_key_by_key', '600000 3000 300'),
('attribute_key', 'attribute_key_by_cardinality', '600000 30000 300 100 5 3 1'),
('attribute_key', 'attribute_key_by_first_seen', '600000 30000 10'),
('template', 'sqlite_autoindex_template_1', '20000 1000 250 1 noskipscan'),
('template', 'template_by_rev', '20000 100'),
('template', 'template_by_count', '20000 20'),
('template', 'template_by_severity_and_count', '20000 1000 250 3 noskipscan'),
('metric_bucket', 'sqlite_autoindex_metric_bucket_1', '1000000 500000 20000 500 1'),
('metric_bucket', 'metric_bucket_by_rev', '1000000 1000'),
('attribute_key_bucket', 'sqlite_autoindex_attribute_key_bucket_1', '9000000 4000000 200000 60000 5000 6 3 1'),
('attribute_key_bucket', 'attribute_key_bucket_by_rev', '9000000 5000'),
('template_bucket', 'sqlite_autoindex_template_bucket_1', '500000 250000 10000 500 100 1'),
('template_bucket', 'template_bucket_by_rev', '500000 500'),
('dead_letter', 'sqlite_autoindex_dead_letter_1', '1000 1'),
('dead_letter', 'dead_letter_by_rev', '1000 10'),
('dead_letter', 'dead_letter_by_time', '1000 10 1'),
('batch_source', 'batch_source', '100 1');

ANALYZE sqlite_schema;
