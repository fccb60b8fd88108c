//! All ticks of a day in the order of a segment, and comparing them with a copy.

use std::sync::Arc;
use std::vec;

use tallybook_core::{Error, Result, SymbolSummary, Tick, TickKey, TickQuery};

use super::day::Day;
use super::days::Days;
use super::reader::DayReader;
use super::sealed::Sealed;
use super::view::merged;
use crate::error::{closed, failed};

/// Ticks read from the database at a time.
const PAGE: usize = 8_192;

/// A day at one moment: what a seal or an unseal copies while others go on writing.
pub(crate) struct Original<'d> {
    days: &'d Days,
    pub(crate) day: Day,
    pub(crate) sealed: Option<Arc<Sealed>>,
    database: Option<DayReader>,
    /// Ticks in the database.
    pub(crate) later: u64,
    operation: &'static str,
}

impl<'d> Original<'d> {
    /// Opens the files of a day, with connections of its own.
    pub(crate) fn open(days: &'d Days, day: Day, operation: &'static str) -> Result<Self> {
        days.check(day, operation)?;
        let nothing = || Error::invalid(operation, format!("there are no ticks of {day}"));
        let state = days.state(day).ok_or_else(nothing)?;
        let sealed = if state.parquet { Some(days.sealed(day)?) } else { None };
        let path = days.folder.database(day);
        let open = || DayReader::open(&path, day).map_err(|refusal| refusal.into_error(operation, &path));
        let database = if state.database { Some(open()?) } else { None };
        let mut later = 0;
        if let Some(database) = &database {
            // Until it is closed, it stays at this moment.
            database.connection().execute_batch("BEGIN").map_err(|error| failed(operation, error))?;
            later = database.count()?;
        }
        if sealed.is_none() && later == 0 {
            return Err(nothing());
        }
        Ok(Self { days, day, sealed, database, later, operation })
    }

    /// The last commit that added ticks.
    pub(crate) fn revision(&self) -> Result<i64> {
        let touched = self.database.as_ref().map_or(Ok(Vec::new()), |database| database.touched(0))?;
        let later = touched.iter().map(|touched| touched.revision).max();
        let sealed = self.sealed.as_ref().map(|sealed| sealed.revision());
        Ok(later.max(sealed).unwrap_or(0))
    }

    /// All ticks by symbol and key, each once.
    pub(crate) fn ticks(&self) -> Result<impl Iterator<Item = Result<Tick>>> {
        let later = self.database.as_ref().map(|database| Rows::new(database, self.day)).transpose()?;
        let sealed = self.sealed.iter().flat_map(|sealed| sealed.all());
        let both = merged(sealed, later.into_iter().flatten(), |one, other| match (one, other) {
            (Ok(one), Ok(other)) => (&one.symbol, one.key()) < (&other.symbol, other.key()),
            (one, _) => one.is_err(),
        });
        Ok(both.map(|tick| if self.days.is_closing() { Err(closed(self.operation)) } else { tick }))
    }

    /// Whether the copy has the very same ticks.
    pub(crate) fn compare(&self, copy: impl Iterator<Item = Result<Tick>>) -> Result<()> {
        let mut copy = copy;
        for original in self.ticks()? {
            let original = original?;
            if copy.next().transpose()?.as_ref() != Some(&original) {
                return Err(self.differs(&format!("`{}` at {}", original.symbol, original.time)));
            }
        }
        copy.next()
            .transpose()?
            .map_or(Ok(()), |more| Err(self.differs(&format!("`{}` at {}", more.symbol, more.time))))
    }

    fn differs(&self, what: &str) -> Error {
        let context = format!("the copy of {} differs in the tick of {what}; everything stays as it is", self.day);
        Error::corrupt(self.operation, context)
    }
}

/// The ticks of a database by symbol and key, a page in memory.
pub(crate) struct Rows<'r> {
    database: &'r DayReader,
    day: Day,
    symbols: vec::IntoIter<SymbolSummary>,
    symbol: Option<Arc<str>>,
    after: Option<TickKey>,
    page: vec::IntoIter<Tick>,
}

impl<'r> Rows<'r> {
    pub(crate) fn new(database: &'r DayReader, day: Day) -> Result<Self> {
        let symbols = database.symbols()?.into_iter();
        Ok(Self { database, day, symbols, symbol: None, after: None, page: Vec::new().into_iter() })
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Tick>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(tick) = self.page.next() {
                self.after = Some(tick.key());
                return Some(Ok(tick));
            }
            let Some(symbol) = self.symbol.take() else {
                self.symbol = Some(self.symbols.next()?.symbol);
                self.after = None;
                continue;
            };
            let query = TickQuery {
                symbol: symbol.clone(),
                range: self.day.range(),
                after: self.after,
                newest_first: false,
                limit: PAGE,
            };
            match self.database.ticks(&query) {
                Err(error) => return Some(Err(error)),
                Ok(page) => {
                    // Kept only while there may be more of it.
                    self.symbol = (page.len() == PAGE).then_some(symbol);
                    self.page = page.into_iter();
                }
            }
        }
    }
}
