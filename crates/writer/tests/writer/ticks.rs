//! Ticks in requests: stored once, and the answer says what became of them.

use std::time::Duration;

use tallybook_core::{Counts, DeadLetter, Family, SourceId, Tick};
use tallybook_writer::{Accepted, AckLevel, QueueOptions, Refused, TickOptions, WhenFull, WriterOptions};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, Unruly, account_of, start, tick, unnumbered};

fn stored(count: u64) -> Accepted {
    Accepted { counts: Counts { stored: count, ..Counts::default() }, ..Accepted::default() }
}

fn duplicate(count: u64) -> Accepted {
    Accepted { counts: Counts { duplicate: count, ..Counts::default() }, ..Accepted::default() }
}

fn with_ticks(ticks: TickOptions) -> WriterOptions {
    WriterOptions { ticks, ..WriterOptions::default() }
}

fn with_tick_queue(queue: QueueOptions) -> WriterOptions {
    with_ticks(TickOptions { queue, ..TickOptions::default() })
}

#[tokio::test(start_paused = true)]
async fn ticks_are_answered_when_they_are_stored_and_repeats_are_known() {
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    let ticks: Vec<Tick> = (0..10).map(|seq| tick("EURUSD", 1, seq)).collect();
    assert_eq!(writer.ticks(ticks.clone()).await.unwrap(), stored(10));
    assert_eq!(store.ticks_of("EURUSD").await, ticks);
    assert_eq!(writer.ticks(ticks).await.unwrap(), duplicate(10));
    let account = account_of(Family::Tick, &writer.stats());
    assert_eq!((account.offered, account.stored, account.duplicate, account.queued), (20, 10, 10, 0));
    assert_eq!(writer.ticks(Vec::new()).await.unwrap(), Accepted::default());
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_while_a_commit_runs_share_the_next_one() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_millis(50));
    let writer = start(&store, &WriterOptions::default());
    let requests: Vec<_> = (0..20)
        .map(|request| {
            let writer = writer.clone();
            tokio::spawn(async move { writer.ticks(vec![tick("EURUSD", request, 0), tick("X", request, 0)]).await })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap(), stored(2));
    }
    assert!(store.attempts().len() <= 2, "{} commits", store.attempts().len());
}

