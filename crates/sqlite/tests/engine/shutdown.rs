//! The end: what was taken is done, what comes later is refused at once.

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tallybook_sqlite::{Ack, Engine, Error, ErrorKind, Options};

use crate::support::{Fixture, INSERT, names};

#[test]
fn every_call_after_a_shutdown_fails_at_once() {
    let fixture = Fixture::new();
    let engine = &fixture.engine;
    engine.shutdown().unwrap();
    engine.shutdown().unwrap();
    let calls: [(&str, Result<(), Error>); 7] = [
        ("execute", engine.execute(INSERT, ("a",)).map(|_| ())),
        ("query", engine.query("SELECT 1", ()).map(|_| ())),
        ("transaction", engine.transaction(|_| Ok(()))),
        ("script", engine.script("SELECT 1").map(|_| ())),
        ("enqueue", engine.enqueue(INSERT, ("a",))),
        ("write", engine.write(|_| ())),
        ("read", engine.read(|_| ())),
    ];
    for (name, answer) in calls {
        let error = answer.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Closed, "the database is closed"), "{name}");
    }
    assert!(engine.is_closed());
}

#[test]
fn what_waits_when_the_end_comes_is_answered_and_true() {
    let fixture = Fixture::new();
    let writers: Vec<_> = (0..8)
        .map(|thread| {
            let engine = fixture.engine.with_ack(Ack::Written);
            thread::spawn(move || {
                let mut done = Vec::new();
                for number in 0.. {
                    let name = format!("{thread}-{number}");
                    match engine.execute(INSERT, (name.clone(),)) {
                        Ok(_) => done.push(name),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Closed);
                            return done;
                        }
                    }
                }
                done
            })
        })
        .collect();
    let before = fixture.engine.stats().writes;
    while fixture.engine.stats().writes < before + 100 {
        thread::yield_now();
    }
    fixture.engine.shutdown().unwrap();
    let mut done: Vec<String> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    let again = Engine::open(&fixture.path(), Options::default()).unwrap();
    let mut found = names(&again);
    done.sort();
    found.sort();
    assert!(!done.is_empty());
    assert_eq!(done, found);
}

#[test]
fn a_read_that_does_not_end_is_interrupted() {
    let fixture = Fixture::with(Options { shutdown_grace: Duration::from_millis(50), ..Options::default() });
    let engine = fixture.engine.clone();
    let (reads, reading) = mpsc::channel();
    let reader = thread::spawn(move || {
        let for_ever = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
        let read = engine.for_each(for_ever, (), |_| {
            let _ = reads.send(());
            Ok(ControlFlow::Continue(()))
        });
        read.unwrap_err().kind()
    });
    reading.recv().unwrap();
    fixture.engine.shutdown().unwrap();
    assert_eq!(reader.join().unwrap(), ErrorKind::Closed);
}

#[test]
fn opening_what_is_there_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let engine = Engine::open(&path, Options::default()).unwrap();
    engine.script("CREATE TABLE note (text TEXT)").unwrap();
    engine.shutdown().unwrap();
    let engine = Engine::open(&path, Options::default()).unwrap();
    assert_eq!(engine.query("SELECT count(*) FROM note", ()).unwrap().rows, [[0.into()]]);
    let log = std::fs::metadata(folder.path().join("app.db-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0, "the log is as long");
    engine.shutdown().unwrap();
}
