-- Pings of which none was answered have no variance: `greatest` passes over null.
CREATE OR REPLACE VIEW ping_rollups (resolution, ts, target, count, lost, min_ms, avg_ms, max_ms, variance_ms2, jitter_ms) AS
SELECT resolution, "start" / 1000000000, target, count, lost, min / 1e6, sum / 1e6 / nullif(count - lost, 0), max / 1e6,
    CASE WHEN count > lost
        THEN greatest(0, sum_squares / 1e6 / (count - lost) - (sum / 1e6 / (count - lost)) ^ 2)
    END,
    jitter_sum / 1e6 / nullif(jitter_count, 0)
FROM ping_bucket;
