//! What is kept beside the store, such as files for an older consumer: it is told of every commit.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tallybook_core::{Batch, Committed};

/// Is told of every batch that goes to the store. Its calls must not wait: the store does not wait for it.
pub trait Companion: fmt::Debug + Send + Sync {
    /// A batch is sent to the store: from now on its records may be there.
    fn begins(&self, batch: &Batch);

    /// What became of a batch that was sent.
    fn ended(&self, batch: &Arc<Batch>, end: End);

    /// What it did so far.
    fn stats(&self) -> CompanionStats;
}

/// What became of a batch that was sent to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is there: from now on, or from before.
    Committed(Committed),
    /// Nothing of it is there.
    NotApplied,
    /// It may be there.
    Unclear,
}

/// What a [`Companion`] did so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CompanionStats {
    /// Ticks that were written beside the store.
    pub written: u64,
    /// Ticks that wait to be written.
    pub queued: u64,
    /// Ticks that are in the store and could not be written; their days are written anew.
    pub missed: u64,
    /// Days that are not whole beside the store and wait to be written anew.
    pub days_behind: u64,
    /// Days that were written anew from the store.
    pub days_rewritten: u64,
    /// What kept it last; `None` while all is well.
    pub last_error: Option<Arc<str>>,
}

/// A batch on its way to the store. Where whoever sends it goes away, it is unclear what became of it.
pub(crate) struct Told<'a> {
    companion: &'a dyn Companion,
    batch: &'a Arc<Batch>,
    ended: bool,
}

impl<'a> Told<'a> {
    pub(crate) fn begins(companion: &'a dyn Companion, batch: &'a Arc<Batch>) -> Self {
        companion.begins(batch);
        Self { companion, batch, ended: false }
    }

    pub(crate) fn ended(mut self, end: End) {
        self.ended = true;
        self.companion.ended(self.batch, end);
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.companion.ended(self.batch, End::Unclear);
        }
    }
}
