//! Each call does what it says, whole or not at all.

use std::ops::ControlFlow;

use tallybook_sqlite::{Answer, Engine, Error, ErrorKind, Options, Params, Step, Value};

use crate::support::{Fixture, INSERT, text};

#[test]
fn execute_says_how_many_rows_it_really_changed() {
    let engine = Fixture::new();
    let engine = &engine.engine;
    assert_eq!(engine.execute(INSERT, ("a",)).unwrap().rows, 1);
    assert_eq!(engine.execute("INSERT OR IGNORE INTO item (name) VALUES (?)", ("a",)).unwrap().rows, 0);
    assert_eq!(engine.execute_many(INSERT, [("b",), ("c",)]).unwrap().rows, 2);
    let all = engine.execute("UPDATE item SET name = name || '!' WHERE id > ?", (1,)).unwrap();
    assert_eq!(all.rows, 2);
    for (changes_nothing, kind) in
        [("CREATE TABLE t (x)", "a definition"), ("SELECT 1", "a query"), ("DELETE FROM t", "empty")]
    {
        assert_eq!(engine.execute(changes_nothing, ()).unwrap().rows, 0, "{kind}");
    }
    let inserted = engine.execute("INSERT INTO item (name) VALUES ('x'), ('y') RETURNING id", ()).unwrap();
    assert_eq!((inserted.rows, inserted.last_insert_rowid), (2, 5));
}

#[test]
fn a_failed_bulk_leaves_no_row() {
    let fixture = Fixture::new();
    let error = fixture.engine.execute_many(INSERT, [("a",), ("b",), ("a",), ("c",)]).unwrap_err();
    assert_eq!((error.kind(), error.maybe_applied()), (ErrorKind::Constraint, false));
    assert!(error.to_string().contains("UNIQUE constraint failed: item.name"), "{error}");
    assert_eq!(fixture.names(), [""; 0]);
}

#[test]
fn parameters_are_given_by_position_or_name_and_counted() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    let row = |params: Params| engine.query("SELECT :a, @b, $a", params).map(|rows| rows.rows);
    let named = |pairs: &[(&str, i64)]| -> Params {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect::<Vec<_>>().into()
    };
    assert_eq!(row(named(&[("a", 1), (":b", 2)])).unwrap(), [[1.into(), 2.into(), Value::from(1)]]);
    assert_eq!(row((1, 2, 3).into()).unwrap(), [[1.into(), 2.into(), Value::from(3)]]);
    for wrong in [named(&[("a", 1)]), named(&[("a", 1), ("b", 2), ("c", 3)]), (1, 2).into(), Params::None] {
        assert_eq!(row(wrong.clone()).unwrap_err().kind(), ErrorKind::Statement, "{wrong:?}");
    }
    let error = engine.query("SELECT ?", named(&[("a", 1)])).unwrap_err();
    assert!(error.to_string().contains("give them by position"), "{error}");
}

#[test]
fn every_kind_of_value_comes_back_as_it_was() {
    let fixture = Fixture::new();
    fixture.engine.execute("CREATE TABLE v (x)", ()).unwrap();
    let values = [Value::Null, i64::MIN.into(), 0.1.into(), text("naïve 🙂"), Value::Blob((0..=255).collect())];
    fixture.engine.execute_many("INSERT INTO v VALUES (?)", values.clone().map(|value| (value,))).unwrap();
    let rows = fixture.engine.query("SELECT x FROM v", ()).unwrap().rows;
    assert_eq!(rows.into_iter().flatten().collect::<Vec<_>>(), values);
}

#[test]
fn what_stands_behind_a_statement_is_not_run_and_not_overlooked() {
    let fixture = Fixture::new();
    let error = fixture.engine.execute("INSERT INTO item (name) VALUES ('a'); DROP TABLE item", ()).unwrap_err();
    assert!(error.to_string().contains("more than one statement"), "{error}");
    assert_eq!(fixture.names(), [""; 0]);
    for nothing in ["", "-- a comment", ";"] {
        assert_eq!(fixture.engine.execute(nothing, ()).unwrap_err().kind(), ErrorKind::Statement, "{nothing:?}");
    }
    fixture.engine.execute("INSERT INTO item (name) VALUES ('a;b'); -- and a comment", ()).unwrap();
    assert_eq!(fixture.names(), ["a;b"]);
}

