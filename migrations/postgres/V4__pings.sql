-- Pings and what they come to per minute, hour and day, in the columns of tallybook-core; the views that are documented;
-- and what became of the records of the last batch of each source, so that a batch that is sent again is answered alike.

CREATE TABLE ping (
    target text COLLATE "C" NOT NULL,
    "time" bigint NOT NULL,
    latency bigint,
    success bigint NOT NULL,
    ttl bigint,
    packet_size bigint,
    sequence bigint,
    jitter bigint,
    error text COLLATE "C",
    rev bigint NOT NULL,
    PRIMARY KEY (target, "time")
);
CREATE INDEX ping_rev ON ping (rev);
CREATE INDEX ping_by_time ON ping ("time");

CREATE TABLE ping_bucket (
    resolution text COLLATE "C" NOT NULL,
    "start" bigint NOT NULL,
    target text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    lost bigint NOT NULL,
    sum bigint NOT NULL,
    sum_squares bigint NOT NULL,
    min bigint,
    max bigint,
    jitter_sum bigint NOT NULL,
    jitter_count bigint NOT NULL,
    ttl bigint,
    latencies bytea NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (resolution, "start", target)
);
CREATE INDEX ping_bucket_rev ON ping_bucket (rev);
CREATE INDEX ping_bucket_by_target ON ping_bucket (resolution, target, "start");

ALTER TABLE batch_source ADD COLUMN pings_stored bigint NOT NULL DEFAULT 0;
ALTER TABLE batch_source ADD COLUMN pings_merged bigint NOT NULL DEFAULT 0;
ALTER TABLE batch_source ADD COLUMN pings_duplicate bigint NOT NULL DEFAULT 0;
ALTER TABLE batch_source ADD COLUMN ticks_stored bigint NOT NULL DEFAULT 0;
ALTER TABLE batch_source ADD COLUMN ticks_duplicate bigint NOT NULL DEFAULT 0;

-- Seconds since the Unix epoch, milliseconds of latency.
CREATE VIEW pings (ts, target, latency_ms, success) AS
SELECT "time" / 1e9, target, latency / 1e6, success <> 0 FROM ping;

-- A round is a minute.
CREATE VIEW ping_metadata (ts, target, ttl, packet_loss, jitter_ms) AS
SELECT "start" / 1000000000, target, ttl, 100.0 * lost / count, jitter_sum / 1e6 / nullif(jitter_count, 0)
FROM ping_bucket WHERE resolution = 'minute';

CREATE VIEW ping_rollups (resolution, ts, target, count, lost, min_ms, avg_ms, max_ms, variance_ms2, jitter_ms) AS
SELECT resolution, "start" / 1000000000, target, count, lost, min / 1e6, sum / 1e6 / nullif(count - lost, 0), max / 1e6,
    greatest(0, sum_squares / 1e6 / nullif(count - lost, 0) - (sum / 1e6 / nullif(count - lost, 0)) ^ 2),
    jitter_sum / 1e6 / nullif(jitter_count, 0)
FROM ping_bucket;
