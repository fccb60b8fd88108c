//! What is asked of all days together.

use std::collections::BTreeMap;
use std::panic::resume_unwind;

use tallybook_core::{Result, Segment, SymbolSummary, Tick, TickQuery, TimeRange, Timestamp};

use super::day::Day;
use super::days::Days;
use super::view::DayView;

/// From so many ticks on, days are read side by side: a few cost less than a thread.
const PARALLEL_FROM_TICKS: usize = 10_000;
/// Days that are read at the same time, at the most.
const PARALLEL_DAYS: usize = 4;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(PARALLEL_DAYS))
}

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
        let mut days = days.into_iter().filter(|day| self.may_hold(*day, &query.symbol));
        let at_once = if query.limit < PARALLEL_FROM_TICKS { 1 } else { threads() };
        let mut ticks = Vec::new();
        while ticks.len() < query.limit {
            let next: Vec<Day> = days.by_ref().take(at_once).collect();
            if next.is_empty() {
                break;
            }
            let rest = query.limit - ticks.len();
            for found in self.ticks_of_each(&next, &TickQuery { limit: rest, ..query.clone() })? {
                let rest = query.limit - ticks.len();
                if ticks.is_empty() { ticks = found } else { ticks.extend(found.into_iter().take(rest)) }
            }
        }
        Ok(ticks)
    }

    /// Up to `limit` ticks of each of these days, read at the same time.
    fn ticks_of_each(&self, days: &[Day], query: &TickQuery) -> Result<Vec<Vec<Tick>>> {
        let read = |day: Day| Ok(self.with(day, |view| view.ticks(query))?.unwrap_or_default());
        if let [day] = days {
            return Ok(vec![read(*day)?]);
        }
        std::thread::scope(|scope| {
            let threads: Vec<_> = days.iter().map(|day| scope.spawn(move || read(*day))).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            joined.collect()
        })
    }

    pub(crate) fn symbols(&self, range: TimeRange) -> Result<Vec<SymbolSummary>> {
        let mut all = BTreeMap::new();
        for day in self.within(range) {
            self.with(day, |view| {
                SymbolSummary::add_up(&mut all, view.symbols()?);
                Ok(())
            })?;
        }
        Ok(all.into_values().collect())
    }

    pub(crate) fn segments(&self) -> Result<Vec<Segment>> {
        let mut segments = Vec::new();
        for day in self.all() {
            match self.with_if_usable(day, |view| self.segment_of(view))? {
                Ok(segment) => segments.extend(segment.flatten()),
                Err(error) => segments.push(Segment {
                    day: day.start(),
                    count: 0,
                    bytes: self.folder.bytes(day),
                    sealed: false,
                    late: 0,
                    error: Some(error.to_string()),
                }),
            }
        }
        Ok(segments)
    }

    /// What there is of a day; nothing where it has no ticks.
    pub(crate) fn segment(&self, day: Day) -> Result<Option<Segment>> {
        Ok(self.with(day, |view| self.segment_of(view))?.flatten())
    }

    fn segment_of(&self, view: &DayView<'_>) -> Result<Option<Segment>> {
        let bytes = self.folder.bytes(view.day);
        let (count, late) = (view.count()?, view.late()?);
        let segment = Segment { day: view.day.start(), count, bytes, sealed: view.state.parquet, late, error: None };
        Ok((count > 0).then_some(segment))
    }
}
