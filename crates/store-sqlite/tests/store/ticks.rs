//! Ticks: a file for each day, and what goes wrong with one of them.

use std::fs;
use std::sync::Arc;

use rusqlite::Connection;
use tallybook_core::{Applied, Counts, DAY, ErrorKind, Outcome, Records, Store as _, Tick, TickStore as _, Timestamp};

use crate::feed::{EVER, commit, day, file, files, followed, sorted, stored, tick, walk};
use crate::support::{Sender, database, open};

const SECOND: i64 = 1_000_000_000;

/// A row of the documented view.
type Row = (String, i64, Option<f64>, Option<f64>, Option<f64>, String, i64);

#[tokio::test]
async fn ticks_of_one_moment_with_different_prices_both_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let ticks = vec![tick("EURUSD", day(0), 1, "1.08500"), tick("EURUSD", day(0), 2, "1.0851")];
    assert_eq!(commit(&store, ticks.clone()).await.ticks, Counts { stored: 2, ..Counts::default() });
    assert_eq!(commit(&store, ticks.clone()).await.ticks, Counts { duplicate: 2, ..Counts::default() });
    assert_eq!(stored(&store).await, ticks);
}

#[tokio::test]
async fn a_late_tick_goes_to_the_file_of_its_own_day_and_idle_files_leave_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    commit(&store, vec![tick("A", day(2), 1, "1.0")]).await;
    commit(&store, vec![tick("A", day(1) - 1, 1, "1.0"), tick("A", day(1), 1, "1.0")]).await;
    let days: Vec<(i64, u64)> =
        store.segments().await.unwrap().iter().map(|segment| (segment.day.0, segment.count)).collect();
    assert_eq!(days, [(day(0), 1), (day(1), 1), (day(2), 1)]);
    assert_eq!(stored(&store).await.len(), 3);
    store.close().await.unwrap();
    assert_eq!(files(folder.path()), ["ticks_2023-11-14.db", "ticks_2023-11-15.db", "ticks_2023-11-16.db"]);
}

#[tokio::test]
async fn a_symbol_is_neither_a_path_nor_a_statement() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let names = ["../../x", "'; DROP TABLE tick; --", "a.b.c", "%s", "ticks"];
    let ticks: Vec<Tick> = names.iter().map(|name| tick(name, day(0), 1, "1.5")).collect();
    commit(&store, ticks.clone()).await;
    assert_eq!(stored(&store).await, sorted(ticks.clone()));
    assert_eq!(followed(&store).await, sorted(ticks));
    store.close().await.unwrap();
    assert_eq!(files(folder.path()), ["ticks_2023-11-14.db"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hand_over_at_midnight_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(folder.path()).unwrap());
    let feed = |name: &'static str| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut sender = Sender::new();
            for round in 0..40 {
                let time = day(1) + (round - 20) * SECOND;
                let ticks = (0..25).map(|at| tick(name, time + at * SECOND / 10, at.cast_unsigned(), "1.5")).collect();
                let committed = sender.commit_records(&store, Records { ticks, ..Records::default() }).await.1;
                assert_eq!(committed.ticks.stored + committed.ticks.duplicate, 25);
            }
        })
    };
    let feeds = ["A", "B", "C", "D"].map(feed);
    for feed in feeds {
        feed.await.unwrap();
    }
    let all = stored(&store).await;
    // A round's last five ticks have the times of the next one's first, but other numbers.
    assert_eq!(all.len(), 4 * 40 * 25);
    let segments = store.segments().await.unwrap();
    let before = all.iter().filter(|tick| tick.time.0 < day(1)).count() as u64;
    assert_eq!(segments.iter().map(|segment| segment.count).collect::<Vec<_>>(), [before, all.len() as u64 - before]);
}

#[tokio::test]
async fn a_batch_that_reached_one_of_two_days_is_completed_when_it_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let mut sender = Sender::new();
    commit(&store, vec![tick("A", day(0), 1, "1"), tick("A", day(1), 1, "1")]).await;
    let other = Connection::open(file(folder.path(), 1, "db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ticks = vec![tick("A", day(0), 1, "2"), tick("A", day(0), 2, "2"), tick("A", day(1), 2, "2")];
    let batch = sender.batch(Records { ticks, ..Records::default() });
    let error = store.commit(batch.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Unavailable, Applied::Unknown));
    assert_eq!(stored(&store).await.len(), 3, "the first day has it");

    other.execute_batch("ROLLBACK").unwrap();
    let counts = Counts { stored: 2, merged: 0, duplicate: 1 };
    for outcome in [Outcome::Applied, Outcome::Duplicate] {
        let committed = store.commit(batch.clone()).await.unwrap();
        assert_eq!((committed.outcome, committed.ticks), (outcome, counts));
        assert_eq!(stored(&store).await.len(), 4);
        assert_eq!(followed(&store).await, stored(&store).await);
    }
}

#[tokio::test]
async fn a_tick_that_cannot_be_stored_refuses_its_batch_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let nameless = tick("", day(0), 1, "1");
    let batch = Sender::new().batch(Records { ticks: vec![tick("A", day(0), 1, "1"), nameless], ..Records::default() });
    let error = store.commit(batch).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Invalid, Applied::No));
    assert!(error.to_string().contains("the symbol is empty"), "{error}");
    assert_eq!(stored(&store).await, []);
}

