//! The families whose records come from files and go to them.

use std::fmt;

use tallybook_core::{Digested, Family, Ping, Tick};
use tallybook_formats::{Readable, Writable};

use crate::Sequence;

/// A record that is exchanged with files: a [`Tick`] or a [`Ping`].
pub trait Exchanged: Readable + Writable + Digested + Clone + fmt::Debug + Send + Sync + 'static {
    /// Its family.
    const FAMILY: Family;
    /// Several of them: the word in commands and addresses, and the plain table of SQLite files.
    const WORD: &'static str;

    /// Gives it the number that tells it apart from others of the same file, name and time, where it has none.
    fn number(&mut self, sequence: &mut Sequence);

    /// The same as ticks, where they are: a feed and a plain table hold nothing else.
    fn as_ticks(records: &[Self]) -> Option<&[Tick]>;
}

impl Exchanged for Tick {
    const FAMILY: Family = Family::Tick;
    const WORD: &'static str = "ticks";

    fn number(&mut self, sequence: &mut Sequence) {
        sequence.number(self);
    }

    fn as_ticks(records: &[Self]) -> Option<&[Tick]> {
        Some(records)
    }
}

impl Exchanged for Ping {
    const FAMILY: Family = Family::Ping;
    const WORD: &'static str = "pings";

    /// Its target and time are its identity.
    fn number(&mut self, _sequence: &mut Sequence) {}

    fn as_ticks(_records: &[Self]) -> Option<&[Tick]> {
        None
    }
}
