//! Calls at the same time: they share commits, and harm neither each other nor the readers.

use std::sync::{Arc, Barrier};
use std::thread;

use tallybook_sqlite::{Ack, Engine, ErrorKind};

use crate::support::{Fixture, INSERT};

type Call<T> = Box<dyn FnOnce(&Engine) -> T + Send>;

/// Has every caller wait behind a call that holds the writer, so that all are served together.
fn at_once<T: Send + 'static>(engine: &Engine, calls: Vec<Call<T>>) -> Vec<T> {
    let (holds, callers) = (Arc::new(Barrier::new(2)), calls.len());
    let held = {
        let (engine, holds) = (engine.clone(), holds.clone());
        thread::spawn(move || {
            let sees = engine.clone();
            let hold = move |_: &mut rusqlite::Connection| {
                holds.wait();
                while sees.stats().waiting < callers as u64 {
                    thread::yield_now();
                }
            };
            engine.write(hold).unwrap();
        })
    };
    holds.wait();
    let running: Vec<_> = calls
        .into_iter()
        .enumerate()
        .map(|(at, call)| {
            let running = thread::spawn({
                let engine = engine.clone();
                move || call(&engine)
            });
            // In this order.
            while engine.stats().waiting < at as u64 + 1 && !held.is_finished() {
                thread::yield_now();
            }
            running
        })
        .collect();
    held.join().unwrap();
    running.into_iter().map(|running| running.join().unwrap()).collect()
}

fn insert(name: &'static str) -> Call<Result<u64, ErrorKind>> {
    Box::new(move |engine| engine.execute(INSERT, (name,)).map(|done| done.rows).map_err(|error| error.kind()))
}

#[test]
fn calls_that_wait_together_share_one_commit() {
    let fixture = Fixture::new();
    let before = fixture.engine.stats().commits;
    let answers = at_once(&fixture.engine, (0..20).map(|at| insert(&*format!("n{at}").leak())).collect());
    assert_eq!(answers, [Ok(1); 20]);
    assert_eq!(fixture.engine.stats().commits - before, 2, "the one that holds the writer, and all others");
    assert_eq!(fixture.names().len(), 20);
}

#[test]
fn one_that_fails_harms_none_of_those_that_share_its_commit() {
    let fixture = Fixture::new();
    let transaction = |fails: bool| -> Call<Result<u64, ErrorKind>> {
        Box::new(move |engine| {
            let done = engine.transaction(move |tx| {
                let name = if fails { "undone" } else { "done" };
                let rows = tx.execute(INSERT, (name,))?.rows;
                tx.execute(INSERT, (if fails { "a" } else { "done too" },))?;
                Ok(rows)
            });
            done.map_err(|error| error.kind())
        })
    };
    let panics: Call<Result<u64, ErrorKind>> = Box::new(|engine| {
        let done = engine.transaction(|tx| {
            tx.execute(INSERT, ("undone",))?;
            panic!("a defect of the caller")
        });
        done.map_err(|error| error.kind())
    });
    let calls = vec![insert("a"), transaction(true), insert("a"), panics, transaction(false), insert("b")];
    let answers = at_once(&fixture.engine, calls);
    let refused = Err(ErrorKind::Constraint);
    assert_eq!(answers, [Ok(1), refused, refused, Err(ErrorKind::Internal), Ok(1), Ok(1)]);
    assert_eq!(fixture.names(), ["a", "done", "done too", "b"]);
}

#[test]
fn one_that_rolls_everything_back_rolls_back_itself_alone() {
    let fixture = Fixture::new();
    let rolls_back = |engine: &Engine| {
        engine
            .execute("INSERT OR ROLLBACK INTO item (name) VALUES ('a')", ())
            .map(|done| done.rows)
            .map_err(|e| e.kind())
    };
    let answers = at_once(&fixture.engine, vec![insert("a"), insert("b"), Box::new(rolls_back), insert("c")]);
    assert_eq!(answers, [Ok(1), Ok(1), Err(ErrorKind::Constraint), Ok(1)]);
    assert_eq!(fixture.names(), ["a", "b", "c"]);
}

