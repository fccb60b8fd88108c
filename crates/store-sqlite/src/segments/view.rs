//! One day as its readers see it: a Parquet file, a database, or the one overlaid by the other.

use std::collections::BTreeMap;
use std::iter::Peekable;

use tallybook_core::{Result, SymbolSummary, Tick, TickQuery};

use super::day::Day;
use super::days::State;
use super::reader::{DayReader, Touched};
use super::sealed::Sealed;

pub(crate) struct DayView<'a> {
    pub(crate) day: Day,
    pub(crate) state: State,
    pub(crate) database: Option<&'a DayReader>,
    pub(crate) sealed: Option<&'a Sealed>,
}

impl DayView<'_> {
    /// The ticks of the page that are of this day.
    pub(crate) fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        match (self.sealed, self.database) {
            (None, None) => Ok(Vec::new()),
            (None, Some(database)) => database.ticks(query),
            (Some(sealed), None) => sealed.ticks(query),
            (Some(sealed), Some(database)) => {
                let both = merged(sealed.ticks(query)?, database.ticks(query)?, |one, other| {
                    if query.newest_first { one.key() > other.key() } else { one.key() < other.key() }
                });
                Ok(both.take(query.limit).collect())
            }
        }
    }

    pub(crate) fn symbols(&self) -> Result<Vec<SymbolSummary>> {
        let mut all = BTreeMap::new();
        if let Some(sealed) = self.sealed {
            SymbolSummary::add_up(&mut all, sealed.symbols().to_vec());
        }
        if let Some(database) = self.database {
            SymbolSummary::add_up(&mut all, database.symbols()?);
        }
        Ok(all.into_values().collect())
    }

    pub(crate) fn count(&self) -> Result<u64> {
        let later = self.database.map_or(Ok(0), DayReader::count)?;
        Ok(self.sealed.map_or(0, Sealed::count) + later)
    }

    /// Ticks that came after the seal.
    pub(crate) fn late(&self) -> Result<u64> {
        self.sealed.and(self.database).map_or(Ok(0), DayReader::count)
    }

    /// How many ticks lie where something was touched from `revision` on.
    pub(crate) fn count_touched(&self, revision: i64) -> Result<u64> {
        let later = self.database.map_or(Ok(0), |database| database.count_touched(revision))?;
        Ok(later + self.sealed.filter(|sealed| sealed.revision() >= revision).map_or(0, Sealed::count))
    }

    /// What was touched from `revision` on; a seal touches all.
    pub(crate) fn touched(&self, revision: i64) -> Result<Vec<Touched>> {
        let mut touched = self.database.map_or(Ok(Vec::new()), |database| database.touched(revision))?;
        if let Some(sealed) = self.sealed.filter(|sealed| sealed.revision() >= revision) {
            touched.extend(sealed.symbols().iter().map(|summary| Touched {
                revision: sealed.revision(),
                day: self.day,
                symbol: summary.symbol.clone(),
                first: summary.first,
                last: summary.last,
            }));
        }
        Ok(touched)
    }
}

/// Two rising streams as one; `before` says whether its first argument comes first.
pub(crate) fn merged<T>(
    one: impl IntoIterator<Item = T>,
    other: impl IntoIterator<Item = T>,
    before: impl Fn(&T, &T) -> bool,
) -> impl Iterator<Item = T> {
    let mut one: Peekable<_> = one.into_iter().peekable();
    let mut other: Peekable<_> = other.into_iter().peekable();
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(first), Some(second)) if before(second, first) => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}
