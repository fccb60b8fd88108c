//! How often the writer commits.

use std::time::Duration;

use tallybook_writer::{AckLevel, QueueOptions, Writer, WriterOptions};
use tokio::time::{Instant, sleep};

use crate::support::{Unruly, start, with_queue, write};

/// Writers that never pause, until `until`; gives the longest answer time.
async fn busy_callers(writer: &Writer, count: usize, until: Instant) -> Duration {
    let callers: Vec<_> = (0..count)
        .map(|caller| {
            let writer = writer.clone();
            tokio::spawn(async move {
                let mut longest = Duration::ZERO;
                while Instant::now() < until {
                    let asked = Instant::now();
                    write(&writer, [format!("n{caller}")]).await.unwrap();
                    longest = longest.max(asked.elapsed());
                    sleep(Duration::from_millis(1)).await;
                }
                longest
            })
        })
        .collect();
    let mut longest = Duration::ZERO;
    for caller in callers {
        longest = longest.max(caller.await.unwrap());
    }
    longest
}

#[tokio::test(start_paused = true)]
async fn an_idle_writer_commits_at_once() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_millis(2));
    let writer = start(&store, &WriterOptions::default());
    for _ in 0..5 {
        sleep(Duration::from_secs(1)).await;
        let asked = Instant::now();
        write(&writer, ["a"]).await.unwrap();
        assert!(asked.elapsed() < Duration::from_millis(5), "{:?}", asked.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_writer_spends_at_most_a_fifth_of_its_time_on_commits() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_millis(20));
    let writer = start(&store, &WriterOptions::default());
    let begun = Instant::now();
    let longest = busy_callers(&writer, 20, begun + Duration::from_secs(10)).await;
    let flushes = store.attempts().len();
    assert!(flushes <= 102, "{flushes} flushes of 20 ms in 10 s");
    assert!(flushes >= 90, "{flushes} flushes");
    // One that just missed a flush waits for the pause and the next one.
    assert!(longest <= Duration::from_millis(130), "{longest:?}");
    assert_eq!(writer.stats().flushes, flushes as u64);
}

#[tokio::test(start_paused = true)]
async fn no_record_waits_for_more_than_a_second_for_its_flush_to_begin() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_millis(800));
    let writer = start(&store, &WriterOptions::default());
    let begun = Instant::now();
    let longest = busy_callers(&writer, 5, begun + Duration::from_secs(20)).await;
    assert!(longest <= Duration::from_millis(1850), "{longest:?}");
    assert!(longest >= Duration::from_millis(1500), "the pause is kept: {longest:?}");
}

#[tokio::test(start_paused = true)]
async fn many_pending_rows_do_not_wait_for_the_pace() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_millis(200));
    let queue = QueueOptions { ack: AckLevel::Queued, ..QueueOptions::default() };
    let writer = start(&store, &WriterOptions { flush_rows: 500, ..with_queue(queue) });
    write(&writer, ["first"]).await.unwrap();
    sleep(Duration::from_millis(250)).await;
    assert_eq!(store.attempts().len(), 1);
    write(&writer, ["few"]).await.unwrap();
    sleep(Duration::from_millis(10)).await;
    let asked = Instant::now();
    write(&writer, (0..500).map(|name| format!("n{name}"))).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    let attempts = store.attempts();
    assert_eq!(attempts.len(), 2);
    assert!(attempts[1].begun - asked < Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_committed_when_nothing_came() {
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    write(&writer, [""; 0]).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert!(store.attempts().is_empty());
}
