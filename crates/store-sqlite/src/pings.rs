//! Pings, as [`PingPlan`] says: what is stored under their keys is read first, and what was replaced is summed up again.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection};
use tallybook_core::{
    BucketKey, Counts, Ping, PingBucket, PingPlan, Record, Resolution, Result, Row, Table, Timestamp, Value,
};

use crate::error::failed;
use crate::sql::{self, column_list, quoted};
use crate::{rows, write};

/// The ping of a target at a time.
static PING: LazyLock<String> = LazyLock::new(|| select(Ping::TABLE, "target = ? AND time = ?"));
/// The pings of a target from one time up to another.
static PINGS_OF_BUCKET: LazyLock<String> =
    LazyLock::new(|| select(Ping::TABLE, "target = ? AND time >= ? AND time < ?"));
/// The bucket of a resolution, start and target, without its latencies.
static BUCKET: LazyLock<String> =
    LazyLock::new(|| select(PingBucket::TABLE, "resolution = ? AND start = ? AND target = ?"));

fn select(table: &Table, condition: &str) -> String {
    format!("SELECT {} FROM {} WHERE {condition}", column_list(table, false), quoted(table.name))
}

/// Stores pings, sums them up, and says what became of them.
pub(crate) fn apply(operation: &'static str, connection: &Connection, pings: &[Ping], revision: i64) -> Result<Counts> {
    if pings.is_empty() {
        return Ok(Counts::default());
    }
    let plan = PingPlan::new(pings, stored(operation, connection, pings)?);
    let write = |how: &sql::Writing, rows: &[Row]| {
        write::write(connection, how, rows, revision).map_err(|error| failed(operation, error))
    };
    write(&sql::of(operation, Ping::TABLE)?.fold, &to_rows(&plan.pings))?;
    let buckets = sql::of(operation, PingBucket::TABLE)?;
    write(&buckets.fold, &to_rows(&plan.buckets))?;
    write(&buckets.overwrite, &rebuilt(operation, connection, &plan.rebuild)?)?;
    Ok(plan.counts)
}

fn to_rows<R: Record>(records: &[R]) -> Vec<Row> {
    records.iter().map(Record::to_row).collect()
}

/// The pings that are there under the keys of these.
fn stored(operation: &'static str, connection: &Connection, pings: &[Ping]) -> Result<Vec<Ping>> {
    let mut statement = Select::<Ping>::prepare(operation, connection, &PING)?;
    let mut found = Vec::new();
    for ping in pings {
        found.extend(statement.all(&[Value::Text(ping.target.clone()), ping.time.into()])?);
    }
    Ok(found)
}

/// The rows of buckets that hold a ping which was replaced.
fn rebuilt(operation: &'static str, connection: &Connection, keys: &[BucketKey]) -> Result<Vec<Row>> {
    let mut pings = Select::<Ping>::prepare(operation, connection, &PINGS_OF_BUCKET)?;
    let mut buckets = Select::<PingBucket>::prepare(operation, connection, &BUCKET)?;
    let mut rows = Vec::new();
    for key in keys {
        let BucketKey { resolution, start, target } = key;
        let target = Value::Text(target.clone());
        let key_values = [resolution.as_str().into(), (*start).into(), target.clone()];
        let Some(stored) = buckets.all(&key_values)?.pop() else { continue };
        let found = pings.all(&[target, (*start).into(), end(*resolution, *start).into()])?;
        rows.extend(PingPlan::rebuilt(key, &found, &stored));
    }
    Ok(rows)
}

fn end(resolution: Resolution, start: Timestamp) -> Timestamp {
    Timestamp(start.0.saturating_add(resolution.nanoseconds()))
}

/// A statement that gives records, without their sketches.
struct Select<'c, R> {
    operation: &'static str,
    statement: CachedStatement<'c>,
    records: std::marker::PhantomData<R>,
}

impl<'c, R: Record> Select<'c, R> {
    fn prepare(operation: &'static str, connection: &'c Connection, sql: &str) -> Result<Self> {
        let statement = connection.prepare_cached(sql).map_err(|error| failed(operation, error))?;
        Ok(Self { operation, statement, records: std::marker::PhantomData })
    }

    fn all(&mut self, values: &[Value]) -> Result<Vec<R>> {
        let error = |error| failed(self.operation, error);
        rows::bind(&mut self.statement, values).map_err(error)?;
        let mut found = self.statement.raw_query();
        let mut records = Vec::new();
        while let Some(row) = found.next().map_err(error)? {
            records.push(R::from_row(rows::read(R::TABLE, row, 0, false)?)?);
        }
        Ok(records)
    }
}
