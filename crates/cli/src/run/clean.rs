//! Artifacts whose time is over, and contents that nobody names any more.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tallybook_core::{
    Ack, Artifact, Batch, BatchId, Condition, Execution, ExecutionEventKind, ExecutionRecords, Query, Records,
    SourceId, Store, StoreExt as _, Timestamp,
};
use tallybook_runner::{Artifacts, Spool, SpoolReader, Swept};

/// A content is there before its execution names it: nothing younger is removed.
const MIN_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Rows of a page.
const PAGE: usize = 1_000;
/// The time between two rounds of a server.
const CLEAN_EVERY: Duration = Duration::from_secs(60 * 60);

/// Removes contents of artifacts that have expired, or whose executions are gone; only counts them in a dry run, in which the
/// executions in `going` count as gone.
///
/// # Errors
/// When the store or the folder cannot be read or written.
pub(crate) async fn clean(
    store: &dyn Store,
    artifacts: &Artifacts,
    spool: &Spool,
    going: &HashSet<Arc<str>>,
    dry_run: bool,
) -> Result<Swept> {
    let now = Timestamp::now();
    let over = Query::new(PAGE).filter(Condition::AtMost("expires_at", now.into()));
    let over: Vec<Artifact> = store.list_all(over).await?;
    let over: Vec<Artifact> = over.into_iter().filter(|artifact| artifact.stored.is_some()).collect();
    if !dry_run && !over.is_empty() {
        let gone =
            over.iter().cloned().map(|artifact| Artifact { revision: Execution::FINAL, stored: None, ..artifact });
        let executions = ExecutionRecords { artifacts: gone.collect(), ..ExecutionRecords::default() };
        let records = Records { executions, ..Records::default() };
        let id = BatchId { source: SourceId::mint(), seq: 1 };
        store.commit(Arc::new(Batch { id, ack: Ack::Durable, records })).await?;
    }
    let is_over = |artifact: &Artifact| artifact.expires_at.is_some_and(|at| at <= now);
    let all: Vec<Artifact> = store.list_all(Query::new(PAGE)).await?;
    let kept = all
        .into_iter()
        .filter(|artifact| artifact.stored.is_some() && !is_over(artifact) && !going.contains(&artifact.execution));
    let mut named: HashSet<String> = kept.map(|artifact| artifact.sha256.to_string()).collect();
    named.extend(spooled(spool)?);
    let artifacts = artifacts.clone();
    Ok(tokio::task::spawn_blocking(move || artifacts.sweep(&named, MIN_AGE, dry_run)).await??)
}

/// Contents that only events name which no store has yet.
fn spooled(spool: &Spool) -> Result<Vec<String>> {
    let mut named = Vec::new();
    for id in spool.ids()? {
        let Some(mut reader) = SpoolReader::open(spool, &id)? else { continue };
        loop {
            let events = reader.events(1 << 20)?;
            if events.is_empty() {
                break;
            }
            named.extend(events.into_iter().filter_map(|event| match event.kind {
                ExecutionEventKind::Artifact(artifact) => Some(artifact.sha256.to_string()),
                _ => None,
            }));
        }
    }
    Ok(named)
}

/// Cleans every hour, until the task is dropped.
pub(crate) async fn keep_clean(store: Arc<dyn Store>, artifacts: Artifacts, spool: Spool) {
    loop {
        match clean(store.as_ref(), &artifacts, &spool, &HashSet::new(), false).await {
            Ok(Swept { artifacts: 0, .. }) => {}
            Ok(Swept { artifacts, bytes }) => {
                tracing::info!(artifacts, bytes, "artifacts whose time is over are removed");
            }
            Err(error) => tracing::warn!(%error, "artifacts could not be cleaned up"),
        }
        tokio::time::sleep(CLEAN_EVERY).await;
    }
}
