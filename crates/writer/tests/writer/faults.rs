//! A store that is away, unclear, picky or broken.

use std::time::Duration;

use tallybook_core::{Cursor, DeadLetter, Record, Span, Store};
use tallybook_writer::{Health, Refused, WriterOptions};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, Unruly, account, is_span, start, text, write};

#[tokio::test(start_paused = true)]
async fn a_batch_whose_fate_is_unclear_is_sent_again_under_its_name_and_counts_once() {
    for fault in [Fault::UnknownAfter, Fault::UnknownBefore, Fault::Unavailable] {
        let store = Unruly::new();
        store.fails(move |commit| if commit < 3 { fault } else { Fault::None });
        let writer = start(&store, &WriterOptions::default());
        write(&writer, ["a", "a"]).await.unwrap();
        let ids: Vec<_> = store.attempts().iter().map(|attempt| attempt.id).collect();
        assert_eq!(ids.len(), 4);
        assert!(ids.iter().all(|id| *id == ids[0]));
        assert_eq!(store.spans().await["a"], 2);
        assert_eq!(account(&writer.stats()).merged, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn retries_back_off_and_stay_below_five_seconds_apart() {
    let store = Unruly::new();
    store.fails(|commit| if commit < 12 { Fault::Unavailable } else { Fault::None });
    let writer = start(&store, &WriterOptions::default());
    write(&writer, ["a"]).await.unwrap();
    let attempts = store.attempts();
    let waits: Vec<_> = attempts.windows(2).map(|pair| pair[1].begun - pair[0].ended).collect();
    let planned = |nth: usize| Duration::from_millis((100 << nth).min(5000));
    for (nth, wait) in waits.iter().enumerate() {
        let planned = planned(nth);
        assert!(*wait >= planned.mul_f64(0.74) && *wait <= planned.mul_f64(1.26), "wait {nth} was {wait:?}");
    }
    let jittered = |(nth, wait): (usize, &Duration)| wait.abs_diff(planned(nth)) > Duration::from_millis(2);
    assert!(waits.iter().enumerate().any(jittered), "no jitter in {waits:?}");
    assert_eq!(writer.stats().retries, 12);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_doubled_when_the_store_is_away_for_30_seconds() {
    let store = Unruly::new();
    let begun = Instant::now();
    store.fails(move |_| if begun.elapsed() < Duration::from_secs(30) { Fault::Unavailable } else { Fault::None });
    let writer = start(&store, &WriterOptions::default());
    let callers: Vec<_> = (0..10)
        .map(|caller| {
            let writer = writer.clone();
            tokio::spawn(async move {
                sleep(Duration::from_secs(caller / 2)).await;
                let mut refusals = 0;
                loop {
                    match write(&writer, [format!("n{caller}"), "shared".into()]).await {
                        Ok(_) => return refusals,
                        Err(Refused::Unavailable { retry_after, error }) => {
                            assert!(error.contains("the store is away"), "{error}");
                            assert!(retry_after >= Duration::from_secs(1));
                            refusals += 1;
                            sleep(retry_after).await;
                        }
                        Err(refused) => panic!("{refused}"),
                    }
                }
            })
        })
        .collect();
    sleep(Duration::from_secs(20)).await;
    assert!(matches!(writer.health(), Health::Failing { error, .. } if error.contains("the store is away")));
    let mut refusals = 0;
    for caller in callers {
        refusals += caller.await.unwrap();
    }
    assert!(refusals > 0, "those who came during the outage were told so before anything of theirs was taken");
    assert_eq!(writer.health(), Health::Healthy);
    let spans = store.spans().await;
    assert_eq!(spans["shared"], 10);
    assert_eq!(spans.values().sum::<u64>(), 20);
    assert_eq!(account(&writer.stats()).merged, 20);
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_becomes_a_dead_letter_and_everything_else_is_stored() {
    let store = Unruly::new();
    store.chaos.refuse(|table, row| is_span(table, row, "bad"));
    let writer = start(&store, &WriterOptions::default());
    let names: Vec<String> = (0..100).map(|name| format!("n{name}")).chain(["bad".into(), "bad".into()]).collect();
    let observed = write(&writer, &names).await.unwrap();
    assert!(observed.message.unwrap().contains("`span` takes no row"));

    let spans = store.spans().await;
    assert_eq!(spans.len(), 100);
    let letters = store.dead_letters().await;
    assert!(!letters.is_empty());
    for letter in &letters {
        assert_eq!(&*letter.target, "span");
        assert!(letter.error.contains("takes no row"), "{}", letter.error);
        assert!(letter.record.contains(r#""name":"bad""#), "{}", letter.record);
    }
    let stats = writer.stats();
    assert_eq!(stats.dead_letters, letters.len() as u64);
    let account = account(&stats);
    assert_eq!((account.merged, account.rejected, account.queued), (100, 2, 0));
    assert_eq!(writer.health(), Health::Healthy);
    assert_eq!(write(&writer, ["good"]).await.unwrap().message, None);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_split_reaches_the_store_in_its_order() {
    let store = Unruly::new();
    store.chaos.refuse(|table, row| is_span(table, row, "n33"));
    let writer = start(&store, &WriterOptions::default());
    write(&writer, (10..60).map(|name| format!("n{name}"))).await.unwrap();

    let changes = store.changes(&Cursor::START, 10_000).await.unwrap().changes;
    let of_one_service = changes
        .iter()
        .filter(|change| change.table.name == Span::TABLE.name && text(change.table, &change.row, "service") == "shop");
    let by_revision: Vec<(u64, &str)> =
        of_one_service.map(|change| (change.revision, text(change.table, &change.row, "name"))).collect();
    assert_eq!(by_revision.len(), 49);
    for (earlier, later) in by_revision.iter().zip(&by_revision[1..]) {
        assert!(earlier.0 == later.0 || earlier.1 < later.1, "{earlier:?} came before {later:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_of_which_nothing_could_be_stored_is_answered_as_rejected() {
    let store = Unruly::new();
    store.chaos.refuse(|table, row| is_span(table, row, "bad"));
    let writer = start(&store, &WriterOptions::default());
    let observed = write(&writer, ["bad", "bad"]).await.unwrap();
    assert_eq!((observed.records, observed.rejected), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_everything_even_dead_letters_is_reported_and_not_asked_for_ever() {
    let store = Unruly::new();
    store.chaos.refuse(|_, _| true);
    let writer = start(&store, &WriterOptions::default());
    let observed = write(&writer, (0..2000).map(|name| format!("n{name}"))).await.unwrap();
    assert_eq!(observed.rejected, 2000);
    let asked = store.attempts().len();
    assert!(asked < 2500, "asked {asked} times");
    let stats = writer.stats();
    assert_eq!(account(&stats).rejected, 2000);
    assert_eq!(stats.dead_letters, 0);
    assert!(stats.dead_letters_lost > 0);
    assert!(matches!(writer.health(), Health::Failing { .. }));

    store.chaos.refuse(|_, _| false);
    write(&writer, ["a"]).await.unwrap();
    assert_eq!(writer.health(), Health::Healthy);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_that_are_refused_do_not_hold_up_the_others() {
    let store = Unruly::new();
    store.chaos.refuse(|table, row| {
        is_span(table, row, "bad")
            || is_span(table, row, "worse")
            || (table.name == DeadLetter::TABLE.name
                && row.iter().any(|value| value.as_text().is_some_and(|t| t.contains("worse"))))
    });
    let writer = start(&store, &WriterOptions::default());
    write(&writer, ["a", "bad", "worse"]).await.unwrap();
    let letters = store.dead_letters().await;
    assert!(!letters.is_empty() && letters.iter().all(|letter| letter.record.contains("bad")));
    let stats = writer.stats();
    assert_eq!(stats.dead_letters, letters.len() as u64);
    assert!(stats.dead_letters_lost > 0);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_hangs_is_unhealthy() {
    let store = Unruly::new();
    store.chaos.delay(Duration::from_secs(60));
    let writer = start(&store, &WriterOptions::default());
    let caller = tokio::spawn({
        let writer = writer.clone();
        async move { write(&writer, ["a"]).await }
    });
    sleep(Duration::from_secs(5)).await;
    assert_eq!(writer.health(), Health::Healthy);
    sleep(Duration::from_secs(10)).await;
    assert!(matches!(writer.health(), Health::Failing { error, .. } if error.contains("15 s")));
    caller.await.unwrap().unwrap();
    assert_eq!(writer.health(), Health::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_died_of_a_defect_refuses_and_reports_it() {
    let store = Unruly::new();
    store.fails(|_| Fault::Panic);
    let writer = start(&store, &WriterOptions::default());
    let committing = write(&writer, ["a"]);
    let pending = async {
        sleep(Duration::from_millis(500)).await;
        write(&writer, ["b"]).await
    };
    let (committing, pending) = tokio::join!(committing, pending);
    assert!(matches!(committing, Err(Refused::Unacknowledged { .. })));
    assert!(matches!(pending, Err(Refused::Unacknowledged { .. })));
    assert_eq!(write(&writer, ["c"]).await, Err(Refused::Stopping));
    assert!(matches!(writer.health(), Health::Failing { .. }));
    let stopped = writer.stop(Duration::from_secs(1)).await;
    assert_eq!((stopped.drained, stopped.records_left), (false, 2));
}
