//! What operators change, as it lies in the store.

use std::sync::Arc;

use tallybook_core::{Ack, Batch, BatchId, Records, Result, SourceId, Store};
use tokio::sync::{Mutex, MutexGuard};

/// Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    store: Arc<dyn Store>,
    last: Arc<Mutex<BatchId>>,
}

/// One change at a time: who has the turn sees all changes of this server before it.
#[derive(Debug)]
pub(crate) struct Turn<'s> {
    store: &'s Arc<dyn Store>,
    last: MutexGuard<'s, BatchId>,
}

impl Stored {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let last = Arc::new(Mutex::new(BatchId { source: SourceId::mint(), seq: 0 }));
        Self { store, last }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn { store: &self.store, last: self.last.lock().await }
    }
}

impl Turn<'_> {
    pub(crate) async fn commit(mut self, records: Records) -> Result<()> {
        // After a failure the number is used up: whether that batch was applied may be unknown.
        self.last.seq += 1;
        self.store.commit(Arc::new(Batch { id: *self.last, ack: Ack::Durable, records })).await?;
        Ok(())
    }
}
