//! The numbers of whatever is counted: how often, from when to when, and how many distinct values.

use std::sync::Arc;

use tallybook_core::{Sketch, Timestamp};

/// How many records, the earliest and the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) count: u64,
    first: i64,
    last: i64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { count: 0, first: i64::MAX, last: i64::MIN }
    }
}

impl Tally {
    #[inline]
    pub(super) fn add(&mut self, time: Timestamp) {
        self.count += 1;
        self.first = self.first.min(time.0);
        self.last = self.last.max(time.0);
    }

    #[inline]
    pub(super) fn unite(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }

    pub(super) fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The count, the earliest and the latest.
    pub(super) fn parts(self) -> (u64, Timestamp, Timestamp) {
        (self.count, Timestamp(self.first), Timestamp(self.last))
    }
}

/// Distinct values, hashed. Most have one value only, or repeat the latest: those need no sketch yet.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// 0 is no value, so a hash of 0 is taken as 1, as [`Sketch`] does.
    latest: u64,
    /// Empty while there is but one value.
    sketch: Sketch,
}

impl Values {
    /// Adds a hash; gives by how many bytes that grew the heap.
    #[inline]
    pub(super) fn insert(&mut self, hash: u64) -> isize {
        let hash = hash.max(1);
        if hash == self.latest {
            return 0;
        }
        let before = std::mem::replace(&mut self.latest, hash);
        if before == 0 { 0 } else { self.insert_another(before, hash) }
    }

    fn insert_another(&mut self, before: u64, hash: u64) -> isize {
        let held = self.sketch.heap_bytes();
        if self.sketch.is_empty() {
            self.sketch.insert(before);
        }
        self.sketch.insert(hash);
        self.sketch.heap_bytes() as isize - held as isize
    }

    pub(super) fn into_sketch(self) -> Arc<Sketch> {
        if self.latest != 0 && self.sketch.is_empty() {
            return Arc::new(Sketch::of(self.latest));
        }
        Arc::new(self.sketch)
    }
}

/// What was counted of one key since the last drain, in one hour. 64 bytes: the fold spends most of its time here.
#[derive(Debug, Default)]
pub(super) struct KeyRow {
    pub(super) tally: Tally,
    /// The stamp of the record that was counted last: a key that a record carries twice counts once.
    stamp: u64,
    pub(super) values: Values,
}

const _: () = assert!(size_of::<KeyRow>() == 64);

impl KeyRow {
    /// Counts a value in the record of that stamp; gives by how many bytes that grew the heap.
    #[inline]
    pub(super) fn add(&mut self, stamp: u64, time: Timestamp, hash: u64) -> isize {
        if self.stamp != stamp {
            self.stamp = stamp;
            self.tally.add(time);
        }
        self.values.insert(hash)
    }

    /// Counts a value that all records of `tally` share, which have that stamp together.
    #[inline]
    pub(super) fn add_shared(&mut self, stamp: u64, tally: Tally, hash: u64) -> isize {
        if self.stamp != stamp {
            self.stamp = stamp;
            self.tally.unite(tally);
        }
        self.values.insert(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_alike_with_and_without_a_sketch() {
        for hashes in [&[][..], &[0], &[7, 7], &[1, 2, 1, 2, 3], &[0, 1, 0]] {
            let (mut values, mut sketch) = (Values::default(), Sketch::default());
            for &hash in hashes {
                values.insert(hash);
                sketch.insert(hash);
            }
            assert_eq!(*values.into_sketch(), sketch, "{hashes:?}");
        }
    }

    #[test]
    fn a_key_that_a_record_carries_twice_counts_once_with_both_values() {
        let mut row = KeyRow::default();
        row.add(1, Timestamp(5), 10);
        row.add(1, Timestamp(5), 20);
        row.add(2, Timestamp(3), 20);
        assert_eq!(row.tally.parts(), (2, Timestamp(3), Timestamp(5)));
        assert_eq!(row.values.into_sketch().estimate(), 2);
    }
}
