//! Reading the database of one day.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tallybook_core::{Error, Result, SymbolSummary, Tick, TickQuery, Timestamp};

use super::database::{Refusal, open_reader};
use super::day::{Day, lower_bound, upper_bound};
use super::form::{Form, Numbers};

const OPERATION: &str = "reading ticks";
/// Forms of a day that are remembered; of one with more, which only a strange feed has, the others are asked for tick by tick.
const FORMS_MAX: usize = 16_384;
const OLDEST_FIRST: &str = "SELECT ts, seq, form, bid, ask, volume, received FROM tick \
    WHERE symbol = ?1 AND (ts, seq) > (?2, ?3) AND (ts, seq) < (?4, ?5) ORDER BY ts, seq LIMIT ?6";
const NEWEST_FIRST: &str = "SELECT ts, seq, form, bid, ask, volume, received FROM tick \
    WHERE symbol = ?1 AND (ts, seq) > (?2, ?3) AND (ts, seq) < (?4, ?5) ORDER BY ts DESC, seq DESC LIMIT ?6";

/// A connection to one day, with what it has learnt of it.
#[derive(Debug)]
pub(crate) struct DayReader {
    day: Day,
    connection: Connection,
    /// By id, which counts from 1. Forms never change.
    forms: RefCell<Vec<(Form, Arc<str>)>>,
}

/// A range of ticks of one symbol that a commit touched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Touched {
    pub(crate) revision: i64,
    pub(crate) day: Day,
    pub(crate) symbol: Arc<str>,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

