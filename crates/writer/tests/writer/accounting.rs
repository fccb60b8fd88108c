//! Every record is somewhere, at every moment.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tallybook_core::Signal;
use tallybook_core::Timestamp;
use tallybook_writer::{AckLevel, QueueOptions, Refused, WhenFull, WriterOptions};
use tokio::time::sleep;

use crate::support::{Unruly, account, is_span, request, start, with_queue, write};

/// Callers of every temper write while the store fails in every way. What each of them was told is compared with what is
/// in the store.
async fn random_load_with_faults(seed: u64, ack: AckLevel, when_full: WhenFull) {
    println!("seed {seed}");
    let store = Unruly::new();
    store.chaos.delay(Duration::from_millis(3));
    store.chaos.fail_at_random(seed);
    store.chaos.refuse(|table, row| is_span(table, row, "bad"));
    let queue = QueueOptions { ack, when_full, max_pending_rows: 200, ..QueueOptions::default() };
    let writer = start(&store, &WriterOptions { flush_rows: 60, ..with_queue(queue) });

    let callers = (0..20).map(|caller: u64| {
        let writer = writer.clone();
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed * 1000 + caller);
            let mut written = BTreeMap::new();
            for _ in 0..40 {
                let names: Vec<String> = (0..random.random_range(0..12))
                    .map(|_| {
                        if random.random_ratio(1, 50) {
                            "bad".into()
                        } else {
                            format!("n{}", random.random_range(0..80))
                        }
                    })
                    .collect();
                loop {
                    let answer = write(&writer, &names).await;
                    account(&writer.stats());
                    match answer {
                        Ok(observed) if observed.rejected > 0 => break,
                        Ok(_) => {
                            for name in &names {
                                *written.entry(name.clone()).or_insert(0) += 1;
                            }
                            break;
                        }
                        Err(Refused::Full { retry_after } | Refused::Unavailable { retry_after, .. }) => {
                            sleep(retry_after).await;
                        }
                        Err(refused) => panic!("{refused}"),
                    }
                }
                sleep(Duration::from_millis(random.random_range(0..40))).await;
            }
            written
        })
    });
    let mut written: BTreeMap<String, u64> = BTreeMap::new();
    for caller in callers.collect::<Vec<_>>() {
        for (name, count) in caller.await.unwrap() {
            *written.entry(name).or_default() += count;
        }
    }

    let stopped = writer.stop(Duration::from_secs(600)).await;
    assert!(stopped.drained, "{stopped:?}");
    let account = account(&writer.stats());
    let bad = written.remove("bad").unwrap_or_default();
    assert_eq!(store.spans().await, written, "what is in the store is what was acknowledged, once");
    assert_eq!(account.queued, 0);
    assert_eq!(account.merged, written.values().sum::<u64>());
    assert_eq!(account.rejected, bad);
    assert!(writer.stats().retries > 0);
}

#[tokio::test(start_paused = true)]
async fn every_record_is_accounted_for_and_stored_once_while_the_store_fails_in_every_way() {
    let block = WhenFull::Block { limit: Duration::from_secs(2) };
    for seed in 0..3 {
        random_load_with_faults(seed, AckLevel::Written, block).await;
        random_load_with_faults(seed, AckLevel::Queued, block).await;
        random_load_with_faults(seed, AckLevel::Queued, WhenFull::Shed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_account_balances_whenever_another_thread_looks() {
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let writer = writer.clone();
            tokio::spawn(async move {
                for round in 0..50 {
                    write(&writer, (0..20).map(|name| format!("{caller}-{}", (round + name) % 30))).await.unwrap();
                }
            })
        })
        .collect();
    while !callers.iter().all(tokio::task::JoinHandle::is_finished) {
        account(&writer.stats());
        sleep(Duration::from_millis(1)).await;
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let account = account(&writer.stats());
    assert_eq!((account.merged, account.queued), (8 * 50 * 20, 0));
    assert_eq!(store.spans().await.values().sum::<u64>(), 8 * 50 * 20);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_read_offers_nothing_and_is_counted() {
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    let whole = request(["a", "b"]);
    let cut = whole.slice(..whole.len() - 1);
    assert!(matches!(writer.telemetry(Signal::Span, cut, Timestamp::now()).await, Err(Refused::Decode(_))));
    let stats = writer.stats();
    assert_eq!(stats.refused_requests.decode, 1);
    assert_eq!(account(&stats).offered, 0);
    assert_eq!(stats.waiting_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_a_balanced_account() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_secs(10));
    let options = with_queue(QueueOptions { max_pending_rows: 1, ..QueueOptions::default() });
    let writer = start(&store, &options);
    // The first is being committed, the second is folded, the third waits for room.
    let callers: Vec<_> = ["a", "b", "c"]
        .map(|name| {
            let writer = writer.clone();
            tokio::spawn(async move { write(&writer, [name]).await })
        })
        .into_iter()
        .collect();
    sleep(Duration::from_millis(100)).await;
    assert!(writer.stats().waiting_bytes > 0);
    for caller in &callers {
        caller.abort();
    }
    for caller in callers {
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    assert_eq!(writer.stats().waiting_bytes, 0);
    assert_eq!(account(&writer.stats()).offered, 2);
    assert!(writer.stop(Duration::from_secs(60)).await.drained);
    assert_eq!(account(&writer.stats()).merged, 2);
    assert_eq!(store.spans().await.len(), 2);
}

#[tokio::test]
async fn a_large_request_is_counted_like_a_small_one() {
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    let observed = write(&writer, (0..40_000).map(|name| format!("name-{}", name % 100))).await.unwrap();
    assert_eq!((observed.records, observed.rejected), (40_000, 0));
    assert_eq!(store.spans().await.values().sum::<u64>(), 40_000);
    assert_eq!(writer.stats().waiting_bytes, 0);
}
