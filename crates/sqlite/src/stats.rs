//! What an engine did and how long it took, counted without locks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::ErrorKind;
use crate::wal::WalStats;

/// What an engine did since it was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Calls that read.
    pub reads: u64,
    /// Calls that write.
    pub writes: u64,
    /// Commits that served them; calls that wait together share one.
    pub commits: u64,
    /// Rows that were read.
    pub rows_read: u64,
    /// Calls that failed, by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// Calls that wait for the writer at present.
    pub waiting: u64,
    /// How long writes waited for the writer.
    pub write_wait: Latencies,
    /// How long writes ran, with their commit.
    pub write_run: Latencies,
    /// How long reads waited for a connection.
    pub read_wait: Latencies,
    /// How long reads ran.
    pub read_run: Latencies,
    /// Statements that had been compiled before.
    pub statement_cache_hits: u64,
    /// Statements that were compiled.
    pub statement_cache_misses: u64,
    /// Backups that were made.
    pub backups: u64,
    /// The write-ahead log.
    pub wal: WalStats,
}

/// How durations are spread. Each is the upper end of a bucket, and so at most a quarter too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latencies {
    /// How many there were.
    pub count: u64,
    /// Half were not longer.
    pub p50_ns: u64,
    /// 95 of 100 were not longer.
    pub p95_ns: u64,
    /// 99 of 100 were not longer.
    pub p99_ns: u64,
    /// None was longer.
    pub max_ns: u64,
}

/// Buckets for each doubling.
const PER_DOUBLING: u32 = 4;
const BUCKETS: usize = 64 * PER_DOUBLING as usize;

/// Counts durations by size.
#[derive(Debug)]
pub(crate) struct Timer([AtomicU64; BUCKETS]);

impl Default for Timer {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Timer {
    pub(crate) fn add(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.0[bucket_of(nanoseconds)].fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> Latencies {
        Self::read_all([self])
    }

    /// What several timers counted together.
    fn read_all<'t>(timers: impl IntoIterator<Item = &'t Self>) -> Latencies {
        let mut counts = [0_u64; BUCKETS];
        for timer in timers {
            for (sum, count) in counts.iter_mut().zip(&timer.0) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
        let count: u64 = counts.iter().sum();
        let at = |part: f64| {
            let rank = (count as f64 * part).ceil() as u64;
            let mut below = 0;
            let bucket = counts.iter().position(|count| {
                below += count;
                below >= rank && below > 0
            });
            bucket.map_or(0, end_of)
        };
        Latencies { count, p50_ns: at(0.5), p95_ns: at(0.95), p99_ns: at(0.99), max_ns: at(1.0) }
    }
}

/// The doubling, then the two bits below the first.
fn bucket_of(nanoseconds: u64) -> usize {
    let value = nanoseconds.max(PER_DOUBLING.into());
    let doubling = value.ilog2();
    let quarter = (value >> (doubling - 2)) & 3;
    (doubling * PER_DOUBLING) as usize + quarter as usize
}

/// The greatest value of a bucket.
fn end_of(bucket: usize) -> u64 {
    let (doubling, quarter) = (bucket as u32 / PER_DOUBLING, bucket as u64 % 4);
    let Some(shift) = doubling.checked_sub(2) else { return 0 };
    let end = (u128::from(quarter) + 5) << shift;
    u64::try_from(end - 1).unwrap_or(u64::MAX)
}

/// Counts of the statements of callers.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    hits: AtomicU64,
    misses: AtomicU64,
    rows_read: AtomicU64,
}

impl Statements {
    pub(crate) fn prepared(&self, known: bool) {
        if known { &self.hits } else { &self.misses }.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn rows_read(&self, rows: u64) {
        self.rows_read.fetch_add(rows, Ordering::Relaxed);
    }
}

/// What is counted of the calls on one connection that reads.
#[derive(Debug, Default)]
pub(crate) struct ReadCounters {
    pub(crate) statements: Statements,
    pub(crate) wait: Timer,
    pub(crate) run: Timer,
}

/// Everything else that is counted.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Those of calls that write.
    pub(crate) statements: Statements,
    pub(crate) commits: AtomicU64,
    pub(crate) backups: AtomicU64,
    pub(crate) write_wait: Timer,
    pub(crate) write_run: Timer,
    errors: [AtomicU64; ErrorKind::ALL.len()],
}

impl Counters {
    pub(crate) fn failed(&self, kind: ErrorKind) {
        self.errors[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read<'r>(
        &self,
        readers: impl Iterator<Item = &'r ReadCounters> + Clone,
        waiting: usize,
        wal: WalStats,
    ) -> Stats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let of_readers = readers.clone().map(|reader| &reader.statements);
        let statements: Vec<&Statements> = of_readers.chain([&self.statements]).collect();
        let all = |counter: fn(&Statements) -> &AtomicU64| statements.iter().map(|one| count(counter(one))).sum();
        let errors = ErrorKind::ALL.into_iter().map(|kind| (kind.as_str(), count(&self.errors[kind as usize])));
        let (write_run, read_run) = (self.write_run.read(), Timer::read_all(readers.clone().map(|reader| &reader.run)));
        Stats {
            reads: read_run.count,
            writes: write_run.count,
            commits: count(&self.commits),
            rows_read: all(|one| &one.rows_read),
            errors: errors.filter(|(_, count)| *count > 0).collect(),
            waiting: waiting as u64,
            write_wait: self.write_wait.read(),
            write_run,
            read_wait: Timer::read_all(readers.map(|reader| &reader.wait)),
            read_run,
            statement_cache_hits: all(|one| &one.hits),
            statement_cache_misses: all(|one| &one.misses),
            backups: count(&self.backups),
            wal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_at_most_a_quarter_below_the_end_of_its_bucket() {
        for value in [4_u64, 5, 7, 8, 100, 1_000, 12_345, 1 << 40, u64::MAX] {
            let end = end_of(bucket_of(value));
            assert!(end >= value && (end - value) as f64 <= value as f64 * 0.25, "{value}: {end}");
        }
    }

    #[test]
    fn latencies_are_read_off_the_counts() {
        let timer = Timer::default();
        for millisecond in 1..=100 {
            timer.add(Duration::from_millis(millisecond));
        }
        let read = timer.read();
        assert_eq!(read.count, 100);
        for (found, expected) in [(read.p50_ns, 50), (read.p95_ns, 95), (read.p99_ns, 99), (read.max_ns, 100)] {
            let expected = expected * 1_000_000;
            assert!(found >= expected && found <= expected * 5 / 4, "{found} {expected}");
        }
        assert_eq!(Timer::default().read(), Latencies::default());
    }
}
