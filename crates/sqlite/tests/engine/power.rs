//! A loss of power at any write. The log is only ever appended to between two checkpoints, and a checkpoint copies pages of
//! a log that is on disk: so the files after a loss are the database with any part of a checkpoint in it, and the log cut
//! anywhere behind its last fsync, or with rubbish there.

use std::fs;
use std::path::{Path, PathBuf};

use tallybook_sqlite::wal::WalLimits;
use tallybook_sqlite::{Ack, Engine, Options};

use crate::support::{INSERT, names};

const PAGE_BYTES: usize = 8_192;

fn log_of(database: &Path) -> PathBuf {
    database.with_extension("db-wal")
}

/// Opens what a loss of power left, and compares it with what was answered before.
fn check(database: &[u8], log: &[u8], durable: &[String], written: &[String], what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    fs::write(&path, database).unwrap();
    fs::write(log_of(&path), log).unwrap();
    let engine = Engine::open(&path, Options::default()).unwrap();
    let sound: Vec<String> = engine.query_as("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(sound, ["ok"], "{what}");
    let found = names(&engine);
    assert!(found.len() >= durable.len(), "{what}: {} of {} durable rows", found.len(), durable.len());
    assert_eq!(found[..], written[..found.len()], "{what}: a prefix of what was written, in its order");
}

/// Writes rows, some durable and some not, and tells of each its name, whether it is durable, and how long the log is.
fn workload(engine: &Engine, log: &Path) -> Vec<(String, bool, u64)> {
    let mut told = Vec::new();
    for number in 0..24 {
        let durable = number % 4 == 3;
        let engine = if durable { engine.clone() } else { engine.with_ack(Ack::Written) };
        let name = format!("{number}{}", "x".repeat(number * 400));
        engine.execute(INSERT, (name.clone(),)).unwrap();
        told.push((name, durable, fs::metadata(log).unwrap().len()));
    }
    told
}

#[test]
fn whatever_is_lost_of_the_log_durable_answers_hold_and_the_rest_is_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let limits = WalLimits { passive_bytes: 1 << 30, truncate_bytes: 1 << 30 };
    let engine = Engine::open(&path, Options { wal: limits, ..Options::default() }).unwrap();
    engine.script("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT").unwrap();
    assert!(engine.checkpoint().unwrap());
    let told = workload(&engine, &log_of(&path));
    let (database, log) = (fs::read(&path).unwrap(), fs::read(log_of(&path)).unwrap());
    let written: Vec<String> = told.iter().map(|(name, ..)| name.clone()).collect();

    let mut cuts: Vec<usize> = Vec::new();
    // At every write of the log: before, in the middle and behind each frame and its header.
    for frame in (32..=log.len()).step_by(PAGE_BYTES + 24) {
        cuts.extend([frame, frame + 12, frame + 24 + PAGE_BYTES / 2]);
    }
    for cut in cuts.into_iter().filter(|cut| *cut <= log.len()) {
        // On disk for sure: everything up to the last durable answer whose log is not longer.
        let count =
            told.iter().rposition(|(_, durable, length)| *durable && *length <= cut as u64).map_or(0, |at| at + 1);
        check(&database, &log[..cut], &written[..count], &written, &format!("cut at {cut}"));
        let mut rubbish = log[..cut].to_vec();
        rubbish.resize(log.len(), 0x5A);
        check(&database, &rubbish, &written[..count], &written, &format!("rubbish from {cut}"));
    }
}

#[test]
fn whatever_part_of_a_checkpoint_is_lost_everything_written_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let engine = Engine::open(&path, Options::default()).unwrap();
    engine.script("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT").unwrap();
    assert!(engine.checkpoint().unwrap());
    let written: Vec<String> = workload(&engine, &log_of(&path)).into_iter().map(|(name, ..)| name).collect();
    let (before, log) = (fs::read(&path).unwrap(), fs::read(log_of(&path)).unwrap());
    assert!(engine.checkpoint().unwrap());
    let after = fs::read(&path).unwrap();

    let pages = after.len() / PAGE_BYTES;
    for upto in 0..=pages {
        // The pages written so far, the last of them torn.
        let mut torn = after[..upto * PAGE_BYTES].to_vec();
        torn.extend_from_slice(before.get(upto * PAGE_BYTES..).unwrap_or_default());
        check(&torn, &log, &written, &written, &format!("{upto} of {pages} pages"));
        if upto < pages {
            torn.resize(torn.len().max((upto + 1) * PAGE_BYTES), 0);
            let half = upto * PAGE_BYTES..upto * PAGE_BYTES + PAGE_BYTES / 2;
            torn[half.clone()].copy_from_slice(&after[half]);
            check(&torn, &log, &written, &written, &format!("{upto} and a half of {pages} pages"));
        }
    }
}
