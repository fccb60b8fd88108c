//! How a writer ends.

use std::time::Duration;

use tallybook_writer::{AckLevel, QueueOptions, Refused, State, WhenFull, WriterOptions};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, Unruly, account, start, with_queue, write};

#[tokio::test(start_paused = true)]
async fn a_stop_refuses_new_requests_and_commits_what_is_pending() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_millis(100));
    let writer = start(&store, &with_queue(QueueOptions { ack: AckLevel::Queued, ..QueueOptions::default() }));
    for name in ["a", "b", "c"] {
        write(&writer, [name]).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
    let stopping = tokio::spawn({
        let writer = writer.clone();
        async move { writer.stop(Duration::from_secs(5)).await }
    });
    sleep(Duration::from_millis(10)).await;
    assert_eq!(writer.stats().state, State::Stopping);
    assert_eq!(write(&writer, ["late"]).await, Err(Refused::Stopping));
    let stopped = stopping.await.unwrap();
    assert_eq!((stopped.drained, stopped.records_left, &stopped.error), (true, 0, &None));
    assert_eq!(writer.stop(Duration::ZERO).await, stopped, "a repeat has the same answer");
    let stats = writer.stats();
    assert_eq!(stats.state, State::Stopped);
    assert_eq!(stats.refused_requests.stopping, 1);
    assert_eq!((account(&stats).merged, account(&stats).queued), (3, 0));
    assert_eq!(store.spans().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn everything_that_was_taken_before_the_stop_is_answered() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_millis(50));
    let writer = start(&store, &WriterOptions::default());
    let callers: Vec<_> = (0..50)
        .map(|caller| {
            let writer = writer.clone();
            tokio::spawn(async move {
                sleep(Duration::from_millis(caller * 7)).await;
                write(&writer, [format!("n{caller}")]).await
            })
        })
        .collect();
    sleep(Duration::from_millis(200)).await;
    assert!(writer.stop(Duration::from_secs(5)).await.drained);
    let mut written = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(_) => written += 1,
            Err(refused) => assert_eq!(refused, Refused::Stopping),
        }
    }
    assert_eq!(store.spans().await.len(), written);
    assert_eq!(account(&writer.stats()).merged, written as u64);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_cannot_write_gives_up_in_time_and_says_what_is_left() {
    let store = Unruly::new();
    store.fails(|_| Fault::Unavailable);
    let writer = start(&store, &WriterOptions::default());
    let caller = tokio::spawn({
        let writer = writer.clone();
        async move { write(&writer, ["a", "b"]).await }
    });
    sleep(Duration::from_secs(1)).await;
    let waiting = tokio::spawn({
        let writer = writer.clone();
        async move { write(&writer, ["outside"]).await }
    });
    sleep(Duration::from_secs(1)).await;
    let asked = Instant::now();
    let stopped = writer.stop(Duration::from_secs(3)).await;
    assert!(asked.elapsed() < Duration::from_millis(3100), "{:?}", asked.elapsed());
    assert_eq!((stopped.drained, stopped.records_left), (false, 2));
    assert!(stopped.error.unwrap().contains("the store is away"));
    match caller.await.unwrap() {
        Err(Refused::Unacknowledged { error }) => assert!(error.contains("the store is away")),
        other => panic!("{other:?}"),
    }
    assert_eq!(waiting.await.unwrap(), Err(Refused::Stopping));
    assert_eq!(account(&writer.stats()).queued, 2);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_learns_of_the_stop_at_once() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_secs(20));
    let queue = QueueOptions {
        ack: AckLevel::Queued,
        when_full: WhenFull::Block { limit: Duration::from_secs(60) },
        max_pending_rows: 1,
        ..QueueOptions::default()
    };
    let writer = start(&store, &with_queue(queue));
    write(&writer, ["committing"]).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    write(&writer, ["pending"]).await.unwrap();
    let asked = Instant::now();
    let stop = async {
        sleep(Duration::from_secs(1)).await;
        writer.stop(Duration::from_secs(60)).await
    };
    let waiting = async {
        assert_eq!(write(&writer, ["waiting"]).await, Err(Refused::Stopping));
        assert_eq!(asked.elapsed().as_secs(), 1);
    };
    let (stopped, ()) = tokio::join!(stop, waiting);
    assert!(stopped.drained);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_commit_that_hangs() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_secs(3600));
    let writer = start(&store, &with_queue(QueueOptions { ack: AckLevel::Queued, ..QueueOptions::default() }));
    write(&writer, ["a"]).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    write(&writer, ["b"]).await.unwrap();
    let asked = Instant::now();
    let stopped = writer.stop(Duration::from_secs(3)).await;
    assert!(asked.elapsed() < Duration::from_millis(3100), "{:?}", asked.elapsed());
    assert_eq!((stopped.drained, stopped.records_left), (false, 2));
    assert!(stopped.error.unwrap().contains("did not answer"));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_dropped_writes_what_it_has() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_millis(100));
    let writer = start(&store, &with_queue(QueueOptions { ack: AckLevel::Queued, ..QueueOptions::default() }));
    write(&writer, ["a"]).await.unwrap();
    drop(writer);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(store.spans().await.len(), 1);
}
