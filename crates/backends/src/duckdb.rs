//! DuckDB, where it was compiled in: the mirror, and questions to its file.

use std::path::Path;
use std::sync::Arc;

use tallybook_core::{Follower, Result};
#[cfg(feature = "duckdb")]
pub use tallybook_mirror_duckdb::{Analytics, Answer, AnswerLimits, Exported, Sources};

/// Whether DuckDB was compiled in.
///
/// # Errors
/// One sentence that says what to do where it was not.
pub fn is_compiled_in() -> Result<(), String> {
    if cfg!(feature = "duckdb") {
        return Ok(());
    }
    Err("DuckDB was compiled out of this tallybook; build one with it: eval \"$(cargo xtask duckdb)\" && cargo build \
         --release --features duckdb (docs/duckdb.md)"
        .to_owned())
}

#[cfg(feature = "duckdb")]
pub(crate) async fn open_mirror(file: &Path) -> Result<Arc<dyn Follower>> {
    Ok(Arc::new(tallybook_mirror_duckdb::DuckDbMirror::open(file).await?))
}

#[cfg(not(feature = "duckdb"))]
#[expect(clippy::unused_async, reason = "the same call as where DuckDB was compiled in")]
pub(crate) async fn open_mirror(_file: &Path) -> Result<Arc<dyn Follower>> {
    let sentence = is_compiled_in().expect_err("this is the build without DuckDB");
    Err(tallybook_core::Error::new(tallybook_core::ErrorKind::Unsupported, "opening a place", sentence))
}
