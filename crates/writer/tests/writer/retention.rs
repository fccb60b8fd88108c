//! Old rows go, in their own time.

use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{
    Ack, Batch, BatchId, CatalogueDelta, DAY, DeadLetter, Query, Record, Records, Severity, SourceId, Store, StoreExt,
    TemplateBucket, Timestamp, Window,
};
use tallybook_writer::WriterOptions;
use tokio::time::sleep;

use crate::support::{Unruly, start};

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
    };
    let id = BatchId { source: SourceId::mint(), seq: 1 };
    store.commit(Arc::new(Batch { id, ack: Ack::Written, records })).await.unwrap();

    let writer = start(&store, WriterOptions::default());
    sleep(Duration::from_secs(70)).await;
    let left = store.list_all::<TemplateBucket>(Query::new(1000)).await.unwrap();
    let mut left: Vec<(Window, i64)> =
        left.iter().map(|bucket| (bucket.window, (Timestamp::now().0 - bucket.start.0) / DAY)).collect();
    left.sort_unstable();
    assert_eq!(left, [(Window::Hour, 6), (Window::Day, 8), (Window::Day, 399)]);
    assert_eq!(store.dead_letters().await.len(), 1);
    assert_eq!(writer.stats().pruned_rows, 2500 + 1 + 1);
}