#[test]
fn a_script_takes_comments_triggers_and_semicolons_in_texts() {
    let fixture = Fixture::new();
    let script = "
        -- a log; of what is deleted
        CREATE TABLE log (name TEXT, note TEXT);
        /* fires; once per row */
        CREATE TRIGGER gone AFTER DELETE ON item BEGIN
            INSERT INTO log VALUES (old.name, 'gone; for good');
            INSERT INTO log VALUES (old.name, \"it\"\"s; a double\");
        END;
        INSERT INTO item (name) VALUES ('semi;colon'), ('it''s');
        DELETE FROM item WHERE name LIKE '%;%'";
    let script = script.replace("\"it\"\"s; a double\"", "'it''s; a single'");
    let done = fixture.engine.script(script).unwrap();
    assert_eq!((done.statements, done.rows), (4, 3));
    let log = fixture.engine.query("SELECT note FROM log", ()).unwrap().rows;
    assert_eq!(log, [[text("gone; for good")], [text("it's; a single")]]);
    assert_eq!(fixture.names(), ["it's"]);
}

#[test]
fn a_script_that_fails_leaves_nothing_and_says_where() {
    let fixture = Fixture::new();
    let error = fixture
        .engine
        .script("CREATE TABLE t (x); INSERT INTO item (name) VALUES ('a'); INSERT INTO nowhere VALUES (1)");
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("statement 3: ") && error.contains("no such table: nowhere"), "{error}");
    assert_eq!(fixture.names(), [""; 0]);
    assert!(fixture.engine.query("SELECT * FROM t", ()).is_err());
}

#[test]
fn transactions_are_the_engines_and_no_statement_ends_one() {
    let fixture = Fixture::new();
    let attach = format!("ATTACH '{}' AS other", fixture.folder.path().join("other.db").display());
    for sql in ["COMMIT", "ROLLBACK", "SAVEPOINT s", "RELEASE call", "BEGIN", "-- x\nCOMMIT", &attach] {
        assert_eq!(fixture.engine.execute(sql, ()).unwrap_err().kind(), ErrorKind::Denied, "{sql}");
        let sql = sql.to_owned();
        let inside = fixture.engine.transaction(move |tx| {
            tx.execute(INSERT, ("a",))?;
            tx.execute(&sql, ())
        });
        assert_eq!(inside.unwrap_err().kind(), ErrorKind::Denied);
    }
    assert_eq!(fixture.names(), [""; 0]);
}

#[test]
fn a_transaction_commits_what_its_code_approves_of_and_nothing_else() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    let count = engine.transaction(|tx| {
        tx.execute(INSERT, ("a",))?;
        assert_eq!(tx.execute(INSERT, ("a",)).unwrap_err().kind(), ErrorKind::Constraint);
        tx.execute(INSERT, ("b",))?;
        tx.query("SELECT count(*) FROM item", ())
    });
    assert_eq!(count.unwrap().rows, [[Value::from(2)]]);
    let refused: Result<(), Error> = engine.transaction(|tx| {
        tx.execute("DELETE FROM item", ())?;
        Err(Error::aborted("not today"))
    });
    assert_eq!(refused.unwrap_err(), Error::aborted("not today"));
    let panicked: Result<(), Error> = engine.transaction(|tx| {
        tx.execute("DELETE FROM item", ())?;
        panic!("a defect of the caller")
    });
    let panicked = panicked.unwrap_err();
    assert_eq!(panicked.kind(), ErrorKind::Internal);
    assert!(panicked.to_string().contains("a defect of the caller"), "{panicked}");
    assert_eq!(fixture.names(), ["a", "b"]);
}

