//! What changed since a cursor: the tables' rows in the order of `(rev, table, rowid)`, and behind those of each revision
//! the ticks that it added.
//!
//! A row that changes moves to the revision of that commit, and so behind every cursor that was handed out before: none
//! is skipped. Revisions become visible in their order, because there is one writer.

use std::borrow::Cow;

use rusqlite::{CachedStatement, Connection, Rows};
use tallybook_core::{Change, Changes, Cursor, Error, Result, TABLES, table};

use crate::error::failed;
use crate::rows;
use crate::segments::{Days, TickPlace, TickStream, ticks_behind};
use crate::sql::{self, Statements};

const OPERATION: &str = "following changes";

/// A place in the order of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Row(RowPlace),
    Tick(TickPlace),
}

/// A row's place. As text: `rev.table.rowid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RowPlace {
    revision: i64,
    table: usize,
    rowid: i64,
}

impl Place {
    const START: Self = Self::Row(RowPlace { revision: 0, table: 0, rowid: i64::MAX });

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::START);
        }
        let mut parts = text.splitn(3, '.');
        let revision = parts.next()?.parse().ok()?;
        let (name, rest) = (parts.next()?, parts.next()?);
        if name == TickPlace::NAME {
            return TickPlace::parse(revision, rest).map(Self::Tick);
        }
        let table = table(name)?.place(OPERATION).ok()?;
        Some(Self::Row(RowPlace { revision, table, rowid: rest.parse().ok()? }))
    }

    fn cursor(&self) -> Cursor {
        let text = match self {
            Self::Row(RowPlace { revision, table, rowid }) => format!("{revision}.{}.{rowid}", TABLES[*table].name),
            Self::Tick(place) => place.text(),
        };
        Cursor(Cow::Owned(text))
    }

    /// As far as rows go: behind its ticks, nothing of a revision is left.
    fn row(&self) -> RowPlace {
        match self {
            Self::Row(place) => *place,
            Self::Tick(place) => RowPlace { revision: place.revision, table: TABLES.len(), rowid: i64::MAX },
        }
    }

    fn tick(self) -> Option<TickPlace> {
        match self {
            Self::Row(_) => None,
            Self::Tick(place) => Some(place),
        }
    }
}

/// The next rows and ticks behind the cursor, `limit` at the most.
pub(crate) fn changes(connection: &Connection, days: &Days, cursor: &Cursor, limit: usize) -> Result<Changes> {
    let after = Place::parse(&cursor.0).ok_or_else(foreign)?;
    // All tables at one moment; of the days, what the commits up to then added.
    let moment = connection.unchecked_transaction().map_err(|error| failed(OPERATION, error))?;
    let row = after.row();
    let last_revision = last_revision(&moment).map_err(|error| failed(OPERATION, error))?;
    if row.revision > last_revision {
        return Err(foreign());
    }
    let mut queries = Vec::with_capacity(TABLES.len() + 1);
    for statements in sql::all() {
        Query::add(&moment, statements, row, &mut queries).map_err(|error| failed(OPERATION, error))?;
    }
    let mut streams = Vec::with_capacity(queries.len());
    for query in &mut queries {
        streams.push(Stream::start(query)?);
    }
    let mut added = TickStream::new(days, row.revision, last_revision, after.tick());
    let mut page = Changes { changes: Vec::new(), ticks: Vec::new(), next: cursor.clone(), more: false };
    let mut last = None;
    loop {
        let head = |stream: &Stream<'_>| stream.head.as_ref().map(|(change, _)| change.revision);
        // The first of several: streams are in the order of the tables.
        let stream = streams.iter_mut().filter(|stream| stream.head.is_some()).min_by_key(|stream| head(stream));
        let row_revision = stream.as_ref().and_then(|stream| head(stream));
        let tick_revision = added.head()?.map(i64::cast_unsigned);
        let room = limit.saturating_sub(page.changes.len() + page.ticks.len());
        page.more = room == 0 && (row_revision.is_some() || tick_revision.is_some());
        if page.more || (row_revision.is_none() && tick_revision.is_none()) {
            break;
        }
        let ticks_are_next = tick_revision.is_some_and(|tick| row_revision.is_none_or(|row| tick < row));
        if ticks_are_next {
            last = added.take(room, &mut page.ticks)?.map(Place::Tick).or(last);
        } else if let Some((change, place)) = stream.map(Stream::take).transpose()?.flatten() {
            page.changes.push(change);
            last = Some(Place::Row(place));
        }
    }
    if let Some(last) = last {
        page.next = last.cursor();
    }
    Ok(page)
}

/// About how many rows and ticks lie behind the cursor.
pub(crate) fn behind(connection: &Connection, days: &Days, cursor: &Cursor) -> Result<u64> {
    let after = Place::parse(&cursor.0).ok_or_else(foreign)?.row();
    let error = |error| failed(OPERATION, error);
    if after.revision > last_revision(connection).map_err(error)? {
        return Err(foreign());
    }
    let mut rows = 0;
    for statements in sql::all() {
        let mut count = connection.prepare_cached(&statements.count_behind).map_err(error)?;
        rows += count.query_row([after.revision], |row| row.get(0)).map(i64::cast_unsigned).map_err(error)?;
    }
    Ok(rows + ticks_behind(days, after.revision)?)
}

fn foreign() -> Error {
    Error::invalid(OPERATION, "the cursor belongs to another store; start again without it")
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
        after: RowPlace,
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
    head: Option<(Change, RowPlace)>,
}

impl<'q> Stream<'q> {
    fn start(query: &'q mut Query<'_>) -> Result<Self> {
        let mut stream = Self { table: query.table, rows: query.statement.raw_query(), head: None };
        stream.take()?;
        Ok(stream)
    }

    /// The row at the head, which the next one follows.
    fn take(&mut self) -> Result<Option<(Change, RowPlace)>> {
        let error = |error| failed(OPERATION, error);
        let next = match self.rows.next().map_err(error)? {
            None => None,
            Some(row) => {
                let revision: i64 = row.get(0).map_err(error)?;
                let place = RowPlace { revision, table: self.table.place, rowid: row.get(1).map_err(error)? };
                let table = self.table.table;
                let row = rows::read(table, row, 2, true)?;
                Some((Change { table, revision: revision.cast_unsigned(), row }, place))
            }
        };
        Ok(std::mem::replace(&mut self.head, next))
    }
}
