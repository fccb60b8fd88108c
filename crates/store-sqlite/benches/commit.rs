//! What a telemetry flush costs: a commit of 10,000 attribute keys with their hour and day buckets into a catalogue of
//! 100,000 keys, and a list page over it.
//!
//! `cargo bench -p tallybook-store-sqlite`; `BENCH_DIR` chooses the disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tallybook_core::{
    ALL_SERVICES, Ack, Attribute, AttributeKey, AttributeKeyBucket, Batch, BatchId, CatalogueDelta, Condition, Cursor,
    Query, Record, Records, Scope, Signal, Sketch, SourceId, Store, Timestamp, Window, hash_bytes,
};
use tallybook_store_sqlite::{SqliteOptions, SqliteStore};

const KEYS: u64 = 100_000;
const TOUCHED: u64 = 10_000;
const COMMITS: u64 = 15;
/// Distinct values of ten keys: six have few, two some, one a thousand, and one is a request id.
const VALUES: [u64; 10] = [1, 1, 2, 3, 5, 8, 30, 100, 1_000, 100_000];
const NOW: i64 = 1_700_000_000_000_000_000;

fn main() {
    let folder = tempfile::tempdir_in(std::env::var_os("BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from));
    let folder = folder.expect("a folder for the database");
    let path = folder.path().join("tallybook.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).expect("the store opens");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(&store, &path));
}

async fn measure(store: &SqliteStore, path: &std::path::Path) {
    let mut sender = Sender::new();
    let mut first = Vec::new();
    for from in (0..KEYS).step_by(TOUCHED as usize) {
        first.push(sender.commit(store, (from..from + TOUCHED).collect(), Fill::Everything).await);
    }
    report("first commits, 40,000 new rows", &mut first, 4 * TOUCHED);
    let megabytes = std::fs::metadata(path).map_or(0, |file| file.len() >> 20);
    println!("{:<48} {megabytes} MB", "database");

    for (name, keys) in [
        ("warm commit, 30,000 rows of one service", (0..TOUCHED).collect::<Vec<_>>()),
        ("warm commit, 30,000 rows all over", (0..KEYS).step_by((KEYS / TOUCHED) as usize).collect()),
    ] {
        let mut times = Vec::new();
        for _ in 0..COMMITS {
            times.push(sender.commit(store, keys.clone(), Fill::SomeValues).await);
        }
        report(name, &mut times, 3 * TOUCHED);
    }

    let of_all = || Condition::Equals("service", ALL_SERVICES.into());
    let contains = Condition::Contains("key", "key.7".to_owned());
    for (name, table, query) in [
        ("keys of all services, by values", AttributeKey::TABLE, Query::new(50).filter(of_all())),
        ("attributes, by values", Attribute::TABLE, Query::new(50)),
        ("attributes that hold a text, by values", Attribute::TABLE, Query::new(50).filter(contains)),
    ] {
        for total in [false, true] {
            let mut times = Vec::new();
            for _ in 0..50 {
                let query = Query { total, ..query.clone().sort("cardinality", true) };
                let start = Cost::now();
                store.select(table, &query).await.expect("a page");
                times.push(start.elapsed());
            }
            let name = if total { format!("{name}, with total") } else { name.to_owned() };
            report(&name, &mut times, 1);
        }
    }

    let start = Cost::now();
    let (mut cursor, mut rows) = (Cursor::START, 0);
    loop {
        let page = store.changes(&cursor, 1_000).await.expect("changes");
        rows += page.changes.len() as u64;
        cursor = page.next;
        if !page.more {
            break;
        }
    }
    report("all changes, a row", &mut [start.elapsed()], rows);
}

/// An attribute key of its own, with the values of `row`.
fn attribute(key: u64, row: &AttributeKey) -> Attribute {
    Attribute {
        key: format!("some.attribute.key.{key}").into(),
        scope: row.scope,
        count: row.count,
        metric_count: row.count,
        span_count: 0,
        log_count: 0,
        cardinality: 0,
        first_seen: row.first_seen,
        last_seen: row.last_seen,
        distinct_values: row.distinct_values.clone(),
    }
}

fn hash_of(value: u64) -> u64 {
    hash_bytes(&value.to_le_bytes())
}

fn report(name: &str, costs: &mut [Cost], rows: u64) {
    let mut column = |part: fn(&Cost) -> Duration, share: usize| {
        costs.sort_unstable_by_key(part);
        part(&costs[(costs.len() - 1) * share / 100])
    };
    let (p50, p95, cpu) = (column(|cost| cost.wall, 50), column(|cost| cost.wall, 95), column(|cost| cost.cpu, 50));
    let per_row = cpu.as_secs_f64() * 1e6 / rows as f64;
    println!("{name:<48} p50 {p50:>9.2?}  p95 {p95:>9.2?}  CPU {cpu:>9.2?}, {per_row:>6.2} us a row");
}

/// Time on the clock, and on the cores: a shared machine makes the first one say little.
struct Cost {
    wall: Duration,
    cpu: Duration,
}

struct Started(Instant, Duration);

impl Cost {
    fn now() -> Started {
        Started(Instant::now(), cpu_time())
    }
}

impl Started {
    fn elapsed(&self) -> Cost {
        Cost { wall: self.0.elapsed(), cpu: cpu_time().saturating_sub(self.1) }
    }
}

/// What all threads of this process have used: the first number of each `schedstat`, in nanoseconds.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux tells the threads of a process");
    let used = |thread: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
        let stat = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(threads.filter_map(used).sum())
}

#[derive(Clone, Copy)]
enum Fill {
    /// What is there after a while.
    Everything,
    /// What a second of telemetry brings.
    SomeValues,
}

struct Sender {
    source: SourceId,
    seq: u64,
    rng: StdRng,
    /// A sketch of all values, for each of [`VALUES`].
    filled: [Arc<Sketch>; 10],
}

impl Sender {
    fn new() -> Self {
        let filled = VALUES.map(|values| {
            let mut sketch = Sketch::default();
            (0..values).map(hash_of).for_each(|hash| {
                sketch.insert(hash);
            });
            Arc::new(sketch)
        });
        Self { source: SourceId::mint(), seq: 0, rng: StdRng::seed_from_u64(7), filled }
    }

    async fn commit(&mut self, store: &SqliteStore, keys: Vec<u64>, fill: Fill) -> Cost {
        let catalogue = self.delta(&keys, fill);
        self.seq += 1;
        let records = Records { catalogue, ..Records::default() };
        let batch = Batch { id: BatchId { source: self.source, seq: self.seq }, ack: Ack::Written, records };
        let start = Cost::now();
        store.commit(Arc::new(batch)).await.expect("the commit");
        start.elapsed()
    }

    fn delta(&mut self, keys: &[u64], fill: Fill) -> CatalogueDelta {
        let mut delta = CatalogueDelta::default();
        for &key in keys {
            let row = self.attribute_key(key, fill);
            for window in [Window::Hour, Window::Day] {
                delta.attribute_key_buckets.push(AttributeKeyBucket {
                    window,
                    start: window.start(Timestamp(NOW)),
                    signal: row.signal,
                    service: row.service.clone(),
                    name: row.name.clone(),
                    scope: row.scope,
                    key: row.key.clone(),
                    count: row.count,
                    cardinality: 0,
                    distinct_values: row.distinct_values.clone(),
                });
            }
            if matches!(fill, Fill::Everything) {
                delta.attributes.push(attribute(key, &row));
            }
            delta.attribute_keys.push(row);
        }
        delta
    }

    /// Six keys a name, 1,000 names a service; every second service stands for the sum of all.
    fn attribute_key(&mut self, key: u64, fill: Fill) -> AttributeKey {
        let (service, name) = (key / TOUCHED, key / 6);
        // Mixed among neighbours as well as among every tenth key.
        let class = ((key / 10 + key) % 10) as usize;
        let distinct_values = match fill {
            Fill::Everything => self.filled[class].clone(),
            Fill::SomeValues => {
                let values = VALUES[class];
                let mut sketch = Sketch::default();
                for _ in 0..values.min(20) {
                    sketch.insert(hash_of(self.rng.random_range(0..values)));
                }
                Arc::new(sketch)
            }
        };
        let keys = ["http.request.method", "http.route", "service.instance.id", "k8s.pod.name", "user.id", "le"];
        AttributeKey {
            signal: [Signal::Metric, Signal::Span][(name % 2) as usize],
            service: if service % 2 == 0 { ALL_SERVICES.into() } else { format!("checkout-{service}").into() },
            name: format!("http.server.request.duration.{name}").into(),
            scope: [Scope::Attribute, Scope::Resource][(key % 2) as usize],
            key: keys[(key % 6) as usize].into(),
            count: 17,
            cardinality: 0,
            first_seen: Timestamp(NOW),
            last_seen: Timestamp(NOW + self.seq as i64 * 1_000_000_000),
            distinct_values,
        }
    }
}
