//! Ticks that are offered one by one: never waited for, never lost, and in memory at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{Family, Tick, TickKey};
use tallybook_writer::{QueueOptions, Refused, TickOptions, WhenFull, WriterOptions};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, Unruly, account_of, start, tick, unnumbered};

const A_MINUTE: Duration = Duration::from_secs(60);

fn keys(ticks: &[Tick]) -> Vec<TickKey> {
    ticks.iter().map(Tick::key).collect()
}

#[tokio::test(start_paused = true)]
async fn an_offered_tick_is_in_memory_at_once_and_in_the_store_soon() {
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    for millis in [1, 3, 2] {
        writer.offer(tick("EURUSD", millis, 0)).unwrap();
    }
    let newest_first = [tick("EURUSD", 3, 0), tick("EURUSD", 2, 0), tick("EURUSD", 1, 0)];
    assert_eq!(writer.recent("EURUSD", 10), newest_first);
    assert_eq!(writer.recent("EURUSD", 1), newest_first[..1]);
    assert!(writer.recent("X", 10).is_empty());
    let account = account_of(Family::Tick, &writer.stats());
    assert_eq!((account.offered, account.queued), (3, 3));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(store.ticks_of("EURUSD").await.len(), 3);
    assert_eq!(account_of(Family::Tick, &writer.stats()).stored, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_four_threads_offer_is_stored_to_the_last_tick() {
    const EACH: usize = 20_000;
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let writer = writer.clone();
            std::thread::spawn(move || {
                for nth in 0..EACH {
                    // All threads send the same symbols and time stamps, like feeds of the same market.
                    let symbol = ["EURUSD", "GBPUSD", "USDJPY"][nth % 3];
                    let from = Arc::from(format!("lp {thread}"));
                    writer.offer(Tick { source: from, ..unnumbered(symbol, nth as i64 / 30) }).unwrap();
                }
            })
        })
        .collect();
    while !threads.iter().all(std::thread::JoinHandle::is_finished) {
        account_of(Family::Tick, &writer.stats());
        sleep(Duration::from_millis(1)).await;
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(writer.stop(A_MINUTE).await.drained);
    let account = account_of(Family::Tick, &writer.stats());
    assert_eq!((account.offered, account.stored, account.queued), (4 * EACH as u64, 4 * EACH as u64, 0));
    let mut stored = 0;
    for symbol in ["EURUSD", "GBPUSD", "USDJPY"] {
        let ticks = store.ticks_of(symbol).await;
        let recent = keys(&writer.recent(symbol, 100));
        assert_eq!(recent, keys(&ticks).into_iter().rev().take(100).collect::<Vec<_>>());
        stored += ticks.len();
    }
    assert_eq!(stored, 4 * EACH);
}

#[tokio::test(start_paused = true)]
async fn offers_that_find_no_room_come_back_at_once_and_are_counted_as_the_policy_says() {
    for when_full in [WhenFull::Block { limit: A_MINUTE }, WhenFull::Shed] {
        let store = Unruly::new();
        store.chaos.delay(A_MINUTE);
        let queue = QueueOptions { when_full, max_pending_rows: 2, ..QueueOptions::default() };
        let ticks = TickOptions { queue, ..TickOptions::default() };
        let writer = start(&store, &WriterOptions { ticks, ..WriterOptions::default() });
        let asked = Instant::now();
        let answers = [1, 2, 3, 4].map(|millis| writer.offer(tick("A", millis, 0)).is_ok());
        assert_eq!(answers, [true, true, false, false]);
        assert_eq!(asked.elapsed(), Duration::ZERO);
        let stats = writer.stats();
        let account = account_of(Family::Tick, &stats);
        let shed = if when_full == WhenFull::Shed { 2 } else { 0 };
        assert_eq!((account.offered, account.shed, account.queued), (2 + shed, shed, 2));
        assert_eq!(stats.refused_requests.full, 2 - shed);
        assert!(writer.stop(2 * A_MINUTE).await.drained);
        assert_eq!(store.ticks_of("A").await.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_commits_what_was_offered_and_refuses_the_rest() {
    let store = Unruly::new();
    store.fails(|commit| if commit < 3 { Fault::UnknownAfter } else { Fault::None });
    let writer = start(&store, &WriterOptions::default());
    for millis in 0..1000 {
        writer.offer(unnumbered("EURUSD", millis)).unwrap();
    }
    let (request, stopped) = tokio::join!(writer.ticks(vec![tick("X", 1, 0)]), writer.stop(A_MINUTE));
    assert_eq!((stopped.drained, stopped.records_left), (true, 0));
    assert_eq!(request.unwrap().counts.stored, 1);
    assert_eq!(writer.offer(tick("EURUSD", 1, 0)), Err(Refused::Stopping));
    assert_eq!(writer.ticks(vec![tick("EURUSD", 1, 0)]).await, Err(Refused::Stopping));
    let account = account_of(Family::Tick, &writer.stats());
    assert_eq!((account.offered, account.stored, account.queued), (1001, 1001, 0));
    assert_eq!(store.ticks_of("EURUSD").await.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_cannot_write_ticks_gives_up_in_time_and_says_what_is_left() {
    let store = Unruly::new();
    store.fails(|_| Fault::Unavailable);
    let writer = start(&store, &WriterOptions::default());
    let request = tokio::spawn({
        let writer = writer.clone();
        async move { writer.ticks(vec![tick("X", 1, 0), tick("X", 2, 0)]).await }
    });
    sleep(Duration::from_secs(1)).await;
    writer.offer(tick("X", 3, 0)).unwrap();
    let stopped = writer.stop(Duration::from_secs(3)).await;
    assert_eq!((stopped.drained, stopped.records_left), (false, 3));
    assert!(stopped.error.unwrap().contains("the store is away"));
    assert!(matches!(request.await.unwrap(), Err(Refused::Unacknowledged { .. })));
}

#[tokio::test(start_paused = true)]
async fn ticks_of_the_same_moment_are_all_kept_and_numbered_in_the_order_they_came() {
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    knows_others().await;
    writer.offer(unnumbered("A", 1)).unwrap();
    for price in ["1.1", "1.2", "1.3"] {
        writer.offer(Tick { bid: price.parse().ok(), ..unnumbered("A", 2) }).unwrap();
    }
    let late = writer.ticks(vec![unnumbered("A", 1), tick("A", 1, 77), unnumbered("A", 2)]).await.unwrap();
    assert_eq!(late.counts.stored, 3);
    let stored = store.ticks_of("A").await;
    let of_two: Vec<_> = stored.iter().filter(|tick| tick.time == unnumbered("A", 2).time).collect();
    assert_eq!(of_two.iter().map(|tick| tick.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(of_two[2].bid, "1.3".parse().ok());
    assert_eq!(stored.iter().map(Tick::key).collect::<BTreeSet<_>>().len(), 7);
}

/// Until the writer has learnt what earlier processes may have numbered.
async fn knows_others() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_gives_no_number_twice() {
    let store = Unruly::new();
    let before = start(&store, &WriterOptions::default());
    knows_others().await;
    // Stamped ahead of the clock, as all is once the clock was set back.
    let feed = || (0..100).map(|millis| unnumbered("A", millis / 5)).collect::<Vec<_>>();
    assert_eq!(before.ticks(feed()).await.unwrap().counts.stored, 100);
    assert!(before.stop(A_MINUTE).await.drained);
    let after = start(&store, &WriterOptions::default());
    knows_others().await;
    assert_eq!(after.ticks(feed()).await.unwrap().counts.stored, 100);
    assert_eq!(store.ticks_of("A").await.len(), 200);
}

#[tokio::test(start_paused = true)]
async fn two_writers_of_a_shared_store_number_ticks_apart() {
    let store = Unruly::shared();
    let writers = [start(&store, &WriterOptions::default()), start(&store, &WriterOptions::default())];
    for writer in &writers {
        let ticks = (0..50).map(|millis| unnumbered("A", millis / 5)).collect();
        assert_eq!(writer.ticks(ticks).await.unwrap().counts.stored, 50);
    }
    assert_eq!(store.ticks_of("A").await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_has_limits_and_what_is_stored_has_none() {
    let store = Unruly::new();
    let ticks = TickOptions { ring_per_symbol: 10, max_ring_symbols: 2, max_ring_ticks: 15, ..TickOptions::default() };
    let writer = start(&store, &WriterOptions { ticks, ..WriterOptions::default() });
    for millis in 0..20 {
        for symbol in ["A", "B", "C"] {
            writer.offer(unnumbered(symbol, millis)).unwrap();
        }
    }
    let rings = writer.stats().rings;
    assert_eq!((rings.symbols, rings.ticks, rings.overflowed), (2, 15, 20));
    assert_eq!(["A", "B", "C"].map(|symbol| writer.recent(symbol, 100).len()), [8, 7, 0]);
    assert_eq!(writer.recent("A", 1)[0].time, tick("A", 19, 0).time);
    assert!(writer.stop(A_MINUTE).await.drained);
    assert_eq!(store.ticks_of("C").await.len(), 20);
}
