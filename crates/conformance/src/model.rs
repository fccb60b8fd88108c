//! The model test: random steps, taken by a backend and by the memory store, must lead to the same answers; with and
//! without faults in between. A failure is shrunk and names the seed that repeats it.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tallybook_core::{
    Ack, Applied, Batch, Committed, Condition, Counts, ErrorKind, Outcome, Records, Segment, Store, TABLES,
    TickStore as _, Timestamp,
};
use tallybook_store_memory::MemoryStore;

use crate::cases::Case;
use crate::follower::Follower;
use crate::queries::random_query;
use crate::steps::{Step, hours_of, step};
use crate::support::{Sender, answer, assert_same, contents, day_counts, open, rows, ticks};
use crate::{Chaos, Fixtures, NewPlace};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "model_any_steps_lead_where_the_memory_store_goes",
        run: |new_place| Box::pin(try_steps(new_place, |store, _| store)),
    },
    Case {
        name: "model_faults_lose_nothing_and_apply_nothing_twice",
        run: |new_place| {
            Box::pin(try_steps(new_place, |store, seed| {
                let chaos = Chaos::new(store);
                chaos.fail_at_random(seed);
                Arc::new(chaos)
            }))
        },
    },
];

/// Repeats a run that failed.
const SEED_VARIABLE: &str = "CONFORMANCE_SEED";
/// Sequences of steps, each over a new store. For a longer search, run the case again: every run has a new seed.
const RUNS: u32 = 24;
const STEPS_MAX: usize = 24;
/// Each step less costs a new store.
const SHRINK_STEPS_MAX: u32 = 200;

/// Takes many random sequences of steps, each over a fresh store as `wrap` makes it.
async fn try_steps(new_place: NewPlace, wrap: fn(Arc<dyn Store>, u64) -> Arc<dyn Store>) {
    let seed = std::env::var(SEED_VARIABLE).ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    eprintln!("{SEED_VARIABLE}={seed}");
    let config =
        Config { cases: RUNS, max_shrink_iters: SHRINK_STEPS_MAX, failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Handle::current();
    let runs = tokio::task::spawn_blocking(move || {
        let mut seed_bytes = [0; 32];
        seed_bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes);
        let steps = (prop::collection::vec(step(), 1..=STEPS_MAX), any::<u64>());
        TestRunner::new_with_rng(config, random).run(&steps, |(steps, fault_seed)| {
            runtime.block_on(async {
                let place = new_place();
                take_steps(&steps, async || wrap(open(&*place).await, fault_seed)).await;
            });
            Ok(())
        })
    });
    if let Err(failure) = runs.await.expect("the runner catches what panics in it") {
        panic!("{failure}\nrepeat it with {SEED_VARIABLE}={seed}");
    }
}

async fn take_steps(steps: &[Step], open: impl AsyncFn() -> Arc<dyn Store>) {
    let mut store = open().await;
    let reference = MemoryStore::new();
    let mut sender = Sender::new();
    let mut sent: Vec<Arc<Batch>> = Vec::new();
    let mut follower = Follower::new();
    for step in steps {
        match *step {
            Step::Commit { ref records, ref moves, durable } => {
                let batch = batch(&mut sender, records, moves, durable);
                let (outcome, counts) = send_until_answered(&*store, &batch).await;
                assert!(matches!(outcome, None | Some(Outcome::Applied)), "a new batch: {outcome:?}");
                let expected = answer(&reference, &batch).await;
                assert_eq!(counts, counts_of(&expected), "of its pings, ticks and executions");
                sent.push(batch);
            }
            Step::SendAgain { back } => {
                let Some(batch) = sent.iter().rev().nth(back) else { continue };
                let (outcome, counts) = send_until_answered(&*store, batch).await;
                assert!(matches!(outcome, None | Some(Outcome::Duplicate)), "a known batch: {outcome:?}");
                if back == 0 {
                    let expected = answer(&reference, batch).await;
                    assert_eq!(counts, counts_of(&expected), "the same as the first time");
                }
            }
            Step::Prune { table, before, only_hours, limit } => {
                let hours = Vec::from_iter(hours_of(TABLES[table]).filter(|_| only_hours));
                let gone = prune_all(&*store, table, before, &hours, limit).await;
                assert_eq!(gone, prune_all(&reference, table, before, &hours, limit).await);
            }
            Step::Select { table, seed } => {
                let table = TABLES[table];
                let query = random_query(&mut Fixtures::few(seed), table, &rows(&reference, table).await);
                let expected = reference.select(table, &query).await.expect("the memory store lists a table");
                let found = store.select(table, &query).await.expect("the store lists a table");
                assert_eq!(found, expected, "`{}` {query:?}", table.name);
            }
            Step::Ticks { seed } => {
                let query = Fixtures::few(seed).tick_query(&ticks(&reference).await);
                let expected = reference.ticks(&query).await.expect("the memory store lists ticks");
                assert_eq!(store.ticks(&query).await.expect("the store lists ticks"), expected, "{query:?}");
                let expected = reference.symbols(query.range).await.expect("the memory store lists symbols");
                assert_eq!(store.symbols(query.range).await.expect("the store lists symbols"), expected, "{query:?}");
            }
            Step::Seal { day } => seal(&*store, day, &reference).await,
            Step::Unseal { day } => unseal(&*store, day).await,
            Step::DropSegment { day } => {
                let gone = store.drop_segment(day).await.expect("the store drops a day");
                assert_eq!(gone, reference.drop_segment(day).await.expect("the memory store drops a day"));
            }
            Step::Follow { limit } => drop(follower.page(&*store, limit).await),
            Step::Restart if store.info().persistent => {
                store.close().await.expect("the store closes");
                drop(store);
                store = open().await;
            }
            Step::Restart => {}
        }
    }
    let expected = contents(&reference).await;
    assert_same(&contents(&*store).await, &expected);
    follower.catch_up(&*store, 13).await;
    assert_same(&follower.contents_within(&expected), &expected);
    let mut late = Follower::new();
    late.catch_up(&*store, 17).await;
    assert_same(&late.contents(), &expected);
    store.close().await.expect("the store closes");
}

