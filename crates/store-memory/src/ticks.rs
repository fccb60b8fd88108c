//! Ticks by symbol and key, and what is read of them.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use tallybook_core::{DAY, Segment, SymbolSummary, Tick, TickKey, TickQuery, TimeRange, Timestamp};

#[derive(Debug)]
struct Stored {
    tick: Tick,
    /// Where the tick stands in the list of changes.
    place: u64,
}

/// All ticks; no symbol is without any.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    symbols: BTreeMap<Arc<str>, BTreeMap<TickKey, Stored>>,
}

impl Ticks {
    /// Adds a tick whose key is new and says whether it was.
    pub(crate) fn insert(&mut self, tick: &Tick, place: u64) -> bool {
        let ticks = self.symbols.entry(tick.symbol.clone()).or_default();
        let known = ticks.contains_key(&tick.key());
        ticks.entry(tick.key()).or_insert_with(|| Stored { tick: tick.clone(), place });
        !known
    }

    pub(crate) fn get(&self, symbol: &str, key: TickKey) -> Option<&Tick> {
        self.symbols.get(symbol)?.get(&key).map(|stored| &stored.tick)
    }

    pub(crate) fn page(&self, query: &TickQuery) -> Vec<Tick> {
        let Some(ticks) = self.symbols.get(&query.symbol) else { return Vec::new() };
        let in_range = between(ticks, query.range.from, query.range.to);
        let tick = |stored: &Stored| stored.tick.clone();
        if query.newest_first {
            let behind = |stored: &&Stored| query.after.is_none_or(|after| stored.tick.key() < after);
            in_range.rev().filter(behind).take(query.limit).map(tick).collect()
        } else {
            let behind = |stored: &&Stored| query.after.is_none_or(|after| stored.tick.key() > after);
            in_range.filter(behind).take(query.limit).map(tick).collect()
        }
    }

    pub(crate) fn symbols(&self, range: TimeRange) -> Vec<SymbolSummary> {
        if range.from >= range.to {
            return Vec::new();
        }
        let (from, to) = (range.from.day(), end_of_day(range.to.earlier(1)));
        let summary = |(symbol, ticks): (&Arc<str>, _)| {
            let mut times = between(ticks, from, to).map(|stored| stored.tick.time);
            let first = times.next()?;
            let (count, last) = times.fold((1, first), |(count, _), time| (count + 1, time));
            Some(SymbolSummary { symbol: symbol.clone(), count, first, last })
        };
        self.symbols.iter().filter_map(summary).collect()
    }

    pub(crate) fn segments(&self) -> Vec<Segment> {
        let mut counts = BTreeMap::<Timestamp, u64>::new();
        for key in self.symbols.values().flat_map(BTreeMap::keys) {
            *counts.entry(key.time.day()).or_default() += 1;
        }
        let segment = |(day, count)| Segment { day, count, bytes: 0, sealed: false, late: 0, error: None };
        counts.into_iter().map(segment).collect()
    }

    /// Removes a day and gives the places its ticks had in the list of changes.
    pub(crate) fn drop_day(&mut self, day: Timestamp) -> Vec<u64> {
        let mut places = Vec::new();
        self.symbols.retain(|_, ticks| {
            ticks.retain(|key, stored| {
                let gone = key.time.day() == day;
                places.extend(gone.then_some(stored.place));
                !gone
            });
            !ticks.is_empty()
        });
        places
    }
}

/// The ticks with `from <= time < to`; none where `to` is no later than `from`.
fn between(
    ticks: &BTreeMap<TickKey, Stored>,
    from: Timestamp,
    to: Timestamp,
) -> impl DoubleEndedIterator<Item = &Stored> {
    let first = |time| TickKey { time, seq: 0 };
    ticks.range((Included(first(from)), Excluded(first(to.max(from))))).map(|(_, stored)| stored)
}

fn end_of_day(moment: Timestamp) -> Timestamp {
    Timestamp(moment.day().0.saturating_add(DAY))
}
