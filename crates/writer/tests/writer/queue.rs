//! What it takes to get in, and when the answer comes.

use std::sync::Arc;
use std::time::Duration;

use tallybook_core::Ack;
use tallybook_writer::{AckLevel, QueueOptions, Refused, WhenFull, Writer, WriterOptions};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, Unruly, account, start, with_queue, write};

const A_MINUTE: Duration = Duration::from_secs(60);

/// A writer that answers when queued and is full: one flush runs for a minute and one row waits behind it.
async fn full(when_full: WhenFull) -> (Arc<Unruly>, Writer) {
    let store = Unruly::new();
    store.chaos.delay(A_MINUTE);
    let queue = QueueOptions { ack: AckLevel::Queued, when_full, max_pending_rows: 1, ..QueueOptions::default() };
    let writer = start(&store, &with_queue(queue));
    write(&writer, ["committing"]).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    write(&writer, ["pending"]).await.unwrap();
    (store, writer)
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_blocks_and_then_refuses_with_a_time_to_come_back() {
    let (store, writer) = full(WhenFull::Block { limit: Duration::from_secs(5) }).await;
    let asked = Instant::now();
    match write(&writer, ["late"]).await {
        Err(Refused::Full { retry_after }) => assert!(retry_after >= Duration::from_secs(1)),
        other => panic!("{other:?}"),
    }
    assert!(asked.elapsed() >= Duration::from_secs(5) && asked.elapsed() < Duration::from_secs(6));
    let stats = writer.stats();
    assert_eq!(stats.refused_requests.full, 1);
    assert_eq!(account(&stats).offered, 2, "who is told to come back has offered nothing");
    sleep(2 * A_MINUTE).await;
    assert_eq!(store.spans().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_in_as_soon_as_there_is_room() {
    let (_store, writer) = full(WhenFull::Block { limit: 2 * A_MINUTE }).await;
    let asked = Instant::now();
    write(&writer, ["late"]).await.unwrap();
    assert!(asked.elapsed() <= A_MINUTE + Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(writer.stats().refused_requests.full, 0);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_by_bytes_too() {
    let store = Unruly::new();
    store.chaos.delay(A_MINUTE);
    let queue = QueueOptions { ack: AckLevel::Queued, max_pending_bytes: 1, ..QueueOptions::default() };
    let writer = start(&store, &with_queue(queue));
    write(&writer, ["committing"]).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    write(&writer, ["pending"]).await.unwrap();
    assert!(matches!(write(&writer, ["late"]).await, Err(Refused::Full { .. })));
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_may_hold_only_so_many_bytes() {
    let store = Unruly::new();
    store.chaos.delay(A_MINUTE);
    let queue = QueueOptions {
        ack: AckLevel::Queued,
        when_full: WhenFull::Block { limit: 5 * A_MINUTE },
        max_pending_rows: 1,
        max_waiting_bytes: 1,
        ..QueueOptions::default()
    };
    let writer = start(&store, &with_queue(queue));
    write(&writer, ["committing"]).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    write(&writer, ["pending"]).await.unwrap();
    let first = tokio::spawn({
        let writer = writer.clone();
        async move { write(&writer, ["first to wait"]).await }
    });
    sleep(Duration::from_millis(1)).await;
    let asked = Instant::now();
    assert!(matches!(write(&writer, ["second"]).await, Err(Refused::Full { .. })));
    assert_eq!(asked.elapsed(), Duration::ZERO);
    first.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_shed_is_counted_and_the_answer_says_so() {
    let (store, writer) = full(WhenFull::Shed).await;
    let asked = Instant::now();
    let observed = write(&writer, ["x", "y", "z"]).await.unwrap();
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!((observed.records, observed.rejected), (0, 3));
    assert!(observed.message.unwrap().contains("3 records were dropped"));
    let before = account(&writer.stats());
    assert_eq!((before.offered, before.shed, before.queued), (5, 3, 2));
    assert!(writer.stop(5 * A_MINUTE).await.drained);
    let after = account(&writer.stats());
    assert_eq!((after.merged, after.shed, after.queued), (2, 3, 0));
    assert!(!store.spans().await.contains_key("x"));
}

#[tokio::test(start_paused = true)]
async fn a_queued_answer_does_not_wait_for_the_store_and_a_written_one_does() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_secs(3));
    for (ack, least, most) in [(AckLevel::Queued, 0, 0), (AckLevel::Written, 3, 4), (AckLevel::Durable, 3, 4)] {
        let writer = start(&store, &with_queue(QueueOptions { ack, ..QueueOptions::default() }));
        let asked = Instant::now();
        write(&writer, ["a"]).await.unwrap();
        let took = asked.elapsed().as_secs();
        assert!((least..=most).contains(&took), "{ack:?} took {took} s");
        assert!(writer.stop(A_MINUTE).await.drained);
    }
    let asked: Vec<Ack> = store.attempts().iter().map(|attempt| attempt.ack).collect();
    assert_eq!(asked, [Ack::Written, Ack::Written, Ack::Durable]);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_queued_requests_fill_the_queue_and_written_ones_stay_outside() {
    for (ack, taken) in [(AckLevel::Queued, true), (AckLevel::Written, false)] {
        let store = Unruly::new();
        store.fails(|_| Fault::Unavailable);
        let writer = start(&store, &with_queue(QueueOptions { ack, ..QueueOptions::default() }));
        let first = tokio::spawn({
            let writer = writer.clone();
            async move { write(&writer, ["first"]).await }
        });
        sleep(Duration::from_secs(1)).await;
        let answer = write(&writer, ["second"]).await;
        assert_eq!(answer.is_ok(), taken, "{answer:?}");
        assert_eq!(account(&writer.stats()).offered, 1 + u64::from(taken));
        assert_eq!(writer.stats().refused_requests.unavailable, u64::from(!taken));
        first.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn everybody_in_a_flush_is_answered_together() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_millis(50));
    let writer = start(&store, &WriterOptions::default());
    write(&writer, ["first"]).await.unwrap();
    let callers: Vec<_> = (0..100)
        .map(|caller| {
            let writer = writer.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(caller)).await;
                write(&writer, ["together"]).await.unwrap();
                Instant::now()
            })
        })
        .collect();
    let mut answered = Vec::new();
    for caller in callers {
        answered.push(caller.await.unwrap());
    }
    assert!(answered.iter().all(|at| *at == answered[0]));
    assert_eq!(store.attempts().len(), 2);
}
