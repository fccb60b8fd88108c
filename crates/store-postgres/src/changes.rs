//! What changed since a cursor. Commits are in order (see `commit`), so no lower revision can appear later.
//!
//! A cursor has two parts with a `|` between: where the follower is in the rows, and where in the ticks.

use std::borrow::Cow;
use std::fmt;

use deadpool_postgres::Transaction;
use futures_util::future::try_join_all;
use tallybook_core::{Change, Changes, ColumnType, Cursor, Error, Result, Value};
use tokio_postgres::IsolationLevel;

use crate::PostgresStore;
use crate::error::failed;
use crate::follow;
use crate::rows::{self, Parameter};
use crate::sql::{self, Statements, column_list, quoted};
use crate::ticks::{self, TouchedCursor};

pub(crate) const OPERATION: &str = "following changes";
/// The text of a place before the first row.
const NOTHING: &str = "-";

/// The last change a follower has seen: changes are ordered by revision, table, key. Its text is
/// `revision table key…` with the key's values in hexadecimal.
struct Seen {
    revision: i64,
    place: usize,
    key: Vec<Value>,
}

/// A page of changes, all of one moment: rows first, ticks in what is left of `limit`.
pub(crate) async fn changes(store: &PostgresStore, cursor: &Cursor, limit: usize) -> Result<Changes> {
    let (rows, touched) = parse(cursor)?;
    let mut client = store.client(OPERATION).await?;
    let snapshot = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .map_err(|error| failed(OPERATION, error))?;
    let (changes, next, more_rows) = next_changes(&snapshot, &rows, limit).await?;
    let room = limit - changes.len();
    let (ticks, touched, more_ticks) = ticks::changes(store, &snapshot, touched, room).await?;
    let next = next.as_ref().unwrap_or(&rows);
    let next = Cursor(Cow::Owned(format!("{next}|{touched}")));
    Ok(Changes { changes, ticks, next, more: more_rows || more_ticks })
}

/// About how many rows and ticks lie behind the cursor.
pub(crate) async fn count_behind(store: &PostgresStore, cursor: &Cursor) -> Result<u64> {
    let (rows, ticks) = parse(cursor)?;
    follow::count_behind(store, rows.revision, ticks.revision()).await
}

fn parse(cursor: &Cursor) -> Result<(Seen, TouchedCursor)> {
    if *cursor == Cursor::START {
        return Ok((Seen::nothing(), TouchedCursor::default()));
    }
    let both = || {
        let (rows, ticks) = cursor.0.split_once('|')?;
        Some((Seen::read(rows)?, ticks.parse().ok()?))
    };
    both().ok_or_else(|| Error::invalid(OPERATION, "the cursor belongs to another store; start again without it"))
}

/// Up to `limit` rows, where the last of them is, and whether there are more.
async fn next_changes(
    snapshot: &Transaction<'_>,
    seen: &Seen,
    limit: usize,
) -> Result<(Vec<Change>, Option<Seen>, bool)> {
    // First only the revisions of what comes next, to know how many rows of each table belong to the page.
    let revisions = sql::all().iter().map(|statements| next_revisions(snapshot, statements, seen, limit));
    let mut waiting: Vec<(i64, usize)> = try_join_all(revisions).await?.into_iter().flatten().collect();
    waiting.sort_unstable();
    let more = waiting.len() > limit;
    waiting.truncate(limit);

    let wanted = sql::all().iter().filter_map(|statements| {
        let rows = waiting.iter().filter(|(_, place)| *place == statements.place).count();
        (rows > 0).then(|| next_rows(snapshot, statements, seen, rows))
    });
    let mut page: Vec<(usize, Change)> = try_join_all(wanted).await?.into_iter().flatten().collect();
    // Stable: the rows of a table stay in the order of their keys.
    page.sort_by_key(|(place, change)| (change.revision, *place));
    let last = page.last().map(|(place, last)| Seen::at(*place, last));
    Ok((page.into_iter().map(|(_, change)| change).collect(), last, more))
}

async fn next_revisions(
    snapshot: &Transaction<'_>,
    statements: &Statements,
    seen: &Seen,
    limit: usize,
) -> Result<Vec<(i64, usize)>> {
    let (behind, mut parameters) = behind(statements, seen);
    // One more than the page holds, to know whether it is the last.
    parameters.push(Box::new(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)));
    let sql = format!(
        "SELECT rev FROM {} WHERE {behind} ORDER BY {} LIMIT ${}",
        quoted(statements.table.name),
        oldest_first(statements),
        parameters.len()
    );
    let error = |error| failed(OPERATION, error);
    let statement = snapshot.prepare_cached(&sql).await.map_err(error)?;
    let found = snapshot.query(&statement, &rows::borrowed(&parameters)).await.map_err(error)?;
    found.iter().map(|row| Ok((row.try_get(0).map_err(error)?, statements.place))).collect()
}