fn batch(sender: &mut Sender, of: &[(usize, u64)], moves: &[u64], durable: bool) -> Arc<Batch> {
    let mut records = Records::default();
    for &(kind, seed) in of {
        Fixtures::few(seed).add(kind, &mut records);
    }
    records.catalogue.template_moves = moves.iter().map(|&seed| Fixtures::few(seed).template_move()).collect();
    let batch = sender.batch(records);
    let ack = if durable { Ack::Durable } else { Ack::Written };
    Arc::new(Batch { ack, ..(*batch).clone() })
}

/// What became of pings, ticks and rows of executions.
fn counts_of(committed: &Committed) -> [Counts; 3] {
    let Committed { outcome: _, pings, ticks, executions } = *committed;
    [pings, ticks, executions]
}

/// Sends as a careful caller does, again and again under one `BatchId`; the outcome is `None` where an earlier attempt
/// may have been applied. The counts are those of the first time even so.
async fn send_until_answered(store: &dyn Store, batch: &Arc<Batch>) -> (Option<Outcome>, [Counts; 3]) {
    let mut certain = true;
    loop {
        match store.commit(batch.clone()).await {
            Ok(committed) => return (certain.then_some(committed.outcome), counts_of(&committed)),
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                certain &= error.applied() == Applied::No;
            }
        }
    }
}

/// Seals a day where the store can: it must say so of exactly the days there are.
async fn seal(store: &dyn Store, day: Timestamp, reference: &MemoryStore) {
    let count = day_counts(reference).await.into_iter().find(|&(known, _)| known == day).map(|(_, count)| count);
    match store.seal(day).await.map_err(|error| error.kind()) {
        Ok(Segment { day: sealed_day, count: sealed_count, bytes: _, sealed, late, error }) => {
            assert_eq!((sealed_day, Some(sealed_count), sealed, late, error), (day, count, true, 0, None));
        }
        Err(ErrorKind::Invalid) => assert_eq!(count, None, "the day is there"),
        Err(kind) => assert_eq!(kind, ErrorKind::Unsupported),
    }
}

/// Turns a day back if it is sealed.
async fn unseal(store: &dyn Store, day: Timestamp) {
    let segments = store.segments().await.expect("the store lists days");
    let Some(sealed) = segments.into_iter().find(|segment| segment.day == day && segment.sealed) else { return };
    let unsealed = store.unseal(day).await.expect("the store unseals a sealed day");
    assert_eq!((unsealed.count, unsealed.sealed), (sealed.count, false));
}

/// Prunes page by page and says how many rows went.
async fn prune_all(store: &dyn Store, table: usize, before: i64, conditions: &[Condition], limit: usize) -> u64 {
    let mut all = 0;
    loop {
        let gone = store.prune(TABLES[table], Timestamp(before), conditions, limit).await.expect("the store prunes");
        assert!(gone <= limit as u64, "{gone} rows went where {limit} were allowed");
        if gone == 0 {
            return all;
        }
        all += gone;
    }
}
