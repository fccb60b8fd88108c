//! How ticks are read, and what can be done to whole days of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

use super::{Tick, TickKey};
use crate::{Result, TimeRange, Timestamp};

/// A page of the ticks of one symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickQuery {
    /// Whose.
    pub symbol: Arc<str>,
    /// When; half-open.
    pub range: TimeRange,
    /// Only ticks behind this one, in the direction of the page.
    pub after: Option<TickKey>,
    /// From the latest to the earliest.
    pub newest_first: bool,
    /// Ticks at the most.
    pub limit: usize,
}

/// What is stored of one symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SymbolSummary {
    /// The symbol.
    pub symbol: Arc<str>,
    /// Its ticks.
    pub count: u64,
    /// The time of the earliest.
    pub first: Timestamp,
    /// The time of the latest.
    pub last: Timestamp,
}

impl SymbolSummary {
    /// Adds up what several places have of each symbol.
    pub fn add_up(all: &mut BTreeMap<Arc<str>, Self>, more: Vec<Self>) {
        for symbol in more {
            if let Some(known) = all.get_mut(&symbol.symbol) {
                known.count += symbol.count;
                known.first = known.first.min(symbol.first);
                known.last = known.last.max(symbol.last);
            } else {
                all.insert(symbol.symbol.clone(), symbol);
            }
        }
    }
}

/// One UTC day of ticks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// The day's first moment.
    pub day: Timestamp,
    /// Ticks of all symbols.
    pub count: u64,
    /// Bytes on disk; 0 where the backend cannot tell.
    pub bytes: u64,
    /// Whether it was turned into its compressed, immutable form.
    pub sealed: bool,
    /// Ticks that came after that: they lie beside it until the next seal.
    pub late: u64,
    /// Why it can be neither read nor written to until somebody mends it; nothing else is known of it then.
    pub error: Option<String>,
}

impl Segment {
    /// Whether a seal would do anything.
    pub fn is_open(&self) -> bool {
        self.error.is_none() && (!self.sealed || self.late > 0)
    }
}

/// The tick family of a store. The contract, on top of that of [`crate::Store`]:
///
/// 1. `ticks` yields the ticks of one symbol by rising (or falling) [`TickKey`], whatever day they are in and whether that
///    day is sealed or not, each once.
/// 2. The first tick with a key stays; a later one with the same key counts as duplicate and changes nothing.
/// 3. `seal` and `unseal` change no answer of any other call. Cut off at any step, they leave each tick there once.
/// 4. A day that cannot be used stops no other. What would need it is refused with an error that
///    [`needs_mending`](crate::Error::needs_mending) and names it; `segments` lists it. `changes` needs it only
///    where it has ticks behind the cursor.
#[async_trait]
pub trait TickStore {
    /// A page of ticks.
    async fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>>;

    /// All symbols, by name, with what is stored of them within `range`, by whole UTC days that touch it.
    async fn symbols(&self, range: TimeRange) -> Result<Vec<SymbolSummary>>;

    /// All days that have ticks, or that cannot be used, the earliest first.
    async fn segments(&self) -> Result<Vec<Segment>>;

    /// Turns a day into its compressed form, having compared that with the original row by row. A sealed day to which
    /// nothing was added stays as it is. `Invalid` when there is no such day, `Unsupported` where the backend has none.
    async fn seal(&self, day: Timestamp) -> Result<Segment>;

    /// Turns a sealed day back; one that is not sealed stays as it is. `Invalid` when there is no such day, `Unsupported`
    /// where the backend cannot seal.
    async fn unseal(&self, day: Timestamp) -> Result<Segment>;

    /// Removes a whole day and says how many ticks it had.
    async fn drop_segment(&self, day: Timestamp) -> Result<u64>;
}
