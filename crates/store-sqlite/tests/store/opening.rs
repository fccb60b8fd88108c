//! What keeps a store from being opened, in one sentence each.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use tallybook_core::{Applied, ErrorKind, Outcome, Records, Store as _};
use tallybook_store_sqlite::{SqliteOptions, SqliteStore};

use tallybook_testing::{SmallDisk, is_root};

use crate::support::{Sender, database, open, plain};

#[test]
fn a_second_opener_is_told_who_has_the_folder_until_it_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let options = || SqliteOptions { lock_note: "http://127.0.0.1:8090".to_owned(), ..SqliteOptions::default() };
    let first = SqliteStore::open(&database(folder.path()), options()).unwrap();
    let error = SqliteStore::open(&database(folder.path()), options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let expected = format!(
        "opening the store: process {} (http://127.0.0.1:8090) uses the data folder {}; \
         stop it, or choose another folder for this one",
        std::process::id(),
        folder.path().display()
    );
    assert_eq!(error.to_string(), expected);
    drop(first);
    open(folder.path()).unwrap();
}

#[test]
fn a_read_only_folder_is_refused() {
    // Permissions do not stop root, a read-only file system does.
    let (disk, plain_folder);
    let folder = if is_root() {
        disk = SmallDisk::new(2).unwrap();
        disk.make_read_only().unwrap();
        disk.path()
    } else {
        plain_folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(plain_folder.path(), Permissions::from_mode(0o555)).unwrap();
        plain_folder.path()
    };
    let error = open(folder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let said = error.to_string();
    assert!(said.contains("cannot be written to; make it writable or choose another one"), "{said}");
}

#[test]
fn a_folder_in_the_place_of_the_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(database(folder.path())).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("cannot be opened"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = "not a database, but somebody's notes\n".repeat(300);
    std::fs::write(database(folder.path()), &text).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("tallybook.db is not a database; move it away"), "{error}");
    assert_eq!(std::fs::read_to_string(database(folder.path())).unwrap(), text);
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    plain(folder.path()).execute_batch("CREATE TABLE bookmark (url TEXT)").unwrap();
    let error = open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("is another program's database"), "{error}");
    let tables: i64 =
        plain(folder.path()).query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).unwrap();
    let add = "INSERT INTO refinery_schema_history SELECT 999, 'future', applied_on, checksum \
               FROM refinery_schema_history WHERE version = 1";
    plain(folder.path()).execute(add, []).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("written by a newer Tallybook (schema 999)"), "{error}");
}

#[tokio::test]
async fn a_database_that_another_process_writes_to_is_opened_and_a_commit_waits_for_that_process() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).unwrap();
    let other = plain(folder.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let store = open(folder.path()).unwrap();
    let batch = Sender::new().batch(Records::default());
    let error = store.commit(batch.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.applied()), (ErrorKind::Unavailable, Applied::No));
    assert!(error.to_string().contains("another process holds the database"), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.commit(batch).await.unwrap().outcome, Outcome::Applied);
}

#[tokio::test]
async fn a_source_that_ended_long_ago_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for _ in 0..2 {
        Sender::new().commit(&store, tallybook_core::CatalogueDelta::default()).await;
    }
    drop(store);
    let sources = || -> i64 {
        plain(folder.path()).query_row("SELECT count(*) FROM batch_source", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(sources(), 2);
    let month = 31 * tallybook_core::DAY;
    let age = "UPDATE batch_source SET at = at - ?1 WHERE source = (SELECT min(source) FROM batch_source)";
    plain(folder.path()).execute(age, [month]).unwrap();
    // With the next commit, which is of a source of its own, and then every hour.
    let store = open(folder.path()).unwrap();
    Sender::new().commit(&store, tallybook_core::CatalogueDelta::default()).await;
    assert_eq!(sources(), 2);
}
