//! Old rows go, in their own time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{
    Ack, Batch, BatchId, CatalogueDelta, DAY, DeadLetter, Ping, PingBucket, Query, Record, Records, Resolution,
    Severity, SourceId, Store, StoreExt, TemplateBucket, Tick, TickStore, Timestamp, Window,
};
use tallybook_writer::{RetentionOptions, RetentionPlan, WriterOptions};
use tokio::time::sleep;

use crate::support::{Unruly, ping, start, tick};

fn bucket(window: Window, age_days: i64, template: &str) -> TemplateBucket {
    TemplateBucket {
        window,
        start: window.start(Timestamp::now().earlier(age_days * DAY)),
        service: "shop".into(),
        severity: Severity::Info,
        template: template.into(),
        count: 1,
    }
}

#[tokio::test(start_paused = true)]
async fn old_buckets_and_dead_letters_are_removed_and_young_ones_stay() {
    let store = Unruly::new();
    let letter = |age_days: i64| DeadLetter {
        at: Timestamp::now().earlier(age_days * DAY),
        ..DeadLetter::new(TemplateBucket::TABLE, &bucket(Window::Day, 0, "x").to_row(), "refused")
    };
    let many_old = (0..2500).map(|nth| bucket(Window::Hour, 8, &format!("old {nth}")));
    let others = [(Window::Hour, 6), (Window::Day, 8), (Window::Day, 399), (Window::Day, 402)];
    let others = others.into_iter().map(|(window, age_days)| bucket(window, age_days, "other"));
    let records = Records {
        catalogue: CatalogueDelta { template_buckets: many_old.chain(others).collect(), ..CatalogueDelta::default() },
        dead_letters: vec![letter(29), letter(31)],
        ..Records::default()
    };
    let id = BatchId { source: SourceId::mint(), seq: 1 };
    store.commit(Arc::new(Batch { id, ack: Ack::Written, records })).await.unwrap();

    let writer = start(&store, &WriterOptions::default());
    sleep(Duration::from_secs(70)).await;
    let left = store.list_all::<TemplateBucket>(Query::new(1000)).await.unwrap();
    let mut left: Vec<(Window, i64)> =
        left.iter().map(|bucket| (bucket.window, (Timestamp::now().0 - bucket.start.0) / DAY)).collect();
    left.sort_unstable();
    assert_eq!(left, [(Window::Hour, 6), (Window::Day, 8), (Window::Day, 399)]);
    assert_eq!(store.dead_letters().await.len(), 1);
    assert_eq!(writer.stats().pruned_rows, 2500 + 1 + 1);
}

#[tokio::test(start_paused = true)]
async fn old_pings_and_ticks_go_as_the_plan_said_and_their_daily_sums_stay() {
    let store = Unruly::new();
    let at = |age_days: i64| Timestamp::now().earlier(age_days * DAY);
    let pings = [1, 29, 32, 91, 400].map(|age| Ping { time: at(age), ..ping("host", 0, Some(5)) }).to_vec();
    let ticks = [1, 40, 41].map(|age| Tick { time: at(age), ..tick("EURUSD", 0, 0) }).to_vec();
    let id = BatchId { source: SourceId::mint(), seq: 1 };
    let records = Records { pings, ticks, ..Records::default() };
    store.commit(Arc::new(Batch { id, ack: Ack::Written, records })).await.unwrap();

    let retention = RetentionOptions { ticks: Some(Duration::from_secs(30 * 86_400)), ..RetentionOptions::default() };
    let plan = RetentionPlan::of(&*store, &retention, Timestamp::now()).await.unwrap();
    let mut planned = 0;
    for rows in &plan.rows {
        planned += rows.count(&*store).await.unwrap();
    }
    assert_eq!((planned, plan.drop.len()), (3 + 2 + 1, 2));

    let writer = start(&store, &WriterOptions { retention, ..WriterOptions::default() });
    sleep(Duration::from_secs(70)).await;
    let stats = writer.stats();
    assert_eq!((stats.pruned_rows, stats.dropped_days, stats.dropped_ticks), (planned, 2, 2));
    assert_eq!(store.list_all::<Ping>(Query::new(100)).await.unwrap().len(), 2);
    let sums = store.list_all::<PingBucket>(Query::new(100)).await.unwrap();
    let of = |resolution| sums.iter().filter(|sum| sum.resolution == resolution).count();
    assert_eq!((of(Resolution::Minute), of(Resolution::Hour), of(Resolution::Day)), (3, 4, 5));
    let days: BTreeSet<_> = store.segments().await.unwrap().into_iter().map(|segment| segment.day).collect();
    assert_eq!(days, BTreeSet::from([at(1).day()]));
}
