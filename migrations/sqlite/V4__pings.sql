-- Pings and what they come to per minute, hour and day, in the columns of tallybook-core; the views that are documented;
-- and what became of the records of the last batch of each source, so that a batch that is sent again is answered alike.

CREATE TABLE ping (
    rowid INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    time INTEGER NOT NULL,
    latency INTEGER,
    success INTEGER NOT NULL,
    ttl INTEGER,
    packet_size INTEGER,
    sequence INTEGER,
    jitter INTEGER,
    error TEXT,
    rev INTEGER NOT NULL,
    UNIQUE (target, time)
) STRICT;
CREATE INDEX ping_by_rev ON ping (rev);
CREATE INDEX ping_by_time ON ping (time);

CREATE TABLE ping_bucket (
    rowid INTEGER PRIMARY KEY,
    resolution TEXT NOT NULL,
    start INTEGER NOT NULL,
    target TEXT NOT NULL,
    count INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    sum_squares INTEGER NOT NULL,
    min INTEGER,
    max INTEGER,
    jitter_sum INTEGER NOT NULL,
    jitter_count INTEGER NOT NULL,
    ttl INTEGER,
    rev INTEGER NOT NULL,
    UNIQUE (resolution, start, target)
) STRICT;
CREATE TABLE ping_bucket_sketch (
    rowid INTEGER PRIMARY KEY,
    latencies BLOB NOT NULL
) STRICT;
CREATE TRIGGER ping_bucket_takes_its_sketch AFTER DELETE ON ping_bucket BEGIN
    DELETE FROM ping_bucket_sketch WHERE rowid = old.rowid;
END;
CREATE INDEX ping_bucket_by_rev ON ping_bucket (rev);
CREATE INDEX ping_bucket_by_target ON ping_bucket (resolution, target, start);

ALTER TABLE batch_source ADD COLUMN pings_stored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_source ADD COLUMN pings_merged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_source ADD COLUMN pings_duplicate INTEGER NOT NULL DEFAULT 0;

-- Seconds since the Unix epoch, milliseconds of latency.
CREATE VIEW pings (ts, target, latency_ms, success) AS
SELECT time / 1e9, target, latency / 1e6, success FROM ping;

-- A round is a minute.
CREATE VIEW ping_metadata (ts, target, ttl, packet_loss, jitter_ms) AS
SELECT start / 1000000000, target, ttl, 100.0 * lost / count, jitter_sum / 1e6 / nullif(jitter_count, 0)
FROM ping_bucket WHERE resolution = 'minute';

-- The standard deviation is the root of the variance, which many builds of SQLite cannot draw.
CREATE VIEW ping_rollups (resolution, ts, target, count, lost, min_ms, avg_ms, max_ms, variance_ms2, jitter_ms) AS
SELECT
    resolution,
    start / 1000000000,
    target,
    count,
    lost,
    min / 1e6,
    sum / 1e6 / nullif(count - lost, 0),
    max / 1e6,
    max(
        0.0,
        sum_squares / 1e6 / nullif(count - lost, 0)
        - (sum / 1e6 / nullif(count - lost, 0)) * (sum / 1e6 / nullif(count - lost, 0))
    ),
    jitter_sum / 1e6 / nullif(jitter_count, 0)
FROM ping_bucket;
