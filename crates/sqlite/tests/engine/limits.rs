//! What bounds a call: time, cancellation, and what SQL from elsewhere may do.

use std::thread;
use std::time::Duration;

use tallybook_sqlite::{Access, AskLimits, Cancel, Engine, ErrorKind, Options, Params, ask};

use crate::support::{Fixture, INSERT, text};

const FOR_EVER: &str = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const WRITE_FOR_EVER: &str =
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) INSERT INTO item (name) SELECT i FROM n";

#[test]
fn a_call_that_takes_too_long_is_ended_and_leaves_nothing() {
    let fixture = Fixture::new();
    let short = fixture.engine.with_time_limit(Duration::from_millis(50));
    assert_eq!(short.query(FOR_EVER, ()).unwrap_err().kind(), ErrorKind::TimeLimit);
    assert_eq!(short.execute(WRITE_FOR_EVER, ()).unwrap_err().kind(), ErrorKind::TimeLimit);
    assert_eq!(
        short.script(format!("{INSERT}; {WRITE_FOR_EVER}").replace('?', "'a'")).unwrap_err().kind(),
        ErrorKind::TimeLimit
    );
    assert_eq!(fixture.names(), [""; 0]);
    // The limit is of the call, not of the connection.
    fixture.engine.execute(INSERT, ("a",)).unwrap();
    assert_eq!(fixture.names(), ["a"]);
}

