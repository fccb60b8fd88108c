//! A store that fails on demand.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tallybook_core::{
    Batch, Changes, Committed, Condition, Cursor, Error, ErrorKind, Info, Ping, Query, Record as _, Result, Row,
    RowPage, Segment, Store, SymbolSummary, Table, Tick, TickQuery, TickStore, TimeRange, Timestamp,
};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Wraps the write side of a store and fails as it is told; reads and `close` go through as they are. Its faults can be
/// changed at any time, also while it is in use.
pub struct Chaos {
    inner: Arc<dyn Store>,
    faults: Mutex<Faults>,
    commits: AtomicU64,
    delay: watch::Sender<Duration>,
}

type Refusal = Arc<dyn Fn(&Table, &Row) -> bool + Send + Sync>;

#[derive(Default)]
struct Faults {
    random: Option<StdRng>,
    random_reads: Option<StdRng>,
    unavailable_calls: u64,
    refusal: Option<Refusal>,
}

/// What a fault makes of one commit.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// Nothing is applied, and the error says so.
    Before,
    /// Nothing is applied, but the error does not know.
    Lost,
    /// It is applied, but the answer is lost.
    After,
    /// It is applied, delivered once more, and the first answer arrives.
    Twice,
}

impl Chaos {
    /// Lets everything through until told otherwise.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, faults: Mutex::default(), commits: AtomicU64::new(0), delay: watch::Sender::default() }
    }

    /// From now on half of the commits fail: before they are applied, after it, or without knowing; or they are delivered
    /// twice. The same seed fails in the same places.
    pub fn fail_at_random(&self, seed: u64) {
        self.faults().random = Some(StdRng::seed_from_u64(seed));
    }

    /// From now on a quarter of the calls of `changes` fail.
    pub fn fail_reads_at_random(&self, seed: u64) {
        self.faults().random_reads = Some(StdRng::seed_from_u64(seed));
    }

    /// The next `calls` that write (commits, prunes, seals and drops of days) answer [`ErrorKind::Unavailable`] and do nothing; 0 makes it available again.
    pub fn unavailable_for(&self, calls: u64) {
        self.faults().unavailable_calls = calls;
    }

    /// From now on a batch with a row (or ping) for which `refused` holds answers [`ErrorKind::Invalid`] and is not
    /// applied.
    pub fn refuse(&self, refused: impl Fn(&Table, &Row) -> bool + Send + Sync + 'static) {
        self.faults().refusal = Some(Arc::new(refused));
    }

    /// From now on every call that writes waits that long before anything else, those that wait already included.
    pub fn delay(&self, delay: Duration) {
        self.delay.send_replace(delay);
    }

    /// Commits that were asked for, failed ones included.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        // Each change of the faults is one assignment, so a panic elsewhere leaves them whole.
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn admit(&self, operation: &'static str) -> Result<()> {
        let (begun, mut delay) = (Instant::now(), self.delay.subscribe());
        loop {
            let until = begun + *delay.borrow_and_update();
            if Instant::now() >= until || timeout_at(until, delay.changed()).await.is_err() {
                break;
            }
        }
        let mut faults = self.faults();
        if faults.unavailable_calls > 0 {
            faults.unavailable_calls -= 1;
            return Err(unavailable(operation, "the store is away"));
        }
        Ok(())
    }

    fn check_rows(&self, batch: &Batch) -> Result<()> {
        let Some(refused) = self.faults().refusal.clone() else { return Ok(()) };
        let check = |table: &'static Table, rows: Vec<Row>| match rows.iter().find(|row| refused(table, row)) {
            Some(row) => {
                let key = &row[..table.key_len()];
                Err(Error::invalid("committing a batch", format!("`{}` takes no row with key {key:?}", table.name)))
            }
            None => Ok(()),
        };
        check(Ping::TABLE, batch.records.pings.iter().map(Ping::to_row).collect())?;
        batch.records.for_each_table(check)
    }

    fn next_fault(&self) -> Fault {
        let mut faults = self.faults();
        let Some(random) = &mut faults.random else { return Fault::None };
        match random.random_range(0..8) {
            0 => Fault::Before,
            1 => Fault::Lost,
            2 => Fault::After,
            3 => Fault::Twice,
            _ => Fault::None,
        }
    }
}

fn unavailable(operation: &'static str, context: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, context)
}

