//! The write-ahead log: synced when asked for, and never grown unseen.

use std::path::Path;
use std::time::{Duration, Instant};

use tallybook_store_sqlite::{SqliteOptions, SqliteStore};

use crate::support::{Sender, attribute_keys, database, number_of_keys, open, plain};

const PASSIVE: u64 = 256 << 10;
const TRUNCATE: u64 = 1 << 20;

fn log_bytes(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("tallybook.db-wal")).map_or(0, |log| log.len())
}

async fn fill(store: &SqliteStore, sender: &mut Sender, commits: u64) {
    for seed in 0..commits {
        sender.commit(store, attribute_keys(seed, 300)).await;
    }
}

#[tokio::test]
async fn a_long_read_neither_stops_the_writer_nor_lets_the_log_grow_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        SqliteOptions { wal_passive_bytes: PASSIVE, wal_truncate_bytes: TRUNCATE, ..SqliteOptions::default() };
    let store = SqliteStore::open(&database(folder.path()), options).unwrap();
    let mut sender = Sender::new();
    fill(&store, &mut sender, 20).await;
    let without_reader = store.wal_stats();
    assert!(without_reader.checkpoints > 0 && !without_reader.blocked, "{without_reader:?}");
    assert!(without_reader.bytes <= 2 * TRUNCATE, "{without_reader:?}");

    let reader = plain(folder.path());
    reader.execute_batch("BEGIN; SELECT count(*) FROM attribute_key").unwrap();
    let seen = || -> i64 { reader.query_row("SELECT count(*) FROM attribute_key", [], |row| row.get(0)).unwrap() };
    let at_first = seen();
    fill(&store, &mut sender, 30).await;
    let blocked = store.wal_stats();
    assert!(blocked.blocked && blocked.bytes > 2 * TRUNCATE, "{blocked:?}");
    assert!(blocked.bytes <= log_bytes(folder.path()), "{blocked:?}");
    assert_eq!(seen(), at_first, "the reader keeps its moment");
    assert!(number_of_keys(&store).await >= usize::try_from(at_first).unwrap(), "others read what is new");

    reader.execute_batch("COMMIT").unwrap();
    fill(&store, &mut sender, 10).await;
    let after = store.wal_stats();
    assert!(!after.blocked && after.bytes <= 2 * TRUNCATE, "{after:?}");
}

#[tokio::test]
async fn an_idle_store_starts_its_log_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let mut sender = Sender::new();
    fill(&store, &mut sender, 5).await;
    let length = log_bytes(folder.path());
    assert!(length > 0);
    let waited = Instant::now();
    while store.wal_stats().bytes > 0 {
        assert!(waited.elapsed() < Duration::from_secs(60), "{:?}", store.wal_stats());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fill(&store, &mut sender, 1).await;
    assert_eq!(log_bytes(folder.path()), length, "it starts over in the room that is there");
}