#[test]
fn a_call_ends_when_it_is_cancelled() {
    let fixture = Fixture::new();
    let cancel = Cancel::new();
    let cancelled = fixture.engine.with_cancel(&cancel);
    let running = thread::spawn({
        let engine = cancelled.clone();
        move || engine.query(FOR_EVER, ()).unwrap_err().kind()
    });
    thread::sleep(Duration::from_millis(20));
    cancel.cancel();
    assert_eq!(running.join().unwrap(), ErrorKind::Cancelled);
    assert_eq!(cancelled.execute(INSERT, ("a",)).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(fixture.names(), [""; 0]);
}

fn sandboxed() -> Fixture {
    Fixture::with(Options { access: Access::Sandboxed, ..Options::default() })
}

#[test]
fn sandboxed_sql_reaches_nothing_outside_and_changes_no_setting() {
    let fixture = sandboxed();
    let other = fixture.folder.path().join("other.db");
    let other = other.display();
    for sql in [
        format!("ATTACH '{other}' AS other"),
        "PRAGMA journal_mode = DELETE".to_owned(),
        "PRAGMA synchronous = OFF".to_owned(),
        "PRAGMA user_version = 7".to_owned(),
        "PRAGMA writable_schema = ON".to_owned(),
        "PRAGMA database_list".to_owned(),
        "SELECT load_extension('x')".to_owned(),
        "CREATE TEMP TABLE t (x)".to_owned(),
        "CREATE VIRTUAL TABLE t USING dbstat".to_owned(),
        "SAVEPOINT s".to_owned(),
        "COMMIT".to_owned(),
    ] {
        let executed = fixture.engine.execute(sql.clone(), ()).unwrap_err();
        let scripted = fixture.engine.script(sql.clone()).unwrap_err();
        assert_eq!((executed.kind(), scripted.kind()), (ErrorKind::Denied, ErrorKind::Denied), "{sql}: {executed}");
    }
    for sql in ["UPDATE sqlite_schema SET sql = 'x'".to_owned(), format!("VACUUM INTO '{other}'")] {
        assert!(fixture.engine.execute(sql.clone(), ()).is_err() && fixture.engine.script(sql).is_err());
    }
    assert!(!fixture.folder.path().join("other.db").exists());
}

#[test]
fn sandboxed_sql_may_do_everything_inside() {
    let fixture = sandboxed();
    let script = "CREATE TABLE t (x UNIQUE); CREATE INDEX i ON t (x); CREATE VIEW v AS SELECT x FROM t;
        CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO item (name) VALUES (new.x); END;
        INSERT INTO t VALUES ('a'); UPDATE t SET x = upper(x); ALTER TABLE t ADD COLUMN y; ANALYZE; REINDEX;
        DROP VIEW v; DELETE FROM t; DROP TABLE t";
    fixture.engine.script(script).unwrap();
    assert_eq!(fixture.names(), ["a"]);
    assert_eq!(fixture.engine.query("PRAGMA table_info(item)", ()).unwrap().rows.len(), 2);
    // The engine's own statements are not the guest's.
    fixture.engine.checkpoint().unwrap();
    fixture.engine.shutdown().unwrap();
}

#[test]
fn names_and_values_are_never_sql() {
    let fixture = Fixture::new();
    let evil = "'); DROP TABLE item; --";
    fixture.engine.execute(INSERT, (evil,)).unwrap();
    let named = vec![(evil.to_owned(), 1.into())];
    assert_eq!(fixture.engine.query("SELECT :a", named).unwrap_err().kind(), ErrorKind::Statement);
    assert_eq!(fixture.names(), [evil]);
}

#[test]
fn a_database_that_another_engine_has_is_refused_with_its_holder() {
    let fixture = Fixture::with(Options { lock_note: Some("the app".to_owned()), ..Options::default() });
    let error = Engine::open(&fixture.path(), Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains(&format!("process {} (the app)", std::process::id())), "{error}");
    fixture.engine.shutdown().unwrap();
    Engine::open(&fixture.path(), Options::default()).unwrap();
}

#[test]
fn a_damaged_page_is_reported_and_never_served() {
    let fixture = Fixture::new();
    fixture.engine.execute_many(INSERT, (0..20_000).map(|number| (format!("name {number}"),))).unwrap();
    fixture.engine.shutdown().unwrap();
    let mut bytes = std::fs::read(fixture.path()).unwrap();
    // Behind the schema, everything.
    bytes[8_192..].fill(0xA5);
    std::fs::write(fixture.path(), bytes).unwrap();
    let engine = Engine::open(&fixture.path(), Options::default()).unwrap();
    for sql in ["SELECT name FROM item", "SELECT id FROM item WHERE name = 'name 7'"] {
        assert_eq!(engine.query(sql, ()).unwrap_err().kind(), ErrorKind::Corrupt, "{sql}");
    }
    assert_eq!(engine.execute(INSERT, ("a",)).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn who_may_only_read_can_do_nothing_else() {
    let fixture = Fixture::new();
    fixture.engine.execute(INSERT, ("a",)).unwrap();
    let within = |time: Duration, sql: &str| {
        ask(&fixture.path(), sql, &Params::None, AskLimits { rows: 10, bytes: 1_000, time })
    };
    let ask = |sql: &str| within(Duration::from_secs(60), sql);
    assert_eq!(ask("SELECT upper(name) FROM item").unwrap().rows, [[text("A")]]);
    assert_eq!(ask("EXPLAIN QUERY PLAN SELECT * FROM item").unwrap().columns.len(), 4);
    let vacuum = format!("VACUUM INTO '{}'", fixture.folder.path().join("stolen.db").display());
    for sql in [
        "DELETE FROM item",
        "INSERT INTO item (name) VALUES ('b') RETURNING id",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t (x)",
        "ATTACH '/tmp/other.db' AS other",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA query_only = OFF",
        "BEGIN",
        "SELECT load_extension('x')",
        "WITH x AS (SELECT 1) DELETE FROM item",
        vacuum.as_str(),
    ] {
        let error = ask(sql).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{sql}: {error}");
    }
    assert_eq!(ask("SELECT 1; DELETE FROM item").unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(within(Duration::from_millis(50), FOR_EVER).unwrap_err().kind(), ErrorKind::TimeLimit);
    assert_eq!(ask("SELECT zeroblob(2000)").unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(ask("SELECT 1 FROM item, (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11))").unwrap().more);
    assert_eq!(fixture.names(), ["a"]);
}
