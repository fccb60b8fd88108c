//! A data folder to back up.

use std::fs;
use std::path::{Path, PathBuf};

use tallybook_backup::{Found, TakeOptions, Target, take};
use tallybook_sqlite::{Engine, Options};
use tempfile::TempDir;

/// A folder with a main database, two days of ticks (one of them sealed), a named database and an artifact.
pub(crate) struct DataFolder {
    folder: TempDir,
    pub(crate) main: Engine,
}

impl DataFolder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        for path in ["ticks/2026/11", "databases", "artifacts/run-1", "backups"] {
            fs::create_dir_all(data.join(path)).unwrap();
        }
        for path in ["ticks/2026/11/ticks_2026-11-02.db", "databases/notes.db"] {
            database(&data.join(path), &["one", "two"]).shutdown().unwrap();
        }
        fs::write(data.join("ticks/2026/11/ticks_2026-11-01.parquet"), "PAR1 sealed PAR1").unwrap();
        fs::write(data.join("artifacts/run-1/report.html"), "<p>fine").unwrap();
        // None of these is backed up.
        fs::write(data.join("ticks/2026/11/ticks_2026-11-03.parquet.sealing"), "half").unwrap();
        fs::write(data.join("backups/notes.txt"), "mine").unwrap();
        let main = database(&data.join("tallybook.db"), &["main"]);
        Self { folder, main }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn target(&self) -> Target {
        Target::new(self.path().join("backups"))
    }

    pub(crate) fn elsewhere(&self) -> PathBuf {
        self.folder.path().join("elsewhere")
    }

    pub(crate) fn take(&self) -> Found {
        self.take_with(&TakeOptions::default())
    }

    pub(crate) fn take_with(&self, options: &TakeOptions) -> Found {
        take(&self.path(), &self.target(), options, &mut |_| ()).unwrap()
    }

    /// Has what was just written count as settled: older than the time within which a change may leave no trace.
    pub(crate) fn settle(&self) {
        for path in ["ticks/2026/11/ticks_2026-11-01.parquet", "ticks/2026/11/ticks_2026-11-02.db"] {
            let file = fs::File::options().write(true).open(self.path().join(path)).unwrap();
            file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60)).unwrap();
        }
    }
}

pub(crate) fn database(path: &Path, rows: &[&str]) -> Engine {
    let engine = Engine::open(path, Options { lock_note: None, ..Options::default() }).unwrap();
    engine.script("CREATE TABLE item (name TEXT)").unwrap();
    let rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
    engine.execute_many("INSERT INTO item VALUES (?)", rows.into_iter().map(|row| (row,))).unwrap();
    engine
}

pub(crate) fn rows(path: &Path) -> Vec<String> {
    let engine = Engine::open(path, Options { lock_note: None, ..Options::default() }).unwrap();
    engine.query_as("SELECT name FROM item", (), |row| row.get(0)).unwrap()
}

/// The files of a folder, by path.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
