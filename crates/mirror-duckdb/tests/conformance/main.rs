//! The DuckDB mirror against the suite of followers.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use tallybook_conformance::{FollowerPlace, case, follower_cases, run_trials};
use tallybook_core::Result;
use tallybook_mirror_duckdb::DuckDbMirror;
use tempfile::TempDir;

mod cases;

/// A file of its own in a temporary folder.
#[derive(Debug)]
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }
}

#[async_trait]
impl FollowerPlace for Place {
    type Opened = DuckDbMirror;

    async fn open(&self) -> Result<Arc<DuckDbMirror>> {
        Ok(Arc::new(DuckDbMirror::open(&self.0.path().join("mirror.duckdb")).await?))
    }
}

fn main() -> ExitCode {
    let mut trials = follower_cases("duckdb", Place::new, true);
    trials.extend(cases::ALL.iter().map(|(name, body)| case(&format!("duckdb::{name}"), *body)));
    run_trials(trials)
}
