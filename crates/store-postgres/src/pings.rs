//! Pings, as [`PingPlan`] says: what is stored under their keys is read first, and what was replaced is summed up again.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::LazyLock;

use deadpool_postgres::Transaction;
use futures_util::TryStreamExt as _;
use futures_util::future::try_join;
use tallybook_core::{BucketKey, Error, Ping, PingBucket, PingPlan, Record, Result, Row, Table};
use tokio_postgres::types::ToSql;

use crate::commit::{self, OPERATION};
use crate::error::failed;
use crate::rows;
use crate::sql::{self, Statements, quoted, unnested};

/// The pings under many keys.
static STORED: LazyLock<String> = LazyLock::new(|| {
    let keys = unnested(Ping::TABLE.key(), "");
    format!("SELECT {} FROM {keys} JOIN ping AS t USING (target, \"time\")", columns_of_t(Ping::TABLE, true))
});
/// Many buckets, without their latencies: the place in the arrays, from 1, and the bucket.
static BUCKETS: LazyLock<String> = LazyLock::new(|| {
    let keys = unnested(PingBucket::TABLE.key(), ", place");
    let columns = columns_of_t(PingBucket::TABLE, false);
    format!("SELECT u.place, {columns} FROM {keys} JOIN ping_bucket AS t USING (resolution, \"start\", target)")
});
/// The pings of many targets, each from one time up to another, in the order of time: the place in the arrays, from 1, and
/// the ping.
static PINGS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT u.place, {} FROM unnest($1::text[], $2::int8[], $3::int8[]) WITH ORDINALITY AS u(target, first, past, place) \
         JOIN ping AS t ON t.target = u.target AND t.\"time\" >= u.first AND t.\"time\" < u.past ORDER BY u.place, t.\"time\"",
        columns_of_t(Ping::TABLE, true)
    )
});

fn columns_of_t(table: &Table, sketches: bool) -> String {
    let wanted = table.columns.iter().filter(|column| sketches || !column.column_type.is_summary());
    let columns: Vec<String> = wanted.map(|column| format!("t.{}", quoted(column.name))).collect();
    columns.join(", ")
}

/// What the batch does to the pings that are there.
pub(crate) async fn plan(transaction: &Transaction<'_>, batch: &[Ping]) -> Result<PingPlan> {
    if batch.is_empty() {
        return Ok(PingPlan::default());
    }
    let table = Ping::TABLE;
    let keys: Vec<Row> = batch.iter().map(|ping| vec![ping.target.as_ref().into(), ping.time.into()]).collect();
    let parameters: Vec<_> =
        table.key().iter().enumerate().map(|(at, column)| rows::array(&keys, at, column)).collect();
    let statement = transaction.prepare_cached(&STORED).await.map_err(failed_commit)?;
    let stored = transaction.query(&statement, &rows::borrowed(&parameters)).await.map_err(failed_commit)?;
    let stored: Vec<Ping> =
        stored.iter().map(|row| Ping::from_row(rows::read(table, row, 0, true)?)).collect::<Result<_>>()?;
    Ok(PingPlan::new(batch, stored))
}

/// The rows to fold.
pub(crate) fn rows_of(plan: &PingPlan) -> Result<Vec<(&'static Statements, Vec<Row>)>> {
    let pings = plan.pings.iter().map(Record::to_row).collect();
    let buckets = plan.buckets.iter().map(Record::to_row).collect();
    let tables = [(Ping::TABLE, pings), (PingBucket::TABLE, buckets)];
    let with_statements = tables.into_iter().filter(|(_, rows): &(_, Vec<Row>)| !rows.is_empty());
    with_statements.map(|(table, rows)| Ok((sql::of(OPERATION, table)?, rows))).collect()
}

/// Sums up the buckets again in which a ping was replaced; the rows of the plan are in the tables.
pub(crate) async fn rebuild(transaction: &Transaction<'_>, plan: &PingPlan, revision: i64) -> Result<()> {
    if plan.rebuild.is_empty() {
        return Ok(());
    }
    let keys = BucketKeys::new(&plan.rebuild);
    let (buckets, pings) = try_join(transaction.prepare_cached(&BUCKETS), transaction.prepare_cached(&PINGS))
        .await
        .map_err(failed_commit)?;
    let by_key: [&(dyn ToSql + Sync); 3] = [&keys.resolutions, &keys.starts, &keys.targets];
    let by_range: [&(dyn ToSql + Sync); 3] = [&keys.targets, &keys.starts, &keys.ends];
    let mut stored: BTreeMap<usize, PingBucket> = BTreeMap::new();
    for row in transaction.query(&buckets, &by_key).await.map_err(failed_commit)? {
        stored.insert(place(&row)?, PingBucket::from_row(rows::read(PingBucket::TABLE, &row, 1, false)?)?);
    }
    // As they come, so that the pings of one bucket are held and not those of all.
    let found = transaction.query_raw(&pings, by_range).await.map_err(failed_commit)?;
    let mut found = pin!(found);
    let (mut rebuilt, mut of_bucket, mut current) = (Vec::new(), Vec::new(), 0);
    let mut finish = |at: usize, pings: &[Ping]| {
        let bucket = plan.rebuild.get(at).zip(stored.get(&at));
        rebuilt.extend(bucket.and_then(|(key, stored)| PingPlan::rebuilt(key, pings, stored)));
    };
    while let Some(row) = found.try_next().await.map_err(failed_commit)? {
        let at = place(&row)?;
        if at != current {
            finish(current, &of_bucket);
            of_bucket.clear();
            current = at;
        }
        of_bucket.push(Ping::from_row(rows::read(Ping::TABLE, &row, 1, true)?)?);
    }
    finish(current, &of_bucket);
    let statements = sql::of(OPERATION, PingBucket::TABLE)?;
    commit::send(transaction, &statements.replace, statements.table, &rebuilt, revision).await?;
    Ok(())
}

/// The parts of many keys.
struct BucketKeys<'k> {
    resolutions: Vec<&'static str>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    targets: Vec<&'k str>,
}

impl<'k> BucketKeys<'k> {
    fn new(keys: &'k [BucketKey]) -> Self {
        Self {
            resolutions: keys.iter().map(|key| key.resolution.as_str()).collect(),
            starts: keys.iter().map(|key| key.start.0).collect(),
            ends: keys.iter().map(|key| key.start.0.saturating_add(key.resolution.nanoseconds())).collect(),
            targets: keys.iter().map(|key| key.target.as_ref()).collect(),
        }
    }
}

/// The place of a row's bucket among the keys.
fn place(row: &tokio_postgres::Row) -> Result<usize> {
    let place: i64 = row.try_get(0).map_err(failed_commit)?;
    Ok(usize::try_from(place - 1).unwrap_or_default())
}

fn failed_commit(error: tokio_postgres::Error) -> Error {
    failed(OPERATION, error)
}