impl fmt::Debug for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chaos").field("inner", &self.inner).field("commits", &self.commits()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Chaos {
    fn info(&self) -> Info {
        self.inner.info()
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Committed> {
        let operation = "committing a batch";
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.admit(operation).await?;
        self.check_rows(&batch)?;
        match self.next_fault() {
            Fault::None => self.inner.commit(batch).await,
            Fault::Before => Err(unavailable(operation, "the connection was refused")),
            Fault::Lost => Err(unavailable(operation, "the connection broke").applied_unknown()),
            Fault::After => {
                self.inner.commit(batch).await?;
                Err(unavailable(operation, "the answer was lost").applied_unknown())
            }
            Fault::Twice => {
                let answer = self.inner.commit(batch.clone()).await?;
                self.inner.commit(batch).await?;
                Ok(answer)
            }
        }
    }

    async fn select(&self, table: &'static Table, query: &Query) -> Result<RowPage> {
        self.inner.select(table, query).await
    }

    async fn changes(&self, cursor: &Cursor, limit: usize) -> Result<Changes> {
        let fails = self.faults().random_reads.as_mut().is_some_and(|random| random.random_bool(0.25));
        if fails {
            return Err(unavailable("following changes", "the connection broke"));
        }
        self.inner.changes(cursor, limit).await
    }

    async fn behind(&self, cursor: &Cursor) -> Result<u64> {
        self.inner.behind(cursor).await
    }

    async fn prune(
        &self,
        table: &'static Table,
        before: Timestamp,
        conditions: &[Condition],
        limit: usize,
    ) -> Result<u64> {
        self.admit("pruning a table").await?;
        self.inner.prune(table, before, conditions, limit).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[async_trait]
impl TickStore for Chaos {
    async fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        self.inner.ticks(query).await
    }

    async fn symbols(&self, range: TimeRange) -> Result<Vec<SymbolSummary>> {
        self.inner.symbols(range).await
    }

    async fn segments(&self) -> Result<Vec<Segment>> {
        self.inner.segments().await
    }

    async fn seal(&self, day: Timestamp) -> Result<Segment> {
        self.admit("sealing a day of ticks").await?;
        self.inner.seal(day).await
    }

    async fn unseal(&self, day: Timestamp) -> Result<Segment> {
        self.admit("unsealing a day of ticks").await?;
        self.inner.unseal(day).await
    }

    async fn drop_segment(&self, day: Timestamp) -> Result<u64> {
        self.admit("dropping a day of ticks").await?;
        self.inner.drop_segment(day).await
    }
}

#[cfg(test)]
mod tests {
    use tallybook_core::{Applied, Outcome, Records, Service, Value};
    use tallybook_store_memory::MemoryStore;

    use super::*;
    use crate::Fixtures;
    use crate::support::{Sender, all, send};

    fn records(name: &str) -> Records {
        let mut records = Records::default();
        records.catalogue.services.push(Service { name: name.into(), ..Fixtures::plain(1, 1).record() });
        records
    }

    #[tokio::test]
    async fn a_refused_row_refuses_its_batch_and_no_other() {
        let chaos = Chaos::new(Arc::new(MemoryStore::new()));
        chaos.refuse(|table, row| table.name == Service::TABLE.name && row[0] == Value::from("bad"));
        let mut sender = Sender::new();
        let error = chaos.commit(sender.batch(records("bad"))).await.expect_err("the row is refused");
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Invalid, Applied::No));
        send(&chaos, &sender.batch(records("good"))).await;
        assert_eq!(all::<Service>(&chaos).await.len(), 1);
    }

    #[tokio::test]
    async fn it_is_away_for_as_many_calls_as_told() {
        let chaos = Chaos::new(Arc::new(MemoryStore::new()));
        chaos.unavailable_for(2);
        let batch = Sender::new().batch(records("a"));
        let error = chaos.commit(batch.clone()).await.expect_err("it is away");
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Unavailable, Applied::No));
        assert!(chaos.prune(Service::TABLE, Timestamp(0), &[], 1).await.is_err());
        assert!(all::<Service>(&chaos).await.is_empty(), "reads go through");
        assert_eq!(send(&chaos, &batch).await, Outcome::Applied);
        assert_eq!(chaos.commits(), 2);
    }

    #[tokio::test]
    async fn it_says_the_truth_of_every_failure() {
        let chaos = Chaos::new(Arc::new(MemoryStore::new()));
        chaos.fail_at_random(1);
        let (mut sender, mut applied, mut failures, mut lost_answers) = (Sender::new(), 0, 0, 0);
        for at in 0..200 {
            let answer = chaos.commit(sender.batch(records(&at.to_string()))).await;
            let stored = all::<Service>(&chaos).await.len();
            match answer.map_err(|error| error.applied()) {
                Ok(committed) => assert_eq!((committed.outcome, stored), (Outcome::Applied, applied + 1)),
                Err(Applied::No) => assert_eq!(stored, applied),
                Err(Applied::Unknown) => lost_answers += stored - applied,
            }
            failures += usize::from(stored == applied);
            applied = stored;
        }
        assert!(failures > 0 && lost_answers > 0);
    }
}