#[tokio::test(start_paused = true)]
async fn repeats_that_cannot_be_told_apart_are_not_claimed_to_be_stored() {
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    writer.ticks(vec![tick("EURUSD", 1, 0)]).await.unwrap();
    let (repeat, new) = tokio::join!(writer.ticks(vec![tick("EURUSD", 1, 0)]), writer.ticks(vec![tick("X", 1, 0)]));
    assert_eq!(store.attempts().len(), 2, "both in one commit");
    for answer in [repeat.unwrap(), new.unwrap()] {
        assert_eq!(answer, Accepted { shared_repeats: 1, ..stored(1) });
    }
    let account = account_of(Family::Tick, &writer.stats());
    assert_eq!((account.stored, account.duplicate), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn one_bad_tick_among_a_thousand_becomes_a_dead_letter_and_the_others_are_stored() {
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    let mut ticks: Vec<Tick> = (0..1000).map(|seq| tick("EURUSD", 1, seq)).collect();
    ticks[500] = Tick { bid: None, ask: None, ..tick("EURUSD", 7, 500) };
    let (good, mixed) = tokio::join!(writer.ticks(vec![tick("X", 1, 0)]), writer.ticks(ticks));
    assert_eq!(good.unwrap(), stored(1), "it shared the commit and nothing else");
    assert_eq!(mixed.unwrap(), Accepted { rejected: 1, ..stored(999) });
    assert_eq!(store.ticks_of("EURUSD").await.len(), 999);
    let letters = store.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!((&*letters[0].target, &*letters[0].error), ("tick", "neither bid nor ask is there"));
    assert!(
        letters[0].record.contains(r#""seq":500"#) && letters[0].record.contains("EURUSD"),
        "{}",
        letters[0].record
    );
    let account = account_of(Family::Tick, &writer.stats());
    assert_eq!((account.offered, account.stored, account.rejected), (1001, 1000, 1));
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_the_store_refuses_is_found_and_only_its_request_is_told() {
    let store = Unruly::new();
    store.refuse_ticks("BAD");
    let writer = start(&store, &WriterOptions::default());
    let mut ticks: Vec<Tick> = (0..100).map(|seq| tick("EURUSD", 1, seq)).collect();
    ticks.push(tick("BAD", 1, 0));
    let (good, mixed) = tokio::join!(writer.ticks(vec![tick("X", 1, 0)]), writer.ticks(ticks));
    assert_eq!(good.unwrap(), stored(1));
    assert_eq!(mixed.unwrap(), Accepted { rejected: 1, ..stored(100) });
    assert_eq!(store.dead_letters().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_request_is_committed_in_parts() {
    let store = Unruly::new();
    let queue = QueueOptions { max_commit_records: 100, ..TickOptions::default().queue };
    let writer = start(&store, &with_tick_queue(queue));
    let ticks: Vec<Tick> = (0..1050).map(|seq| tick("EURUSD", 1, seq)).collect();
    assert_eq!(writer.ticks(ticks.clone()).await.unwrap(), stored(1050));
    assert_eq!(store.attempts().len(), 11);
    assert_eq!(store.ticks_of("EURUSD").await, ticks);
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_a_name_is_stored_once_whatever_happens() {
    for fault in [Fault::None, Fault::UnknownBefore, Fault::UnknownAfter, Fault::Unavailable] {
        let store = Unruly::new();
        store.fails(move |commit| if commit == 0 { fault } else { Fault::None });
        let writer = start(&store, &WriterOptions::default());
        let source = SourceId::named("client 7, key 1");
        let mut ticks: Vec<Tick> = (0..10).map(|millis| unnumbered("EURUSD", millis / 3)).collect();
        ticks.push(tick("", 1, 0));
        let first = writer.ticks_once(source, 1, ticks.clone()).await.unwrap();
        assert_eq!(first, Accepted { rejected: 1, ..stored(10) }, "{fault:?}");
        let again = writer.ticks_once(source, 1, ticks).await.unwrap();
        assert_eq!(again, Accepted { rejected: 1, ..duplicate(10) }, "{fault:?}");
        assert_eq!(store.ticks_of("EURUSD").await.len(), 10, "{fault:?}");
        assert_eq!(store.dead_letters().await.len(), 1, "{fault:?}");
        assert_eq!(writer.recent("EURUSD", 100).len(), 10, "{fault:?}");
        let account = account_of(Family::Tick, &writer.stats());
        assert_eq!((account.offered, account.stored, account.duplicate, account.rejected), (22, 10, 10, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_a_name_that_the_store_refuses_is_stored_in_parts_and_once() {
    let store = Unruly::new();
    store.refuse_ticks("BAD");
    let writer = start(&store, &WriterOptions::default());
    let ticks = vec![tick("A", 1, 0), tick("BAD", 1, 0), tick("B", 1, 0)];
    let source = SourceId::named("import");
    let first = writer.ticks_once(source, 1, ticks.clone()).await.unwrap();
    assert_eq!(first, Accepted { rejected: 1, ..stored(2) });
    assert_eq!(store.ticks_of("B").await.len(), 1);
    assert_eq!(store.dead_letters().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_a_name_is_given_up_while_the_store_is_away_and_nobody_is_held_back_by_it() {
    let store = Unruly::new();
    store.fails(|_| Fault::Unavailable);
    let writer = start(&store, &WriterOptions::default());
    let asked = Instant::now();
    let answer = writer.ticks_once(SourceId::named("import"), 1, vec![tick("A", 1, 0)]).await;
    assert!(matches!(answer, Err(Refused::Unavailable { .. })), "{answer:?}");
    assert!(asked.elapsed() <= Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!(account_of(Family::Tick, &writer.stats()).offered, 0);
    store.fails(|_| Fault::None);
    assert_eq!(writer.ticks(vec![tick("A", 1, 0)]).await.unwrap(), stored(1));
}

#[tokio::test(start_paused = true)]
async fn bad_input_becomes_dead_letters_and_counts_as_offered_and_rejected() {
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    let letter = DeadLetter {
        id: "1".into(),
        at: tick("A", 0, 0).time,
        target: "tick".into(),
        error: "line 7 is no tick".into(),
        record: "x".into(),
    };
    let other = DeadLetter { id: "2".into(), ..letter.clone() };
    let (one, two) = tokio::join!(writer.reject(Family::Tick, vec![letter]), writer.reject(Family::Ping, vec![other]));
    one.and(two).unwrap();
    assert_eq!(store.dead_letters().await.len(), 2);
    for family in [Family::Tick, Family::Ping] {
        let account = account_of(family, &writer.stats());
        assert_eq!((account.offered, account.rejected), (1, 1));
    }
    assert_eq!(writer.stats().dead_letters, 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_requests_wait_refuses_them_or_sheds_them() {
    for when_full in [WhenFull::Block { limit: Duration::from_secs(5) }, WhenFull::Shed] {
        let store = Unruly::new();
        store.chaos.delay(Duration::from_secs(60));
        let queue = QueueOptions { ack: AckLevel::Queued, when_full, max_pending_rows: 2, ..QueueOptions::default() };
        let writer = start(&store, &with_tick_queue(queue));
        let queued = writer.ticks(vec![tick("A", 1, 0), tick("A", 2, 0)]).await.unwrap();
        assert_eq!(queued, Accepted { queued: 2, ..Accepted::default() });
        let asked = Instant::now();
        let answer = writer.ticks(vec![tick("A", 3, 0)]).await;
        let account = account_of(Family::Tick, &writer.stats());
        if when_full == WhenFull::Shed {
            assert_eq!(answer.unwrap(), Accepted { shed: 1, ..Accepted::default() });
            assert_eq!((account.offered, account.shed), (3, 1));
        } else {
            assert!(matches!(answer, Err(Refused::Full { .. })), "{answer:?}");
            assert_eq!(asked.elapsed(), Duration::from_secs(5));
            assert_eq!((account.offered, writer.stats().refused_requests.full), (2, 1));
        }
        sleep(Duration::from_secs(70)).await;
        writer.ticks(vec![tick("A", 4, 0)]).await.unwrap();
        assert!(writer.stop(Duration::from_secs(100)).await.drained);
        assert_eq!(store.ticks_of("A").await.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_room_for_ticks_gets_in_as_soon_as_there_is_some() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_secs(3));
    let queue = QueueOptions { max_pending_rows: 1, ..QueueOptions::default() };
    let writer = start(&store, &with_tick_queue(queue));
    let (first, second) = tokio::join!(writer.ticks(vec![tick("A", 1, 0)]), writer.ticks(vec![tick("A", 2, 0)]));
    assert_eq!((first.unwrap(), second.unwrap()), (stored(1), stored(1)));
    assert_eq!(store.attempts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn ticks_in_which_nothing_changed_are_dropped_where_that_is_wanted_and_counted() {
    let store = Unruly::new();
    let writer = start(&store, &with_ticks(TickOptions { drop_identical: true, ..TickOptions::default() }));
    let other_price = Tick { bid: "1.0850".parse().ok(), ..tick("A", 3, 0) };
    let ticks = vec![tick("A", 1, 0), tick("A", 2, 0), other_price, tick("A", 4, 0), tick("B", 4, 0)];
    assert_eq!(writer.ticks(ticks).await.unwrap(), Accepted { filtered: 1, ..stored(4) });
    assert_eq!(writer.ticks(vec![tick("A", 5, 0)]).await.unwrap(), Accepted { filtered: 1, ..Accepted::default() });
    writer.offer(tick("A", 6, 0)).unwrap();
    let stats = writer.stats();
    assert_eq!(stats.filtered_ticks, 3);
    let account = account_of(Family::Tick, &stats);
    assert_eq!((account.offered, account.stored, account.duplicate, account.queued), (7, 4, 3, 0));
}
