//! What is asked of all days together.

use std::collections::BTreeMap;
use std::sync::Arc;

use tallybook_core::{Result, Segment, SymbolSummary, Tick, TickQuery, TimeRange, Timestamp};

use super::day::Day;
use super::days::Days;

impl Days {
    /// A page of ticks, from as many days as it takes.
    pub(crate) fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        let mut range = query.range;
        if let Some(after) = query.after {
            if query.newest_first {
                range.to = range.to.min(Timestamp(after.time.0.saturating_add(1)));
            } else {
                range.from = range.from.max(after.time);
            }
        }
        let mut days = self.within(range);
        if query.newest_first {
            days.reverse();
        }
        let mut ticks = Vec::new();
        for day in days {
            let rest = query.limit - ticks.len();
            if rest == 0 {
                break;
            }
            let query = TickQuery { limit: rest, ..query.clone() };
            let found = self.with(day, |view| view.ticks(&query))?.unwrap_or_default();
            if ticks.is_empty() { ticks = found } else { ticks.extend(found) }
        }
        Ok(ticks)
    }

    pub(crate) fn symbols(&self, range: TimeRange) -> Result<Vec<SymbolSummary>> {
        let mut all = BTreeMap::new();
        for day in self.within(range) {
            self.with(day, |view| {
                add_symbols(&mut all, view.symbols()?);
                Ok(())
            })?;
        }
        Ok(all.into_values().collect())
    }

    pub(crate) fn segments(&self) -> Result<Vec<Segment>> {
        let mut segments = Vec::new();
        for day in self.all() {
            segments.extend(self.segment(day)?);
        }
        Ok(segments)
    }

    /// What there is of a day; nothing where it has no ticks.
    pub(crate) fn segment(&self, day: Day) -> Result<Option<Segment>> {
        let segment = self.with(day, |view| {
            let bytes = self.folder.bytes(day);
            let (count, late) = (view.count()?, view.late()?);
            Ok(Segment { day: day.start(), count, bytes, sealed: view.state.parquet, late })
        })?;
        Ok(segment.filter(|segment| segment.count > 0))
    }
}

/// Adds up what several places have of each symbol.
pub(crate) fn add_symbols(all: &mut BTreeMap<Arc<str>, SymbolSummary>, more: Vec<SymbolSummary>) {
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
