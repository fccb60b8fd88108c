//! Days that cannot be used: they stop no other, and nobody takes them for empty.

use std::fs;
use std::ops::Range;
use std::path::Path;

use rusqlite::Connection;
use tallybook_core::{
    Applied, Cursor, ErrorKind, Records, Result, Store as _, StoreExt as _, Tick, TickQuery, TickStore as _, TimeRange,
    Timestamp,
};
use tallybook_store_sqlite::SqliteStore;

use crate::feed::{EVER, MIDNIGHT, commit, day, file, followed, sorted, stored, tick};
use crate::support::{Sender, open};

/// The days that can be read, after [`MIDNIGHT`]; those that cannot are listed with their file.
async fn readable(store: &SqliteStore) -> Vec<i64> {
    let mut days = Vec::new();
    for segment in store.segments().await.unwrap() {
        match segment.error {
            None => days.push((segment.day.0 - MIDNIGHT) / tallybook_core::DAY),
            Some(error) => {
                let date = &segment.day.to_string()[..10];
                assert!(error.contains(date) && error.contains(&format!("ticks_{date}.")), "{error}");
            }
        }
    }
    days
}

async fn read(store: &SqliteStore, times: Range<i64>) -> Result<Vec<Tick>> {
    let range = TimeRange { from: Timestamp(times.start), to: Timestamp(times.end) };
    store.ticks(&TickQuery { symbol: "A".into(), range, after: None, newest_first: false, limit: 100 }).await
}

/// Puts a file on another disk, which is not there: root, too, cannot open it. Gives where it is.
fn unplug(path: &Path) -> std::path::PathBuf {
    let away = path.with_extension("unplugged");
    fs::rename(path, &away).unwrap();
    std::os::unix::fs::symlink("/nowhere/ticks", path).unwrap();
    away
}

#[tokio::test]
async fn days_that_break_while_the_store_is_open_stop_no_other_and_come_back_when_they_are_mended() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let ticks: Vec<Tick> = (0..5).map(|days| tick("A", day(days), 1, "1")).collect();
    commit(&store, ticks.clone()).await;
    store.seal(Timestamp(day(1))).await.unwrap();
    let behind_all = store.changes(&Cursor::START, 100).await.unwrap().next;
    store.close().await.unwrap();
    let store = open(folder.path()).unwrap();
    let parts = [(0, "db"), (1, "parquet")].map(|(days, extension)| file(folder.path(), days, extension));
    let away = [unplug(&parts[0]), unplug(&parts[1])];
    Connection::open(file(folder.path(), 2, "db")).unwrap().pragma_update(None, "user_version", 99).unwrap();
    fs::write(file(folder.path(), 3, "db"), "x".repeat(10_000)).unwrap();

    assert_eq!(readable(&store).await, [4]);
    assert_eq!(store.readable_symbols(EVER).await.unwrap()[0].count, 1);
    for days in 0..4 {
        let error = read(&store, day(days)..day(5)).await.unwrap_err();
        let date = format!("the ticks of 2023-11-{} in ", 14 + days);
        assert!(error.needs_mending() && error.to_string().contains(&date), "{error}");
        let only = TimeRange { from: Timestamp(day(days)), to: Timestamp(day(days + 1)) };
        assert!(store.symbols(only).await.unwrap_err().needs_mending());
        assert!(store.seal(Timestamp(day(days))).await.unwrap_err().needs_mending());
        assert!(store.drop_segment(Timestamp(day(days))).await.unwrap_err().needs_mending());
    }
    let refused = store.changes(&Cursor::START, 100).await.unwrap_err();
    assert!(refused.needs_mending() && refused.to_string().contains("the ticks of 2023-11-1"), "{refused}");
    let all_there = store.changes(&behind_all, 100).await.unwrap();
    assert_eq!((all_there.ticks, all_there.more), (vec![], false), "whoever has those days goes on");
    assert_eq!(store.behind(&Cursor::START).await.unwrap(), 1);
    for days in 0..3 {
        let batch = Sender::new().batch(Records { ticks: vec![tick("A", day(days), 2, "2")], ..Records::default() });
        let error = store.commit(batch).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Unsupported, Applied::No), "{error}");
    }
    commit(&store, vec![tick("A", day(4), 2, "2")]).await;
    assert!(store.seal(Timestamp(day(4))).await.unwrap().sealed);
    assert_eq!(read(&store, day(4)..day(5)).await.unwrap().len(), 2);

    for (away, part) in away.iter().zip(&parts) {
        fs::rename(away, part).unwrap();
    }
    assert_eq!(readable(&store).await, [0, 1, 4]);
    assert_eq!(read(&store, day(0)..day(2)).await.unwrap(), ticks[..2]);
    commit(&store, vec![tick("A", day(0), 2, "2"), tick("A", day(1), 2, "2")]).await;
}

/// Lets a file lie on a disk that fails: the kernel answers every read of such a file with an I/O error.
fn fail_to_read(path: &Path) {
    const FAILING: &str = "/sys/devices/software/power/autosuspend_delay_ms";
    let error = fs::read(FAILING).expect_err("the kernel refuses to read it");
    assert_eq!(error.raw_os_error(), Some(5), "{FAILING}: {error}");
    fs::remove_file(path).unwrap();
    std::os::unix::fs::symlink(FAILING, path).unwrap();
}