#[tokio::test]
async fn a_damaged_day_is_put_aside_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let ticks: Vec<Tick> = (0..3).map(|days| tick("A", day(days), 1, "1")).collect();
    commit(&store, ticks.clone()).await;
    store.close().await.unwrap();
    // One is found when the store is opened, one when it is written to.
    fs::write(file(folder.path(), 0, "db"), "scribbled over").unwrap();
    let store = open(folder.path()).unwrap();
    fs::write(file(folder.path(), 1, "db"), "x".repeat(10_000)).unwrap();
    let later: Vec<Tick> = (0..3).map(|days| tick("A", day(days), 2, "2")).collect();
    assert_eq!(commit(&store, later.clone()).await.ticks.stored, 3);
    let mut expected = later;
    expected.push(ticks[2].clone());
    assert_eq!(stored(&store).await, sorted(expected));
    let aside = files(folder.path()).into_iter().filter(|name| name.contains(".db.corrupt-")).count();
    assert_eq!(aside, 2);
}

#[tokio::test]
async fn late_ticks_that_a_newer_version_wrote_beside_a_sealed_day_are_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    commit(&store, vec![tick("A", day(0), 1, "1")]).await;
    store.seal(Timestamp(day(0))).await.unwrap();
    commit(&store, vec![tick("A", day(0), 2, "2")]).await;
    store.close().await.unwrap();
    let path = file(folder.path(), 0, "db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&path).unwrap();
    let store = open(folder.path()).unwrap();
    let batch = Sender::new().batch(Records { ticks: vec![tick("A", day(0), 3, "3")], ..Records::default() });
    assert_eq!(store.commit(batch).await.unwrap_err().kind(), ErrorKind::Unsupported);
    store.close().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn the_documented_view_is_read_by_the_plain_tools() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let mut one_sided = tick("EURUSD", day(0) + 2 * SECOND, 2, "1.08510");
    one_sided.ask = None;
    commit(&store, vec![tick("EURUSD", day(0) + SECOND, 1, "1.08500"), one_sided]).await;
    store.close().await.unwrap();
    let plain = Connection::open(file(folder.path(), 0, "db")).unwrap();
    let sql = "SELECT symbol, timestamp, bid, ask, spread, lp_source, created_at FROM ticks WHERE symbol = 'EURUSD' \
               ORDER BY timestamp";
    let mut statement = plain.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Row::try_from(row)).unwrap();
    let rows: Vec<Row> = rows.collect::<rusqlite::Result<_>>().unwrap();
    let (symbol, source) = ("EURUSD".to_owned(), "LP1".to_owned());
    let start = day(0) / 1_000_000;
    let first =
        (symbol.clone(), start + 1_000, Some(1.085), Some(1.08515), Some(0.00015), source.clone(), start + 1_001);
    assert_eq!(rows, [first, (symbol, start + 2_000, Some(1.0851), None, None, source, start + 2_001)]);
}

#[tokio::test]
async fn a_day_that_the_main_database_has_not_heard_of_is_followed_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).unwrap().close().await.unwrap();
    let before = fs::read(database(folder.path())).unwrap();
    let store = open(folder.path()).unwrap();
    commit(&store, vec![tick("A", day(0), 1, "1")]).await;
    let ticks = stored(&store).await;
    store.close().await.unwrap();
    fs::write(database(folder.path()), before).unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!(stored(&store).await, ticks);
    assert_eq!(followed(&store).await, ticks);
}

#[tokio::test]
async fn a_tick_of_a_live_feed_takes_at_most_45_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let ticks = walk(day(0), 60_000, 128);
    for batch in ticks.chunks(5_000) {
        commit(&store, batch.to_vec()).await;
    }
    assert!(store.symbols(EVER).await.unwrap().len() == 128);
    store.close().await.unwrap();
    let bytes = fs::metadata(file(folder.path(), 0, "db")).unwrap().len();
    assert!(bytes <= 45 * 60_000, "{} bytes a tick", bytes as f64 / 60_000.0);
}

#[tokio::test]
async fn a_feed_whose_every_tick_has_another_source_is_kept_as_any_other() {
    const TICKS: u64 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let odd = |seq: u64| Tick { source: format!("source-{seq}").into(), ..tick("A", day(0), seq, "1.5") };
    let ticks: Vec<Tick> = (0..TICKS).map(odd).collect();
    commit(&store, ticks.clone()).await;
    assert!(stored(&store).await == ticks);
    store.seal(Timestamp(day(0))).await.unwrap();
    assert!(stored(&store).await == ticks);
}

#[tokio::test]
async fn dropping_a_day_removes_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    commit(&store, vec![tick("A", day(0), 1, "1"), tick("A", day(0) + DAY / 2, 1, "1"), tick("A", day(1), 1, "1")])
        .await;
    assert_eq!(store.drop_segment(Timestamp(day(0) + 5)).await.unwrap(), 2);
    assert_eq!(store.drop_segment(Timestamp(day(0) + 5)).await.unwrap(), 0);
    assert_eq!(stored(&store).await.len(), 1);
    assert_eq!(followed(&store).await.len(), 1);
    store.close().await.unwrap();
    assert_eq!(files(folder.path()), ["ticks_2023-11-15.db"]);
    assert_eq!(stored(&open(folder.path()).unwrap()).await.len(), 1);
}
