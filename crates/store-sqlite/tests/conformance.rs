//! The suite of all backends, over SQLite, as a store and as a follower.

use std::process::ExitCode;
use std::sync::Arc;

use tallybook_conformance::{FollowerPlace, Place, follower_cases, following_store_cases, run};
use tallybook_core::{Result, Store};
use tallybook_store_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

#[derive(Debug)]
struct Folder(TempDir);

#[async_trait::async_trait]
impl Place for Folder {
    async fn open(&self) -> Result<Arc<dyn Store>> {
        Ok(self.store()?)
    }
}

#[async_trait::async_trait]
impl FollowerPlace for Folder {
    type Opened = SqliteStore;

    async fn open(&self) -> Result<Arc<SqliteStore>> {
        self.store()
    }
}

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    fn store(&self) -> Result<Arc<SqliteStore>> {
        Ok(Arc::new(SqliteStore::open(&self.0.path().join("tallybook.db"), SqliteOptions::default())?))
    }
}

fn main() -> ExitCode {
    let mut own_cases = follower_cases("sqlite", Folder::new, true);
    own_cases.extend(following_store_cases("sqlite", Folder::new));
    run("sqlite", Folder::new, own_cases)
}
