//! Sealed days: what is on disk, and what a crash or a full disk leaves.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use tallybook_core::{ErrorKind, Store as _, Tick, TickQuery, TickStore as _, Timestamp};
use tallybook_testing::SmallDisk;
use tempfile::TempDir;

use crate::feed::{EVER, commit, day, file, files, followed, sorted, stored, tick, walk};
use crate::support::open;

const NAME: &str = "ticks_2023-11-14";

fn feed() -> Vec<Tick> {
    walk(day(0), 3_000, 7)
}

fn late() -> Vec<Tick> {
    vec![tick("PAIR000", day(0) + 5, 77, "1.5"), tick("LATE", day(0) + 6, 1, "2.5")]
}

fn both() -> Vec<Tick> {
    sorted(feed().into_iter().chain(late()).collect())
}

/// The data folder of a store that was closed after the day was filled, and then these steps were taken.
async fn after(steps: &[Step]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    commit(&store, feed()).await;
    for step in steps {
        match step {
            Step::Seal => assert!(store.seal(Timestamp(day(0))).await.unwrap().sealed),
            Step::Late => assert_eq!(commit(&store, late()).await.ticks.stored, 2),
            Step::Unseal => assert!(!store.unseal(Timestamp(day(0))).await.unwrap().sealed),
        }
    }
    store.close().await.unwrap();
    folder
}

#[derive(Clone, Copy)]
enum Step {
    Seal,
    Late,
    Unseal,
}

/// Opens the folder twice, and finds these ticks, each once, in these files.
async fn holds(folder: &Path, ticks: &[Tick], names: &[&str]) {
    for _ in 0..2 {
        let store = open(folder).unwrap();
        assert_eq!(stored(&store).await, ticks);
        assert_eq!(followed(&store).await, ticks);
        let segments = store.segments().await.unwrap();
        assert_eq!(segments.len(), 1);
        assert_eq!(
            (segments[0].count, segments[0].sealed),
            (ticks.len() as u64, names[names.len() - 1].ends_with("parquet"))
        );
        store.close().await.unwrap();
        assert_eq!(files(folder), names);
    }
}

fn add(folder: &Path, extension: &str, from: &Path, other: &str) {
    fs::copy(file(from, 0, other), file(folder, 0, extension)).unwrap();
}

#[tokio::test]
async fn a_seal_and_its_way_back_leave_one_file_with_the_same_ticks() {
    let database = format!("{NAME}.db");
    let parquet = format!("{NAME}.parquet");
    holds(after(&[Step::Seal]).await.path(), &sorted(feed()), &[&parquet]).await;
    holds(after(&[Step::Seal, Step::Late]).await.path(), &both(), &[&database, &parquet]).await;
    holds(after(&[Step::Seal, Step::Late, Step::Seal]).await.path(), &both(), &[&parquet]).await;
    holds(after(&[Step::Seal, Step::Unseal]).await.path(), &sorted(feed()), &[&database]).await;
    holds(after(&[Step::Seal, Step::Late, Step::Unseal]).await.path(), &both(), &[&database]).await;
    let again = after(&[Step::Late, Step::Seal, Step::Unseal, Step::Seal]).await;
    holds(again.path(), &both(), &[&parquet]).await;
}

#[tokio::test]
async fn a_seal_that_is_cut_off_leaves_each_tick_once() {
    let (database, parquet) = (format!("{NAME}.db"), format!("{NAME}.parquet"));
    let sealed = after(&[Step::Seal]).await;

    let half_written = after(&[]).await;
    fs::write(file(half_written.path(), 0, "parquet.sealing"), "PAR1 and then the lights went out").unwrap();
    holds(half_written.path(), &sorted(feed()), &[&database]).await;

    let written = after(&[]).await;
    add(written.path(), "parquet.sealing", sealed.path(), "parquet");
    holds(written.path(), &sorted(feed()), &[&database]).await;

    let renamed = after(&[]).await;
    add(renamed.path(), "parquet", sealed.path(), "parquet");
    holds(renamed.path(), &sorted(feed()), &[&parquet]).await;

    let log_removed_last = after(&[Step::Seal]).await;
    fs::write(file(log_removed_last.path(), 0, "db-shm"), [0; 64]).unwrap();
    let store = open(log_removed_last.path()).unwrap();
    assert_eq!(stored(&store).await, sorted(feed()));
}

#[tokio::test]
async fn a_second_seal_that_is_cut_off_leaves_each_tick_once() {
    let (database, parquet) = (format!("{NAME}.db"), format!("{NAME}.parquet"));
    let first = after(&[Step::Seal, Step::Late]).await;
    // The very files of the first seal, sealed once more.
    let second = tempfile::tempdir().unwrap();
    copy_all(first.path(), second.path());
    let store = open(second.path()).unwrap();
    store.seal(Timestamp(day(0))).await.unwrap();
    store.close().await.unwrap();

    let written = tempfile::tempdir().unwrap();
    copy_all(first.path(), written.path());
    add(written.path(), "parquet.sealing", second.path(), "parquet");
    holds(written.path(), &both(), &[&database, &parquet]).await;

    let renamed = tempfile::tempdir().unwrap();
    copy_all(first.path(), renamed.path());
    add(renamed.path(), "parquet", second.path(), "parquet");
    holds(renamed.path(), &both(), &[&parquet]).await;
}

