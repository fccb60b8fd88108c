//! Commands that work on the store by themselves, beside no server.

use anyhow::Result;
use tallybook_core::{Store, Timestamp};

use crate::settings::Settings;
use crate::store;

/// Opens the store, runs `work` and closes it, whatever `work` says; `holder` is who another process is told has it.
pub(crate) fn with_store(
    settings: &Settings,
    holder: &str,
    work: impl AsyncFnOnce(&dyn Store) -> Result<()>,
) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let store = store::open_soon(settings, holder).await?;
        let worked = work(store.as_ref()).await;
        store.close().await?;
        worked
    })
}

/// `2026-11-24`.
pub(crate) fn day_of(day: Timestamp) -> String {
    day.to_string().chars().take(10).collect()
}
