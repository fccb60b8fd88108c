//! A mirror beside a primary in memory, through outages, orders and a stop.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tallybook_conformance::{ChaosFollower, Fixtures};
use tallybook_core::{
    Ack, Batch, BatchId, Error, ErrorKind, Follower, Record as _, Records, Result, Service, SourceId, Store,
    StoreExt as _, Timestamp,
};
use tallybook_mirror::{Finding, Mirror, MirrorOptions, Opener, State, Status, compare, move_all};
use tallybook_store_memory::MemoryStore;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

const FAST: MirrorOptions =
    MirrorOptions { min_interval: Duration::from_millis(5), poll_interval: Duration::from_millis(20) };

struct Primary {
    store: Arc<MemoryStore>,
    fixtures: Fixtures,
    wakes: watch::Sender<u64>,
    id: BatchId,
}

impl Primary {
    fn new(seed: u64) -> Self {
        let id = BatchId { source: SourceId::mint(), seq: 0 };
        let wakes = watch::Sender::new(0);
        Self { store: Arc::new(MemoryStore::new()), fixtures: Fixtures::odd(seed), wakes, id }
    }

    async fn commit(&mut self, count: usize) {
        self.id.seq += 1;
        let records: Records = self.fixtures.records(count);
        let batch = Batch { id: self.id, ack: Ack::Written, records };
        self.store.commit(Arc::new(batch)).await.expect("the memory store takes a batch");
        self.wakes.send_modify(|commits| *commits += 1);
    }

    async fn mirror(&self, open: Opener) -> Result<Mirror> {
        Mirror::start(self.store.clone(), "somewhere", open, self.wakes.subscribe(), FAST).await
    }
}