#[tokio::test]
async fn days_whose_disk_fails_to_read_stop_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    commit(&store, (0..3).map(|days| tick("A", day(days), 1, "1")).collect()).await;
    store.seal(Timestamp(day(1))).await.unwrap();
    store.close().await.unwrap();
    let mut store = open(folder.path()).unwrap();
    let parts = [(0, "db"), (1, "parquet")].map(|(days, extension)| file(folder.path(), days, extension));
    for part in &parts {
        fail_to_read(part);
    }

    for opened_again in [false, true] {
        if opened_again {
            store.close().await.unwrap();
            store = open(folder.path()).unwrap();
        }
        assert_eq!(readable(&store).await, [2]);
        assert_eq!(store.readable_symbols(EVER).await.unwrap()[0].count, 1);
        for days in 0..2 {
            let error = read(&store, day(days)..day(3)).await.unwrap_err();
            assert!(error.needs_mending(), "{error}");
            let batch =
                Sender::new().batch(Records { ticks: vec![tick("A", day(days), 2, "2")], ..Records::default() });
            let error = store.commit(batch).await.unwrap_err();
            assert_eq!((error.kind(), error.applied()), (ErrorKind::Unsupported, Applied::No), "{error}");
        }
        commit(&store, vec![tick("A", day(2), 1, "1")]).await;
        assert_eq!(read(&store, day(2)..day(3)).await.unwrap().len(), 1);
    }
    assert!(parts.iter().all(|part| part.is_symlink()), "nothing was put in the place of what may come back");
}

#[tokio::test]
async fn a_day_that_is_none_of_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), 0, "db");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE quote (price REAL)").unwrap();
    let store = open(folder.path()).unwrap();
    let batch = Sender::new().batch(Records { ticks: vec![tick("A", day(0), 1, "1")], ..Records::default() });
    let error = store.commit(batch).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Unsupported, Applied::No));
    commit(&store, vec![tick("A", day(1), 1, "1")]).await;
    assert_eq!(readable(&store).await, [1]);
    Connection::open(&path).unwrap().execute_batch("SELECT price FROM quote").unwrap();
}

#[tokio::test]
async fn a_day_that_cannot_be_opened_is_left_alone_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let ticks: Vec<Tick> = (0..3).map(|days| tick("A", day(days), 1, "1")).collect();
    commit(&store, ticks.clone()).await;
    store.seal(Timestamp(day(1))).await.unwrap();
    store.close().await.unwrap();
    // Days that lie on another disk, which is not there: root, too, cannot open them.
    let away = folder.path().join("away");
    fs::create_dir(&away).unwrap();
    let elsewhere =
        [(0, "db"), (1, "parquet")].map(|(days, extension)| (file(folder.path(), days, extension), extension));
    for (path, extension) in &elsewhere {
        fs::rename(path, away.join(extension)).unwrap();
        std::os::unix::fs::symlink(away.join(extension), path).unwrap();
    }
    fs::rename(&away, folder.path().join("unplugged")).unwrap();

    let store = open(folder.path()).unwrap();
    assert_eq!(readable(&store).await, [2]);
    assert_eq!(read(&store, day(2)..day(3)).await.unwrap(), ticks[2..]);
    let error = read(&store, day(1)..day(3)).await.unwrap_err();
    assert!(error.needs_mending() && error.to_string().contains("ticks_2023-11-15.parquet"), "{error}");
    assert!(store.changes(&Cursor::START, 100).await.unwrap_err().needs_mending(), "nobody goes on without those days");
    for days in 0..2 {
        let batch = Sender::new().batch(Records { ticks: vec![tick("A", day(days), 2, "2")], ..Records::default() });
        let error = store.commit(batch).await.unwrap_err();
        assert_eq!((error.kind(), error.applied()), (ErrorKind::Unsupported, Applied::No), "{error}");
    }
    commit(&store, vec![tick("A", day(2), 2, "2")]).await;
    store.close().await.unwrap();

    fs::rename(folder.path().join("unplugged"), &away).unwrap();
    let store = open(folder.path()).unwrap();
    let all = sorted(ticks.into_iter().chain([tick("A", day(2), 2, "2")]).collect());
    assert_eq!(stored(&store).await, all);
    assert_eq!(followed(&store).await, all);
}

#[tokio::test]
async fn a_day_that_cannot_be_opened_while_the_store_is_open_refuses_only_its_own_ticks() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let path = file(folder.path(), 0, "db");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/nowhere/ticks.db", &path).unwrap();
    let batch = Sender::new().batch(Records { ticks: vec![tick("A", day(0), 1, "1")], ..Records::default() });
    let error = store.commit(batch).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Unsupported, Applied::No), "{error}");
    assert!(error.to_string().contains("cannot be opened; make it readable and writable"), "{error}");
    commit(&store, vec![tick("A", day(1), 1, "1")]).await;
    assert_eq!(stored(&store).await.len(), 1);
}
