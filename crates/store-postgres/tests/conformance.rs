//! The PostgreSQL store against the suite, in a cluster whose locale does not sort bytewise.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use tallybook_conformance::Place;
use tallybook_core::{Result, Store};
use tallybook_store_postgres::{PostgresOptions, PostgresStore};

mod support;

#[async_trait]
impl Place for support::Database {
    async fn open(&self) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(PostgresStore::open(&self.url().await?, PostgresOptions::default()).await?))
    }
}

fn main() -> ExitCode {
    tallybook_conformance::run("postgres", support::Database::new, Vec::new())
}