#[tokio::test]
async fn an_unseal_that_is_cut_off_leaves_each_tick_once() {
    let (database, parquet) = (format!("{NAME}.db"), format!("{NAME}.parquet"));
    let sealed = after(&[Step::Seal, Step::Late]).await;
    let unsealed = tempfile::tempdir().unwrap();
    copy_all(sealed.path(), unsealed.path());
    let store = open(unsealed.path()).unwrap();
    store.unseal(Timestamp(day(0))).await.unwrap();
    store.close().await.unwrap();

    let written = tempfile::tempdir().unwrap();
    copy_all(sealed.path(), written.path());
    add(written.path(), "db.unsealing", unsealed.path(), "db");
    fs::write(file(written.path(), 0, "db.unsealing-wal"), "half").unwrap();
    holds(written.path(), &both(), &[&database, &parquet]).await;

    let renamed = tempfile::tempdir().unwrap();
    copy_all(sealed.path(), renamed.path());
    add(renamed.path(), "db", unsealed.path(), "db");
    holds(renamed.path(), &both(), &[&database]).await;
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy_all(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

#[tokio::test]
async fn late_ticks_lie_over_the_file_whose_id_they_name() {
    let folder = after(&[Step::Seal, Step::Late]).await;
    let overlay = Connection::open(file(folder.path(), 0, "db")).unwrap();
    let ticks: i64 = overlay.query_row("SELECT count(*) FROM ticks", [], |row| row.get(0)).unwrap();
    let base: Option<String> = overlay.query_row("SELECT base FROM segment", [], |row| row.get(0)).unwrap();
    assert_eq!((ticks, base.map(|id| id.len())), (2, Some(36)));
}

#[tokio::test]
async fn a_damaged_sealed_day_is_put_aside_and_the_store_opens() {
    let folder = after(&[Step::Seal, Step::Late]).await;
    let path = file(folder.path(), 0, "parquet");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!(stored(&store).await, sorted(late()));
    assert!(files(folder.path()).iter().any(|name| name.contains(".parquet.corrupt-")));
}

#[tokio::test]
async fn a_database_that_somebody_laid_beside_a_lesser_file_is_put_aside() {
    let (folder, other) = (after(&[Step::Seal]).await, after(&[Step::Late]).await);
    add(folder.path(), "db", other.path(), "db");
    let store = open(folder.path()).unwrap();
    assert_eq!(stored(&store).await, sorted(feed()));
    assert!(files(folder.path()).iter().any(|name| name.contains(".db.corrupt-")));
}

#[tokio::test]
async fn a_full_disk_ends_a_seal_and_costs_nothing() {
    let disk = SmallDisk::new(16).unwrap();
    let store = open(disk.path()).unwrap();
    let ticks = walk(day(0), 40_000, 4);
    commit(&store, ticks.clone()).await;
    store.close().await.unwrap();
    let store = open(disk.path()).unwrap();
    let filler = disk.path().join("filler");
    let mut bytes = 16 << 20;
    // As much as fits, but for 64 KiB.
    while fs::write(&filler, vec![0_u8; bytes]).is_err() {
        bytes -= 64 << 10;
    }
    fs::write(&filler, vec![0_u8; bytes - (64 << 10)]).unwrap();
    let error = store.seal(Timestamp(day(0))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!files(disk.path()).iter().any(|name| name.contains("parquet")));
    assert_eq!(stored(&store).await, sorted(ticks.clone()));

    fs::remove_file(&filler).unwrap();
    assert!(store.seal(Timestamp(day(0))).await.unwrap().sealed);
    assert_eq!(stored(&store).await, sorted(ticks));
}

#[tokio::test]
async fn sealed_days_that_were_read_are_not_opened_for_a_symbol_that_they_do_not_have() {
    const DAYS: i64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    commit(&store, (0..DAYS).map(|days| tick("A", day(days), 1, "1")).collect()).await;
    for days in 0..DAYS {
        store.seal(Timestamp(day(days))).await.unwrap();
    }
    store.close().await.unwrap();
    let store = open(folder.path()).unwrap();
    let read = async |symbol: &str| {
        let query = TickQuery { symbol: symbol.into(), range: EVER, after: None, newest_first: false, limit: 1_000 };
        store.ticks(&query).await
    };
    assert_eq!(read("NOBODY").await.unwrap(), []);
    assert_eq!(read("A").await.unwrap().len(), DAYS as usize);
    // More days than files are kept open: the first ones are closed.
    fs::remove_file(file(folder.path(), 0, "parquet")).unwrap();
    assert_eq!(read("NOBODY").await.unwrap(), []);
    assert!(read("A").await.unwrap_err().needs_mending());

    let late = |days: i64| vec![tick("NOBODY", day(days), 1, "1")];
    commit(&store, late(1)).await;
    assert_eq!(read("NOBODY").await.unwrap(), late(1));
    commit(&store, late(2)).await;
    for days in 1..3 {
        store.seal(Timestamp(day(days))).await.unwrap();
    }
    assert_eq!(read("NOBODY").await.unwrap(), [late(1), late(2)].concat());
    store.unseal(Timestamp(day(2))).await.unwrap();
    assert_eq!(read("NOBODY").await.unwrap(), [late(1), late(2)].concat());
}