#[test]
fn a_list_of_steps_is_one_transaction_whose_reads_see_its_writes() {
    let fixture = Fixture::new();
    let steps = vec![
        Step::execute(INSERT, ("a",)),
        Step::query("SELECT name FROM item", ()),
        Step::Execute { sql: INSERT.to_owned(), sets: vec![("b",).into(), ("c",).into()] },
        Step::query("INSERT INTO item (name) VALUES ('d') RETURNING id", ()),
    ];
    let answers = fixture.engine.batch(steps).unwrap();
    let rows = |at: usize| match &answers[at] {
        Answer::Rows(rows) => rows.rows.clone(),
        Answer::Executed(done) => panic!("{done:?}"),
    };
    assert_eq!((rows(1), rows(3)), (vec![vec![text("a")]], vec![vec![Value::from(4)]]));
    let error = fixture.engine.batch(vec![Step::execute(INSERT, ("e",)), Step::execute(INSERT, ("a",))]).unwrap_err();
    assert!(error.to_string().starts_with("step 2: "), "{error}");
    assert_eq!(fixture.names(), ["a", "b", "c", "d"]);
}

#[test]
fn a_query_that_would_write_is_refused() {
    let fixture = Fixture::new();
    let error = fixture.engine.query("INSERT INTO item (name) VALUES ('a') RETURNING id", ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    assert_eq!(fixture.names(), [""; 0]);
}

#[test]
fn large_answers_are_read_row_by_row_and_never_cut_in_silence() {
    let fixture = Fixture::with(Options { max_rows: 1_000, ..Options::default() });
    let numbers = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n";
    let mut sum = 0_i64;
    let add = |row: &rusqlite::Row<'_>| {
        sum += row.get::<_, i64>(0)?;
        Ok(ControlFlow::Continue(()))
    };
    fixture.engine.for_each(numbers, (), add).unwrap();
    assert_eq!(sum, 5_000_050_000);
    assert_eq!(fixture.engine.query(numbers, ()).unwrap_err().kind(), ErrorKind::TooLarge);
    let as_numbers = fixture.engine.query_as(numbers, (), |row| row.get::<_, i64>(0));
    assert_eq!(as_numbers.unwrap_err().kind(), ErrorKind::TooLarge);
    let first = fixture.engine.query_first(numbers, (), 10).unwrap();
    assert_eq!((first.rows.len(), first.more), (10, true));
    assert!(!fixture.engine.query_first("SELECT 1", (), 1).unwrap().more);
}

#[test]
fn a_queued_write_is_done_though_nobody_waits() {
    let fixture = Fixture::new();
    for name in ["a", "b", "a"] {
        fixture.engine.enqueue(INSERT, (name,)).unwrap();
    }
    fixture.engine.shutdown().unwrap();
    let again = Engine::open(&fixture.path(), Options::default()).unwrap();
    assert_eq!(crate::support::names(&again), ["a", "b"]);
}

#[test]
fn raw_access_leaves_no_transaction_open() {
    let fixture = Fixture::new();
    let begun =
        fixture.engine.write(|connection| connection.execute_batch("BEGIN; INSERT INTO item (name) VALUES ('a')"));
    begun.unwrap().unwrap();
    fixture.engine.read(|connection| connection.execute_batch("BEGIN; SELECT * FROM item")).unwrap().unwrap();
    fixture.engine.execute(INSERT, ("b",)).unwrap();
    assert_eq!(fixture.names(), ["b"]);
}

#[test]
fn stats_count_what_was_done() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    for name in ["a", "b", "b"] {
        let _ = engine.execute(INSERT, (name,));
    }
    fixture.names();
    let stats = engine.stats();
    assert_eq!((stats.writes, stats.reads, stats.rows_read, stats.waiting), (4, 1, 2, 0));
    assert_eq!(stats.errors.get("constraint"), Some(&1));
    assert_eq!((stats.write_run.count, stats.read_run.count), (4, 1));
    assert!(stats.write_run.p50_ns > 0 && stats.write_run.max_ns >= stats.write_run.p50_ns);
    assert_eq!((stats.statement_cache_hits, stats.statement_cache_misses), (2, 2));
}