impl DayReader {
    pub(crate) fn open(path: &Path, day: Day) -> Result<Self, Refusal> {
        Ok(Self { day, connection: open_reader(path, day)?, forms: RefCell::default() })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The ticks of the page that are in this database.
    pub(crate) fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        let error = |error| self.failed(error);
        let Some(symbol) = self.symbol(&query.symbol).map_err(error)? else { return Ok(Vec::new()) };
        let (after, before) = if query.newest_first { (None, query.after) } else { (query.after, None) };
        let lower = lower_bound(self.day, query.range.from, after);
        let upper = upper_bound(self.day, query.range.to, before);
        let sql = if query.newest_first { NEWEST_FIRST } else { OLDEST_FIRST };
        let mut statement = self.connection.prepare_cached(sql).map_err(error)?;
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![symbol, lower.0, lower.1, upper.0, upper.1, limit]).map_err(error)?;
        let mut ticks = Vec::new();
        while let Some(row) = rows.next().map_err(error)? {
            ticks.push(self.tick(&query.symbol, row).map_err(error)?.ok_or_else(|| self.misread())?);
        }
        Ok(ticks)
    }

    /// All symbols that have ticks here, by name.
    pub(crate) fn symbols(&self) -> Result<Vec<SymbolSummary>> {
        let read = || -> rusqlite::Result<Vec<SymbolSummary>> {
            let sql = "SELECT name, count, first, last FROM symbol WHERE count > 0 ORDER BY name";
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                Ok(SymbolSummary {
                    symbol: row.get(0)?,
                    count: row.get(1).map(i64::cast_unsigned)?,
                    first: Timestamp(row.get(2)?),
                    last: Timestamp(row.get(3)?),
                })
            })?;
            rows.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    /// How many ticks are here.
    pub(crate) fn count(&self) -> Result<u64> {
        let mut count = self
            .connection
            .prepare_cached("SELECT coalesce(sum(count), 0) FROM symbol")
            .map_err(|error| self.failed(error))?;
        count.query_row([], |row| row.get(0)).map(i64::cast_unsigned).map_err(|error| self.failed(error))
    }

    /// How many ticks lie between the first and the last that were touched from `revision` on, by symbol.
    pub(crate) fn count_touched(&self, revision: i64) -> Result<u64> {
        let sql = "SELECT coalesce(sum((SELECT count(*) FROM tick WHERE tick.symbol = t.symbol AND tick.ts \
                   BETWEEN t.first AND t.last)), 0) \
                   FROM (SELECT symbol, min(first) AS first, max(last) AS last FROM touched WHERE rev >= ? \
                   GROUP BY symbol) AS t";
        let mut count = self.connection.prepare_cached(sql).map_err(|error| self.failed(error))?;
        let counted = count.query_row([revision], |row| row.get(0)).map(i64::cast_unsigned);
        counted.map_err(|error| self.failed(error))
    }

    /// What was touched from `revision` on.
    pub(crate) fn touched(&self, revision: i64) -> Result<Vec<Touched>> {
        let start = self.day.start().0;
        let read = || -> rusqlite::Result<Vec<Touched>> {
            let sql = "SELECT touched.rev, symbol.name, touched.first, touched.last FROM touched \
                       JOIN symbol ON symbol.id = touched.symbol WHERE touched.rev >= ?";
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map([revision], |row| {
                Ok(Touched {
                    revision: row.get(0)?,
                    day: self.day,
                    symbol: row.get(1)?,
                    first: Timestamp(start + row.get::<_, i64>(2)?),
                    last: Timestamp(start + row.get::<_, i64>(3)?),
                })
            })?;
            rows.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    fn symbol(&self, name: &str) -> rusqlite::Result<Option<i64>> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM symbol WHERE name = ?")?;
        statement.query_row([name], |row| row.get(0)).optional()
    }

    fn tick(&self, symbol: &Arc<str>, row: &Row<'_>) -> rusqlite::Result<Option<Tick>> {
        let id = row.get::<_, u32>(2)? as usize;
        let numbers = Numbers { bid: row.get(3)?, ask: row.get(4)?, volume: row.get(5)?, received: row.get(6)? };
        let time = Timestamp(self.day.start().0.saturating_add(row.get(0)?));
        let seq = row.get(1)?;
        if id > FORMS_MAX {
            let rare = self.rare_form(id)?;
            return Ok(rare.and_then(|(form, source)| form.tick(symbol, &source, time, seq, numbers)));
        }
        if id > self.forms.borrow().len() {
            self.learn_forms()?;
        }
        let forms = self.forms.borrow();
        let form = forms.get(id.wrapping_sub(1));
        Ok(form.and_then(|(form, source)| form.tick(symbol, source, time, seq, numbers)))
    }

    fn learn_forms(&self) -> rusqlite::Result<()> {
        let mut forms = self.forms.borrow_mut();
        let sql = "SELECT id, source, flags, bid_divisor, ask_divisor, volume_divisor FROM form \
                   WHERE id > ?1 AND id <= ?2 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([forms.len() as i64, FORMS_MAX as i64])?;
        while let Some(row) = rows.next()? {
            // Without a gap, or else places would not be ids.
            if row.get::<_, u32>(0)? as usize != forms.len() + 1 {
                break;
            }
            forms.push((Form::read(row, 2)?, row.get(1)?));
        }
        Ok(())
    }

    fn rare_form(&self, id: usize) -> rusqlite::Result<Option<(Form, Arc<str>)>> {
        let sql = "SELECT source, flags, bid_divisor, ask_divisor, volume_divisor FROM form WHERE id = ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_row([id as i64], |row| Ok((Form::read(row, 1)?, row.get(0)?))).optional()
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        Refusal::from(error).into_error(OPERATION, Path::new(self.connection.path().unwrap_or_default()))
    }

    fn misread(&self) -> Error {
        Error::corrupt(OPERATION, format!("the segment of {} holds a tick that is none; restore a backup", self.day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segments::database::open_writer;

    #[test]
    fn a_page_is_one_range_of_the_key_in_both_directions() {
        let folder = tempfile::tempdir().unwrap();
        let day = Day::parse("2023-11-14").unwrap();
        let database = open_writer(&folder.path().join("day.db"), day, None).unwrap();
        for sql in [OLDEST_FIRST, NEWEST_FIRST] {
            let plan: String = database
                .query_row(&format!("EXPLAIN QUERY PLAN {sql}"), params![1, 2, 3, 4, 5, 6], |row| row.get(3))
                .unwrap();
            assert_eq!(plan, "SEARCH tick USING PRIMARY KEY (symbol=? AND (ts,seq)>(?,?) AND (ts,seq)<(?,?))");
        }
    }
}