async fn next_rows(
    snapshot: &Transaction<'_>,
    statements: &'static Statements,
    seen: &Seen,
    limit: usize,
) -> Result<Vec<(usize, Change)>> {
    let table = statements.table;
    let (behind, mut parameters) = behind(statements, seen);
    parameters.push(Box::new(i64::try_from(limit).unwrap_or(i64::MAX)));
    let key: Vec<String> = table.key().iter().map(|column| quoted(column.name)).collect();
    let sql = format!(
        "SELECT rev, {} FROM {} WHERE {behind} ORDER BY {}, {} LIMIT ${}",
        column_list(table, true),
        quoted(table.name),
        oldest_first(statements),
        key.join(", "),
        parameters.len()
    );
    let error = |error| failed(OPERATION, error);
    let statement = snapshot.prepare_cached(&sql).await.map_err(error)?;
    let found = snapshot.query(&statement, &rows::borrowed(&parameters)).await.map_err(error)?;
    found
        .iter()
        .map(|row| {
            let revision: i64 = row.try_get(0).map_err(error)?;
            let change = Change { table, revision: revision.cast_unsigned(), row: rows::read(table, row, 1, true)? };
            Ok((statements.place, change))
        })
        .collect()
}

/// The order of revisions, as the index has it.
fn oldest_first(statements: &Statements) -> &'static str {
    if statements.in_blocks { "rev_block, rev" } else { "rev" }
}

/// The rows of a table that lie behind the cursor.
fn behind<'a>(statements: &Statements, seen: &'a Seen) -> (String, Vec<Parameter<'a>>) {
    let (rows, parameters) = behind_revision(statements, seen);
    let block = if statements.in_blocks { "rev_block >= $1::int8 / 16 AND " } else { "" };
    (format!("{block}{rows}"), parameters)
}

fn behind_revision<'a>(statements: &Statements, seen: &'a Seen) -> (String, Vec<Parameter<'a>>) {
    let mut parameters: Vec<Parameter<'a>> = vec![Box::new(seen.revision)];
    if statements.place < seen.place {
        return ("rev > $1".to_owned(), parameters);
    }
    if statements.place > seen.place {
        return ("rev >= $1".to_owned(), parameters);
    }
    parameters.extend(seen.key.iter().map(rows::parameter));
    let key: Vec<String> = statements.table.key().iter().map(|column| quoted(column.name)).collect();
    let values: Vec<String> = (2..=parameters.len()).map(|at| format!("${at}")).collect();
    (format!("rev >= $1 AND (rev > $1 OR ({}) > ({}))", key.join(", "), values.join(", ")), parameters)
}

impl Seen {
    fn at(place: usize, change: &Change) -> Self {
        let key = change.row[..change.table.key_len()].to_vec();
        Self { revision: change.revision.cast_signed(), place, key }
    }

    /// Before the first change: no revision is 0, so every table lies behind.
    fn nothing() -> Self {
        Self { revision: 0, place: sql::all().len(), key: Vec::new() }
    }

    fn read(text: &str) -> Option<Self> {
        if text == NOTHING {
            return Some(Self::nothing());
        }
        let mut parts = text.split(' ');
        let revision = parts.next()?.parse().ok()?;
        let table = parts.next()?;
        let statements = sql::all().iter().find(|statements| statements.table.name == table)?;
        let columns = statements.table.key();
        let values: Vec<&str> = parts.collect();
        if values.len() != columns.len() {
            return None;
        }
        let value = |(column, text): (&tallybook_core::Column, &&str)| match column.column_type {
            ColumnType::Int | ColumnType::Time => text.parse().ok().map(Value::Int),
            _ => unhex(text).map(|text| Value::Text(text.into())),
        };
        let key = columns.iter().zip(&values).map(value).collect::<Option<_>>()?;
        Some(Self { revision, place: statements.place, key })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(statements) = sql::all().get(self.place) else { return f.write_str(NOTHING) };
        write!(f, "{} {}", self.revision, statements.table.name)?;
        for value in &self.key {
            f.write_str(" ")?;
            match value {
                Value::Text(value) => value.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))?,
                value => write!(f, "{}", value.as_int().unwrap_or_default())?,
            }
        }
        Ok(())
    }
}

fn unhex(text: &str) -> Option<String> {
    let digits: Option<Vec<u8>> =
        text.bytes().map(|digit| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    String::from_utf8(pairs.iter().map(|[high, low]| high << 4 | low).collect()).ok()
}