#[test]
fn a_full_database_fails_the_calls_that_need_room_and_no_others() {
    let fixture = Fixture::new();
    fixture.engine.execute(INSERT, ("a",)).unwrap();
    let full = fixture.engine.write(|connection| {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        connection.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))
    });
    full.unwrap().unwrap();
    let large: Call<Result<u64, ErrorKind>> = Box::new(|engine| {
        let done = engine.execute(INSERT, ("x".repeat(1 << 20),));
        done.map(|done| done.rows).map_err(|error| error.kind())
    });
    let answers = at_once(&fixture.engine, vec![insert("b"), large, insert("c")]);
    assert_eq!(answers, [Ok(1), Err(ErrorKind::Full), Ok(1)]);
    assert_eq!(fixture.names(), ["a", "b", "c"]);
    let sound: String = fixture.engine.query_as("PRAGMA integrity_check", (), |row| row.get(0)).unwrap().remove(0);
    assert_eq!(sound, "ok");
}

#[test]
fn many_threads_write_and_read_and_every_answer_is_true() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    thread::scope(|scope| {
        for thread in 0..8 {
            let engine = if thread % 2 == 0 { engine.clone() } else { engine.with_ack(Ack::Written) };
            scope.spawn(move || {
                for number in 0..50 {
                    let name = format!("{thread}-{number}");
                    assert_eq!(engine.execute(INSERT, (name.clone(),)).unwrap().rows, 1);
                    // What was answered is seen by whoever reads next.
                    let seen = engine.query("SELECT count(*) FROM item WHERE name = ?", (name,)).unwrap();
                    assert_eq!(seen.rows, [[1.into()]]);
                }
            });
        }
    });
    assert_eq!(fixture.names().len(), 400);
}

#[test]
fn a_reader_that_does_not_end_stops_no_writer_and_is_seen() {
    let fixture = Fixture::with(tallybook_sqlite::Options {
        wal: tallybook_sqlite::wal::WalLimits { passive_bytes: 64 << 10, truncate_bytes: 128 << 10 },
        ..tallybook_sqlite::Options::default()
    });
    let engine = fixture.engine.with_ack(Ack::Written);
    let (begun, end) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let reader = {
        let (engine, begun, end) = (engine.clone(), begun.clone(), end.clone());
        thread::spawn(move || {
            engine.read(|connection| {
                connection.execute_batch("BEGIN; SELECT * FROM item").unwrap();
                begun.wait();
                end.wait();
            })
        })
    };
    begun.wait();
    for number in 0..200 {
        engine.execute(INSERT, (format!("{number}{}", "x".repeat(4_000)),)).unwrap();
    }
    engine.checkpoint().unwrap();
    let stats = engine.stats();
    assert!(stats.wal.blocked && stats.wal.bytes > 256 << 10, "{stats:?}");
    end.wait();
    reader.join().unwrap().unwrap();
    assert!(engine.checkpoint().unwrap());
    assert_eq!(engine.stats().wal.bytes, 0);
}

#[test]
fn many_reads_keep_nobody_from_emptying_the_log() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    let count = || engine.query_as("SELECT count(*) FROM item", (), |row| row.get::<_, i64>(0)).unwrap()[0];
    for round in 0..5 {
        let before = count();
        engine.execute(INSERT, (format!("{round}"),)).unwrap();
        // Enough of them for a transaction that stays open between reads.
        assert!((0..1_000).all(|_| count() == before + 1));
        assert!(engine.checkpoint().unwrap(), "round {round}");
    }
    engine.execute(INSERT, ("last",)).unwrap();
    assert!((0..1_000).all(|_| count() == 6));
    let elsewhere = tallybook_sqlite::rusqlite::Connection::open(engine.path()).unwrap();
    elsewhere.busy_timeout(std::time::Duration::ZERO).unwrap();
    let busy = || {
        let busy = elsewhere.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        busy.unwrap()
    };
    let waited = std::time::Instant::now();
    while busy() {
        assert!(waited.elapsed() < std::time::Duration::from_secs(60), "the log is held although nobody reads");
        thread::sleep(std::time::Duration::from_millis(50));
    }
}
