//! The suite of all backends, over SQLite.

use std::process::ExitCode;
use std::sync::Arc;

use tallybook_conformance::{Place, run};
use tallybook_core::{Result, Store};
use tallybook_store_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

#[derive(Debug)]
struct Folder(TempDir);

#[async_trait::async_trait]
impl Place for Folder {
    async fn open(&self) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(SqliteStore::open(&self.0.path().join("tallybook.db"), SqliteOptions::default())?))
    }
}

fn main() -> ExitCode {
    run("sqlite", || Folder(tempfile::tempdir().expect("a temporary folder can be made")), Vec::new())
}
