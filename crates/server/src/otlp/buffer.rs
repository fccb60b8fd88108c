//! The memory of requests that are being received: bounded for all of them together, given back when the last reader of a
//! request lets go of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Bytes that all requests together may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
}

/// The bytes of one request, in one piece.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    skipped: usize,
    held: usize,
    budget: Arc<Budget>,
}

/// All requests together hold as much as they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverBudget;

impl Budget {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(bytes) })
    }

    fn take(&self, bytes: usize) -> Result<(), OverBudget> {
        let less = |left: usize| left.checked_sub(bytes);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).map(drop).map_err(|_| OverBudget)
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Buffer {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self { bytes: Vec::new(), skipped: 0, held: 0, budget: budget.clone() }
    }

    /// The bytes, to be written to within what was reserved.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.skipped
    }

    /// Leaves out the first `count` bytes, which are there.
    pub(crate) fn skip(&mut self, count: usize) {
        self.skipped = (self.skipped + count).min(self.bytes.len());
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Makes room for `more` bytes behind those that are there.
    pub(crate) fn reserve(&mut self, more: usize) -> Result<(), OverBudget> {
        let wanted = self.bytes.len().saturating_add(more);
        if wanted > self.held {
            self.budget.take(wanted - self.held)?;
            self.held = wanted;
            self.bytes.reserve_exact(more);
        }
        Ok(())
    }

    /// Puts bytes behind those that are there; room grows by doubling.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> Result<(), OverBudget> {
        if self.bytes.len() + bytes.len() > self.held {
            self.reserve(bytes.len().max(self.bytes.len()))?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The same budget's hold on bytes that were made elsewhere.
    pub(crate) fn replaced_by(mut self, bytes: Vec<u8>) -> Result<Self, OverBudget> {
        if bytes.len() > self.held {
            self.budget.take(bytes.len() - self.held)?;
        } else {
            self.budget.give_back(self.held - bytes.len());
        }
        self.held = bytes.len();
        self.bytes = bytes;
        self.skipped = 0;
        Ok(self)
    }

    pub(crate) fn into_shared(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.skipped..]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.budget.give_back(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_hold_together_is_bounded_and_given_back() {
        let budget = Budget::new(100);
        let mut first = Buffer::new(&budget);
        first.extend(&[1; 60]).unwrap();
        let mut second = Buffer::new(&budget);
        assert_eq!(second.extend(&[2; 60]), Err(OverBudget));
        let shared = first.into_shared();
        let part = shared.slice(10..20);
        drop(shared);
        assert_eq!(second.reserve(60), Err(OverBudget), "a part still holds the whole");
        drop(part);
        second.extend(&[2; 60]).unwrap();
        let second = second.replaced_by(vec![3; 100]).unwrap();
        assert_eq!(Buffer::new(&budget).reserve(1), Err(OverBudget));
        drop(second);
        Buffer::new(&budget).reserve(100).unwrap();
    }
}