fn opens(follower: &Arc<MemoryStore>) -> Opener {
    let follower = follower.clone();
    Arc::new(move || {
        let follower: Arc<dyn Follower> = follower.clone();
        Box::pin(async move { Ok(follower) })
    })
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let given_up_at = Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(Instant::now() < given_up_at, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn state_is(mirror: &Mirror, state: State) -> Status {
    until(state.as_str(), async || mirror.status().state == state).await;
    mirror.status()
}

async fn same(one: &MemoryStore, other: &MemoryStore) -> bool {
    compare(one, other, 1, |_| ()).await.expect("memory is compared").differences() == 0
}

async fn holds_the_same(one: &MemoryStore, other: &MemoryStore) {
    until("the mirror holds what the primary holds", async || same(one, other).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_fills_the_mirror_and_follows_every_commit() {
    let mut primary = Primary::new(1);
    primary.commit(300).await;
    let follower = Arc::new(MemoryStore::new());
    let mirror = primary.mirror(opens(&follower)).await.expect("it starts");
    for _ in 0..5 {
        primary.commit(40).await;
        holds_the_same(&primary.store, &follower).await;
    }
    // A page is there before it is counted.
    let counted = |status: &Status| status.progress.records() >= 500 && status.progress.pages >= 5;
    until("all is counted", async || counted(&mirror.status())).await;
    let status = state_is(&mirror, State::Following).await;
    assert_eq!((status.lag_records, status.lag, status.errors), (Some(0), Some(Duration::ZERO), 0));
    assert_eq!(status.target.as_ref(), "memory");
    assert!(mirror.stop(Duration::from_secs(60)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_is_away_at_the_start_is_filled_when_it_comes() {
    let mut primary = Primary::new(2);
    let (follower, is_there) = (Arc::new(MemoryStore::new()), Arc::new(AtomicBool::new(false)));
    let (opened, there) = (follower.clone(), is_there.clone());
    let open: Opener = Arc::new(move || {
        let (follower, there): (Arc<dyn Follower>, _) = (opened.clone(), there.load(Ordering::Relaxed));
        let away = || Error::new(ErrorKind::Unavailable, "opening a mirror", "nobody answers");
        Box::pin(async move { there.then_some(follower).ok_or_else(away) })
    });
    let mirror = primary.mirror(open).await.expect("the primary does not wait for it");
    primary.commit(100).await;
    let status = state_is(&mirror, State::Failing).await;
    assert_eq!(status.target.as_ref(), "somewhere");
    assert!(status.failing_since.is_some() && status.last_error.is_some_and(|last| last.error.contains("nobody")));
    is_there.store(true, Ordering::Relaxed);
    holds_the_same(&primary.store, &follower).await;
    assert_eq!(state_is(&mirror, State::Following).await.failing_since, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_cannot_be_is_refused_at_once() {
    let primary = Primary::new(3);
    let open: Opener = Arc::new(|| {
        Box::pin(async { Err(Error::new(ErrorKind::Unsupported, "opening a mirror", "the server is too old")) })
    });
    let refused = primary.mirror(open).await.map(|_| ()).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::Unsupported));
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_it_lets_go_and_rests_and_resumed_it_catches_up() {
    let mut primary = Primary::new(4);
    let follower = Arc::new(MemoryStore::new());
    let mirror = primary.mirror(opens(&follower)).await.expect("it starts");
    primary.commit(50).await;
    holds_the_same(&primary.store, &follower).await;
    state_is(&mirror, State::Following).await;
    // This test, who opens it, and the mirror.
    assert_eq!(Arc::strong_count(&follower), 3);
    mirror.pause();
    state_is(&mirror, State::Paused).await;
    assert_eq!(Arc::strong_count(&follower), 2, "others may have it");
    primary.commit(50).await;
    sleep(Duration::from_millis(60)).await;
    assert!(!same(&primary.store, &follower).await, "it rests");
    assert!(mirror.status().lag > Some(Duration::ZERO));
    mirror.resume();
    holds_the_same(&primary.store, &follower).await;
    state_is(&mirror, State::Following).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_another_store_is_left_alone_until_it_is_rebuilt() {
    let (mut first, mut second) = (Primary::new(5), Primary::new(6));
    first.commit(60).await;
    second.commit(60).await;
    let follower = Arc::new(MemoryStore::new());
    move_all(&*first.store, &*follower, |_, _| ()).await.expect("everything is moved");
    let mirror = second.mirror(opens(&follower)).await.expect("it starts");
    let status = state_is(&mirror, State::Refused).await;
    assert!(status.last_error.is_some_and(|last| last.error.contains("rebuild")));
    assert!(same(&first.store, &follower).await, "nothing was touched");
    mirror.rebuild();
    holds_the_same(&second.store, &follower).await;
    state_is(&mirror, State::Following).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_follows_to_the_end_first() {
    let mut primary = Primary::new(7);
    let follower = Arc::new(MemoryStore::new());
    let slow = MirrorOptions { min_interval: Duration::from_secs(30), ..FAST };
    let mirror = Mirror::start(primary.store.clone(), "m", opens(&follower), primary.wakes.subscribe(), slow);
    let mirror = mirror.await.expect("it starts");
    state_is(&mirror, State::Following).await;
    primary.commit(200).await;
    let waits = primary.store.behind(&tallybook_core::Cursor::START).await.expect("the memory store counts");
    assert!(mirror.stop(Duration::from_secs(10)).await);
    let status = mirror.status();
    assert_eq!((status.state, status.progress.records()), (State::Stopped, waits));
}

async fn within<F: Future>(call: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), call).await.expect("it comes to an end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_through_faults_leads_to_the_same() {
    let mut primary = Primary::new(8);
    for _ in 0..10 {
        primary.commit(100).await;
    }
    let follower = Arc::new(MemoryStore::new());
    let failing = ChaosFollower::new(follower.clone(), 9);
    let mut failures = 0;
    let moved = within(move_all(&*primary.store, &failing, |_, error| failures += u32::from(error.is_some())));
    let moved = moved.await.expect("it is tried again until it is done");
    assert!(moved.records() > 0);
    let comparison = compare(&*primary.store, &*follower, 10, |_| ()).await.expect("memory is compared");
    assert_eq!((comparison.differences(), comparison.first_differences.len()), (0, 0));
    let records: u64 = comparison.tables.iter().flat_map(|table| &table.days).map(|day| day.from.records).sum();
    assert!(records > 0 && comparison.tables.iter().flat_map(|table| &table.days).all(|day| day.from == day.to));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_names_the_first_differences() {
    let (mut one, mut other) = (Primary::new(10), Primary::new(10));
    one.commit(100).await;
    other.commit(100).await;
    assert!(same(&one.store, &other.store).await, "the same fixtures");
    // The name of a service is its key; the greatest time it was seen at differs.
    let mut service: Service =
        one.store.list_all::<Service>(tallybook_core::Query::new(10)).await.expect("services")[0].clone();
    service.log_records += 1;
    service.last_seen = Timestamp(i64::MAX);
    let mut records = Records::default();
    records.catalogue.services.push(service.clone());
    let id = BatchId { source: SourceId::mint(), seq: 1 };
    other.store.commit(Arc::new(Batch { id, ack: Ack::Written, records })).await.expect("it is taken");
    let alone = Service { name: "only here".into(), ..service.clone() };
    let mut records = Records::default();
    records.catalogue.services.push(alone);
    let id = BatchId { source: SourceId::mint(), seq: 1 };
    one.store.commit(Arc::new(Batch { id, ack: Ack::Written, records })).await.expect("it is taken");
    let found = compare(&*one.store, &*other.store, 10, |_| ()).await.expect("memory is compared");
    assert_eq!(found.differences(), 2, "{found:?}");
    let of_service = found.first_differences.iter().filter(|found| found.table == Service::TABLE.name).count();
    assert_eq!(of_service, found.first_differences.len());
    let missing = found.first_differences.iter().find(|found| found.finding == Finding::Missing);
    assert_eq!(missing.map(|found| found.key.as_str()), Some("\"only here\""));
    assert!(found.first_differences.iter().any(|found| matches!(found.finding, Finding::Differs { .. })));
    let limited = compare(&*one.store, &*other.store, 1, |_| ()).await.expect("memory is compared");
    assert_eq!((limited.differences(), limited.first_differences.len()), (2, 1));
}
