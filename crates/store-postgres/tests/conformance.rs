//! The PostgreSQL store against the suite, as a store and as a follower, in a cluster whose locale does not sort bytewise.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use support::Database;
use tallybook_conformance::{FollowerPlace, Place, follower_cases, following_store_cases};
use tallybook_core::{Result, Store};
use tallybook_store_postgres::{PostgresOptions, PostgresStore};

mod support;

async fn open(database: &Database) -> Result<Arc<PostgresStore>> {
    Ok(Arc::new(PostgresStore::open(&database.url().await?, PostgresOptions::default()).await?))
}

#[async_trait]
impl Place for Database {
    async fn open(&self) -> Result<Arc<dyn Store>> {
        Ok(open(self).await?)
    }
}

#[async_trait]
impl FollowerPlace for Database {
    type Opened = PostgresStore;

    async fn open(&self) -> Result<Arc<PostgresStore>> {
        open(self).await
    }
}

fn main() -> ExitCode {
    let mut own_cases = follower_cases("postgres", Database::new, true);
    own_cases.extend(following_store_cases("postgres", Database::new));
    tallybook_conformance::run("postgres", Database::new, own_cases)
}
