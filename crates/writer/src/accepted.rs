//! What a request of pings or ticks is told.

use tallybook_core::Counts;

/// Where the records of a request are: `counts`, `queued`, `rejected`, `shed` and `filtered` add up to all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// What became of those that were committed.
    pub counts: Counts,
    /// Those that wait for their commit, where [`crate::AckLevel::Queued`] answers before it.
    pub queued: u64,
    /// Those that cannot be stored, and are dead letters.
    pub rejected: u64,
    /// Those that were dropped because the queue was full, as [`crate::WhenFull::Shed`] wants it.
    pub shed: u64,
    /// Ticks that were dropped because nothing in them had changed; accounted for as duplicates.
    pub filtered: u64,
    /// Requests that come at once share a commit, and a store counts by commit. Where more than one shared it, and some of
    /// its records were merged or duplicate, so many of those in `counts.stored` may be those.
    pub shared_repeats: u64,
}

impl Accepted {
    /// All records of the request.
    pub fn records(&self) -> u64 {
        let Self { counts, queued, rejected, shed, filtered, shared_repeats: _ } = self;
        counts.stored + counts.merged + counts.duplicate + queued + rejected + shed + filtered
    }
}
