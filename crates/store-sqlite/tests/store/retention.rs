//! Rows that leave, and the space they leave behind.

use std::time::{Duration, Instant};

use tallybook_conformance::Fixtures;
use tallybook_core::{
    AttributeKeyBucket, CatalogueDelta, HOUR, Query, Record as _, Store as _, StoreExt as _, Timestamp, Window,
};

use crate::support::{Sender, open, plain};

#[tokio::test]
async fn pruned_rows_take_their_sketches_along_and_the_file_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let mut random = Fixtures::plain(1, 10_000);
    let mut bucket =
        |hour: i64| AttributeKeyBucket { window: Window::Hour, start: Timestamp(hour * HOUR), ..random.record() };
    let buckets: Vec<AttributeKeyBucket> = (0..4_000).map(|row| bucket(row % 8)).collect();
    Sender::new().commit(&store, CatalogueDelta { attribute_key_buckets: buckets, ..CatalogueDelta::default() }).await;
    let all = store.list_all::<AttributeKeyBucket>(Query::new(1_000)).await.unwrap().len();

    let mut removed = 0;
    loop {
        match store.prune(AttributeKeyBucket::TABLE, Timestamp(7 * HOUR), &[], 500).await.unwrap() {
            0 => break,
            rows => removed += rows,
        }
    }
    let sketches: i64 = plain(folder.path())
        .query_row("SELECT count(*) FROM attribute_key_bucket_sketch", [], |row| row.get(0))
        .unwrap();
    assert_eq!(all as u64 - removed, sketches.cast_unsigned());
    assert!(removed > 3_000, "{removed} of {all}");

    let free = || -> i64 { plain(folder.path()).query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap() };
    let waited = Instant::now();
    while free() > 40 {
        assert!(waited.elapsed() < Duration::from_secs(60), "{} pages are free", free());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
