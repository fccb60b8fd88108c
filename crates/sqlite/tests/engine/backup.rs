//! Copies: of one moment, while others write, and none that is not sound.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tallybook_sqlite::{Ack, Cancel, Engine, ErrorKind, Options, copy_database, verify_database};

use crate::support::{Fixture, INSERT, names};

fn copied(fixture: &Fixture) -> (std::path::PathBuf, tallybook_sqlite::Copied) {
    let to = fixture.folder.path().join("copy.db");
    let copied = fixture.engine.backup_to(&to, &Cancel::new(), &mut |_, _| ()).unwrap();
    (to, copied)
}

#[test]
fn a_copy_is_one_file_that_opens_with_what_was_answered_before() {
    let fixture = Fixture::new();
    fixture.engine.execute_many(INSERT, [("a",), ("b",)]).unwrap();
    let (to, copied) = copied(&fixture);
    assert_eq!(copied.rows, [("item".to_owned(), 2)].into());
    assert_eq!(copied.bytes, std::fs::metadata(&to).unwrap().len());
    let beside = |suffix: &str| fixture.folder.path().join(format!("copy.db-{suffix}")).exists();
    assert!(!beside("wal") && !beside("shm") && !beside("journal"));
    assert_eq!(verify_database(&to).unwrap(), copied.rows);
    let opened = Engine::open(&to, Options::default()).unwrap();
    assert_eq!(names(&opened), ["a", "b"]);
    opened.execute(INSERT, ("c",)).unwrap();
    assert_eq!(fixture.engine.stats().backups, 1);
}

#[test]
fn a_copy_overwrites_nothing() {
    let fixture = Fixture::new();
    let to = fixture.folder.path().join("notes.txt");
    std::fs::write(&to, "notes").unwrap();
    let error = fixture.engine.backup_to(&to, &Cancel::new(), &mut |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("overwrites nothing"), "{error}");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "notes");
}

#[test]
fn a_copy_is_of_one_moment_while_others_write_and_an_old_reader_reads() {
    let fixture = Fixture::new();
    let engine = fixture.engine.with_ack(Ack::Written);
    // Two rows at a time: a copy with an odd number would be of two moments.
    engine.script("CREATE TABLE pair (x INTEGER, filler BLOB)").unwrap();
    let pair = "INSERT INTO pair VALUES (?1, randomblob(20000)), (?1, randomblob(20000))";
    for number in 0..200 {
        engine.execute(pair, (number,)).unwrap();
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 200;
            while !stop.load(Ordering::Relaxed) {
                engine.execute(pair, (number,)).unwrap();
                number += 1;
            }
        });
        engine
            .read(|old| {
                old.execute_batch("BEGIN; SELECT count(*) FROM pair").unwrap();
                let before = engine.query("SELECT count(*) FROM pair", ()).unwrap();
                let (to, copied) = copied(&fixture);
                stop.store(true, Ordering::Relaxed);
                let rows = copied.rows["pair"];
                assert!(rows >= 400 && rows % 2 == 0 && before.rows.len() == 1, "{rows}");
                let copy = Engine::open(&to, Options::default()).unwrap();
                let odd = copy.query("SELECT x FROM pair GROUP BY x HAVING count(*) <> 2", ()).unwrap();
                assert_eq!(odd.rows.len(), 0);
            })
            .unwrap();
    });
    let all: i64 = engine.query_as("SELECT count(*) FROM pair", (), |row| row.get(0)).unwrap()[0];
    assert!(all > 400, "others wrote meanwhile");
}

#[test]
fn a_damaged_database_is_not_copied_as_if_it_were_sound() {
    let fixture = Fixture::new();
    fixture.engine.execute_many(INSERT, (0..20_000).map(|number| (format!("name {number}"),))).unwrap();
    fixture.engine.shutdown().unwrap();
    let mut bytes = std::fs::read(fixture.path()).unwrap();
    let middle = bytes.len() / 8_192 / 2 * 8_192;
    bytes[middle..middle + 8_192].fill(0xA5);
    std::fs::write(fixture.path(), bytes).unwrap();
    let to = fixture.folder.path().join("copy.db");
    let error = copy_database(&fixture.path(), &to, &Cancel::new(), &mut |_, _| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_copy_can_be_cancelled_and_tells_how_far_it_is() {
    let fixture = Fixture::new();
    fixture.engine.script("CREATE TABLE filler (x BLOB); INSERT INTO filler VALUES (randomblob(5000000))").unwrap();
    let cancel = Cancel::new();
    let mut told = Vec::new();
    let to = fixture.folder.path().join("copy.db");
    let error = fixture.engine.backup_to(&to, &cancel, &mut |done, all| {
        told.push((done, all));
        cancel.cancel();
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(told.len() == 1 && told[0].0 > 0 && told[0].0 < told[0].1, "{told:?}");
}

#[test]
fn a_copy_leaves_nothing_beside_a_database_that_nobody_has_open() {
    let fixture = Fixture::new();
    fixture.engine.execute(INSERT, ("a",)).unwrap();
    fixture.engine.shutdown().unwrap();
    let before = std::fs::metadata(fixture.path()).unwrap().modified().unwrap();
    // A name that a URI has to be careful with.
    let odd = fixture.folder.path().join("a b%20?c#d.db");
    std::fs::copy(fixture.path(), &odd).unwrap();
    for (at, from) in [fixture.path(), odd].into_iter().enumerate() {
        let to = fixture.folder.path().join(format!("copy{at}.db"));
        let copied = copy_database(&from, &to, &Cancel::new(), &mut |_, _| ()).unwrap();
        assert_eq!(copied.rows["item"], 1);
        assert_eq!(verify_database(&from).unwrap(), copied.rows);
    }
    let mut names: Vec<_> = std::fs::read_dir(fixture.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a b%20?c#d.db", "app.db", "app.lock", "copy0.db", "copy1.db"]);
    assert_eq!(std::fs::metadata(fixture.path()).unwrap().modified().unwrap(), before);
}

#[test]
fn the_log_of_others_is_left_to_them() {
    let fixture = Fixture::new();
    fixture.engine.execute(INSERT, ("a",)).unwrap();
    let log = fixture.folder.path().join("app.db-wal");
    let crashed = fixture.folder.path().join("crashed.db");
    std::fs::copy(fixture.path(), &crashed).unwrap();
    std::fs::copy(&log, crashed.with_extension("db-wal")).unwrap();
    let length = std::fs::metadata(&log).unwrap().len();
    let to = fixture.folder.path().join("copy.db");
    let copied = copy_database(&crashed, &to, &Cancel::new(), &mut |_, _| ()).unwrap();
    assert_eq!(copied.rows["item"], 1, "what is in the log is in the copy");
    assert_eq!(std::fs::metadata(crashed.with_extension("db-wal")).unwrap().len(), length);
}
