//! The configured targets, as they lie in the store.

use std::sync::Arc;

use tallybook_core::{
    Ack, Batch, BatchId, Condition, PingTarget, Query, Records, Result, SourceId, Store, StoreExt, Value,
};
use tokio::sync::Mutex;

/// Reads and changes the configured targets. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct PingTargets {
    store: Arc<dyn Store>,
    last: Arc<Mutex<BatchId>>,
}

impl PingTargets {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let last = Arc::new(Mutex::new(BatchId { source: SourceId::mint(), seq: 0 }));
        Self { store, last }
    }

    /// All of them, by id; the earliest made first.
    pub(crate) async fn list(&self) -> Result<Vec<PingTarget>> {
        let query = Query::new(PingTarget::MAX_TARGETS).filter(Condition::Equals("deleted", Value::Int(0)));
        self.store.list_all(query).await
    }

    /// Changes what `change` makes of all targets; one change at a time, so that each sees those before it.
    ///
    /// # Errors
    /// What `change` says, or the store.
    pub(crate) async fn change<E: From<tallybook_core::Error>>(
        &self,
        change: impl FnOnce(Vec<PingTarget>) -> Result<PingTarget, E> + Send,
    ) -> Result<PingTarget, E> {
        let mut last = self.last.lock().await;
        let changed = change(self.list().await?)?;
        // After a failure the number is used up: whether that batch was applied may be unknown.
        last.seq += 1;
        let records = Records { ping_targets: vec![changed.clone()], ..Records::default() };
        self.store.commit(Arc::new(Batch { id: *last, ack: Ack::Durable, records })).await?;
        Ok(changed)
    }
}
