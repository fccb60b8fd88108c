//! SQLite files with a plain table, as recorders write them: `ticks(symbol, timestamp, bid, ask, spread, lp_source,
//! created_at)` in milliseconds. Those that we write have `tick_exact` beside it, which holds what that cannot.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row, params};
use tallybook_core::{Decimal, Precision, Tick, Timestamp};
use tallybook_formats::{Columns, Names, Read};

use crate::{Exchanged, FileError, Page};

/// Rows that are read together.
const PAGE: usize = 16_384;

const SCHEMA: &str = "
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE ticks (
        symbol TEXT NOT NULL,
        timestamp INTEGER NOT NULL,
        bid REAL,
        ask REAL,
        spread REAL,
        lp_source TEXT NOT NULL,
        created_at INTEGER NOT NULL
    );
    -- Each row of `ticks` by its rowid, exactly: prices digit by digit, times to the nanosecond.
    CREATE TABLE tick_exact (
        id INTEGER PRIMARY KEY,
        time TEXT NOT NULL,
        seq INTEGER NOT NULL,
        bid TEXT,
        ask TEXT,
        volume TEXT,
        flags TEXT NOT NULL,
        received TEXT NOT NULL
    );
    BEGIN;";

const EXACT: &str = "SELECT t.symbol, e.time, e.seq, e.bid, e.ask, e.volume, t.lp_source, e.flags, e.received \
                     FROM ticks AS t JOIN tick_exact AS e ON e.id = t.rowid ORDER BY t.rowid";

/// How closely such a file can be compared.
pub(crate) fn precision(path: &Path) -> Result<Precision, FileError> {
    let connection = open(path)?;
    Ok(if has(&connection, path, "tick_exact")? { Precision::QUOTES } else { Precision::PLAIN_TABLE })
}

/// Reads the plain table of a file of so many `bytes`; tells `progress` of their share.
pub(crate) fn read<R: Exchanged>(
    path: &Path,
    received: Timestamp,
    bytes: u64,
    progress: &dyn Fn(u64),
    mut each: impl FnMut(Page<R>) -> ControlFlow<()>,
) -> Result<(), FileError> {
    let failed = |error| FileError::because(path, "it cannot be read", error);
    let connection = open(path)?;
    let table = R::WORD;
    if !has(&connection, path, table)? {
        return Err(FileError::new(path, format!("it has no table `{table}`")));
    }
    if has(&connection, path, "segment")? && has(&connection, path, "form")? {
        let what = "it is a day of a store's own, whose plain view does not say all; use `tallybook export` or `tallybook \
                    migrate` on its data folder";
        return Err(FileError::new(path, what));
    }
    let mut statement = if has(&connection, path, "tick_exact")? {
        connection.prepare(EXACT)
    } else {
        // A view and a table without row ids have their own order.
        let in_order = connection.prepare(&format!("SELECT * FROM {table} ORDER BY rowid"));
        in_order.or_else(|_| connection.prepare(&format!("SELECT * FROM {table}")))
    }
    .map_err(failed)?;
    let names: Vec<String> = statement.column_names().map(str::to_ascii_lowercase).collect();
    let columns = Columns::<R>::new(names.iter().map(String::as_str)).map_err(|what| FileError::new(path, what))?;
    let last_row =
        connection.query_row(&format!("SELECT max(rowid) FROM {table}"), [], |row| row.get::<_, Option<i64>>(0));
    let all_rows = last_row.ok().flatten().unwrap_or(0).max(1).unsigned_abs();
    let mut rows = statement.query([]).map_err(failed)?;
    let (mut names_seen, mut line, mut told) = (Names::default(), 0, 0);
    let mut page = Read::default();
    loop {
        let row = rows.next().map_err(failed)?;
        if let Some(row) = row {
            line += 1;
            let texts = (0..names.len()).map(|at| text(row, at));
            let record = columns.record(texts, &mut names_seen, received);
            let shown = if record.is_err() { shown(row, &names) } else { String::new() };
            page.push(record, line, shown.as_bytes());
            if page.records.len() + page.bad.len() < PAGE {
                continue;
            }
        }
        let at_end = row.is_none();
        let now = if at_end {
            bytes
        } else {
            (u128::from(bytes) * u128::from(line.min(all_rows)) / u128::from(all_rows)) as u64
        };
        progress(now.saturating_sub(told));
        told = told.max(now);
        let Read { records, bad } = std::mem::take(&mut page);
        if each(Page { records, bad }).is_break() || at_end {
            return Ok(());
        }
    }
}

fn open(path: &Path) -> Result<Connection, FileError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags)
        .and_then(|connection| connection.busy_timeout(Duration::from_secs(5)).map(|()| connection));
    opened.map_err(|error| FileError::because(path, "it cannot be opened as a SQLite database", error))
}

fn has(connection: &Connection, path: &Path, table: &str) -> Result<bool, FileError> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = ? AND type IN ('table', 'view')";
    let found = connection.query_row(sql, [table], |row| row.get::<_, i64>(0));
    found
        .map(|found| found > 0)
        .map_err(|error| FileError::because(path, "it cannot be read as a SQLite database", error))
}

/// A value as a text; nothing for NULL.
fn text<'r>(row: &'r Row<'_>, at: usize) -> Result<Cow<'r, str>, String> {
    match row.get_ref(at).map_err(|error| error.to_string())? {
        ValueRef::Null => Ok(Cow::Borrowed("")),
        ValueRef::Integer(number) => Ok(number.to_string().into()),
        ValueRef::Real(number) => Ok(number.to_string().into()),
        ValueRef::Text(text) => {
            std::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| "a text is not UTF-8".to_owned())
        }
        ValueRef::Blob(_) => Err("a value is neither a text nor a number".to_owned()),
    }
}

fn shown(row: &Row<'_>, names: &[String]) -> String {
    let value = |(at, name): (usize, &String)| format!("{name}={}", text(row, at).unwrap_or_default());
    names.iter().enumerate().map(value).collect::<Vec<_>>().join(" ")
}

/// Writes a file with a plain table.
#[derive(Debug)]
pub(crate) struct TableWriter {
    connection: Connection,
}

impl TableWriter {
    /// A database at `path`, where nothing is yet.
    pub(crate) fn create(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection })
    }

    pub(crate) fn push(&mut self, ticks: &[Tick]) -> rusqlite::Result<()> {
        let mut plain = self.connection.prepare_cached("INSERT INTO ticks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        let mut exact =
            self.connection.prepare_cached("INSERT INTO tick_exact VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
        for tick in ticks {
            let milliseconds = |time: Timestamp| time.0.div_euclid(1_000_000);
            let number = |price: Option<Decimal>| price.map(Decimal::to_f64);
            let id = plain.insert(params![
                &*tick.symbol,
                milliseconds(tick.time),
                number(tick.bid),
                number(tick.ask),
                number(tick.spread()),
                &*tick.source,
                milliseconds(tick.received),
            ])?;
            let digits = |price: Option<Decimal>| price.map(|price| price.to_string());
            exact.execute(params![
                id,
                tick.time.to_string(),
                tick.seq.cast_signed(),
                digits(tick.bid),
                digits(tick.ask),
                digits(tick.volume),
                tick.flags.names().collect::<Vec<_>>().join("|"),
                tick.received.to_string(),
            ])?;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT; CREATE INDEX ticks_symbol_timestamp ON ticks (symbol, timestamp);")?;
        self.connection.close().map_err(|(_, error)| error)
    }
}
