//! The DuckDB mirror against the suite of followers.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use tallybook_conformance::{FollowerPlace, follower_cases, run_trials};
use tallybook_core::Result;
use tallybook_mirror_duckdb::DuckDbMirror;
use tempfile::TempDir;

/// A file of its own in a temporary folder.
#[derive(Debug)]
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) async fn mirror(&self) -> Result<DuckDbMirror> {
        DuckDbMirror::open(&self.0.path().join("mirror.duckdb")).await
    }
}

#[async_trait]
impl FollowerPlace for Place {
    type Opened = DuckDbMirror;

    async fn open(&self) -> Result<Arc<DuckDbMirror>> {
        Ok(Arc::new(self.mirror().await?))
    }
}

fn main() -> ExitCode {
    run_trials(follower_cases("duckdb", Place::new, true))
}
