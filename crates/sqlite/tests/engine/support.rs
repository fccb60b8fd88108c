//! What the tests share.

use std::path::PathBuf;

use tallybook_sqlite::{Engine, Options, Value};
use tempfile::TempDir;

/// An engine in a folder of its own, with a table `item (id, name)` whose names differ.
pub(crate) struct Fixture {
    pub(crate) engine: Engine,
    pub(crate) folder: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(&folder.path().join("app.db"), options).unwrap();
        engine.script("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT").unwrap();
        Self { engine, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("app.db")
    }

    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.engine)
    }
}

pub(crate) const INSERT: &str = "INSERT INTO item (name) VALUES (?)";

pub(crate) fn names(engine: &Engine) -> Vec<String> {
    engine.query_as("SELECT name FROM item ORDER BY id", (), |row| row.get(0)).unwrap()
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
