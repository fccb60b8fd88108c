//! What changed since a cursor: the tables' rows in the order of `(rev, table, rowid)`.
//!
//! A row that changes moves to the revision of that commit, and so behind every cursor that was handed out before: none
//! is skipped. Revisions become visible in their order, because there is one writer.

use std::borrow::Cow;

use rusqlite::{CachedStatement, Connection, Rows};
use tallybook_core::{Change, Changes, Cursor, Error, Result, TABLES, table};

use crate::error::failed;
use crate::rows;
use crate::sql::{self, Statements};

const OPERATION: &str = "following changes";

/// A row's place in the order of changes. As text: `rev.table.rowid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    revision: i64,
    table: usize,
    rowid: i64,
}

impl Place {
    const START: Self = Self { revision: 0, table: 0, rowid: i64::MAX };

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::START);
        }
        let mut parts = text.split('.');
        let revision = parts.next()?.parse().ok()?;
        let table = sql::of(OPERATION, table(parts.next()?)?).ok()?.place;
        let rowid = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { revision, table, rowid })
    }

    fn cursor(self) -> Cursor {
        Cursor(Cow::Owned(format!("{}.{}.{}", self.revision, TABLES[self.table].name, self.rowid)))
    }
}

/// The next rows behind the cursor, `limit` at the most.
pub(crate) fn changes(connection: &Connection, cursor: &Cursor, limit: usize) -> Result<Changes> {
    let foreign = || Error::invalid(OPERATION, "the cursor belongs to another store; start again without it");
    let after = Place::parse(&cursor.0).ok_or_else(foreign)?;
    // All tables at one moment.
    let moment = connection.unchecked_transaction().map_err(|error| failed(OPERATION, error))?;
    if after.revision > last_revision(&moment).map_err(|error| failed(OPERATION, error))? {
        return Err(foreign());
    }
    let mut queries = Vec::with_capacity(TABLES.len() + 1);
    for statements in sql::all() {
        Query::add(&moment, statements, after, &mut queries).map_err(|error| failed(OPERATION, error))?;
    }
    let mut streams = Vec::with_capacity(queries.len());
    for query in &mut queries {
        streams.push(Stream::start(query)?);
    }
    let mut found = Vec::new();
    let mut last = after;
    loop {
        let head = |stream: &Stream<'_>| stream.head.as_ref().map(|(change, _)| change.revision);
        // The first of several: streams are in the order of the tables.
        let next = streams.iter_mut().filter(|stream| stream.head.is_some()).min_by_key(|stream| head(stream));
        let Some(stream) = next else { return Ok(page(found, last, cursor, false)) };
        if found.len() == limit {
            return Ok(page(found, last, cursor, true));
        }
        if let Some((change, place)) = stream.take()? {
            found.push(change);
            last = place;
        }
    }
}

fn page(changes: Vec<Change>, last: Place, cursor: &Cursor, more: bool) -> Changes {
    let next = if changes.is_empty() { cursor.clone() } else { last.cursor() };
    Changes { changes, next, more }
}

fn last_revision(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT last FROM revision")?.query_row([], |row| row.get(0))
}

/// Rows of one table, oldest revision first.
struct Query<'c> {
    table: &'static Statements,
    statement: CachedStatement<'c>,
}

impl<'c> Query<'c> {
    fn add(
        connection: &'c Connection,
        table: &'static Statements,
        after: Place,
        queries: &mut Vec<Self>,
    ) -> rusqlite::Result<()> {
        // Of the cursor's own revision, tables in front of its own are done, and of its own the rows up to its rowid.
        if table.place >= after.table {
            let rowid = if table.place == after.table { after.rowid } else { i64::MIN };
            let mut statement = connection.prepare_cached(&table.changes_of_revision)?;
            statement.raw_bind_parameter(1, after.revision)?;
            statement.raw_bind_parameter(2, rowid)?;
            queries.push(Self { table, statement });
        }
        let mut statement = connection.prepare_cached(&table.changes_behind)?;
        statement.raw_bind_parameter(1, after.revision)?;
        queries.push(Self { table, statement });
        Ok(())
    }
}

struct Stream<'q> {
    table: &'static Statements,
    rows: Rows<'q>,
    head: Option<(Change, Place)>,
}

impl<'q> Stream<'q> {
    fn start(query: &'q mut Query<'_>) -> Result<Self> {
        let mut stream = Self { table: query.table, rows: query.statement.raw_query(), head: None };
        stream.take()?;
        Ok(stream)
    }

    /// The row at the head, which the next one follows.
    fn take(&mut self) -> Result<Option<(Change, Place)>> {
        let error = |error| failed(OPERATION, error);
        let next = match self.rows.next().map_err(error)? {
            None => None,
            Some(row) => {
                let revision: i64 = row.get(0).map_err(error)?;
                let place = Place { revision, table: self.table.place, rowid: row.get(1).map_err(error)? };
                let table = self.table.table;
                let row = rows::read(table, row, 2, true)?;
                Some((Change { table, revision: revision.cast_unsigned(), row }, place))
            }
        };
        Ok(std::mem::replace(&mut self.head, next))
    }
}
