//! Pings, as [`PingPlan`] says: what is stored under their keys is read first, and what was replaced is summed up again.

use deadpool_postgres::Transaction;
use futures_util::future::{try_join, try_join_all};
use tallybook_core::{BucketKey, Ping, PingBucket, PingPlan, Record, Result, Row};
use tokio_postgres::types::ToSql;

use crate::commit::OPERATION;
use crate::error::failed;
use crate::rows;
use crate::sql::{self, Statements, column_list, quoted, unnested};

/// What the batch does to the pings that are there.
pub(crate) async fn plan(transaction: &Transaction<'_>, batch: &[Ping]) -> Result<PingPlan> {
    if batch.is_empty() {
        return Ok(PingPlan::default());
    }
    let table = Ping::TABLE;
    let columns: Vec<String> = table.columns.iter().map(|column| format!("t.{}", quoted(column.name))).collect();
    let sql = format!(
        "SELECT {} FROM {} JOIN {} AS t USING (target, \"time\")",
        columns.join(", "),
        unnested(table.key(), ""),
        quoted(table.name)
    );
    let keys: Vec<Row> = batch.iter().map(|ping| vec![ping.target.as_ref().into(), ping.time.into()]).collect();
    let parameters: Vec<_> =
        table.key().iter().enumerate().map(|(at, column)| rows::array(&keys, at, column)).collect();
    let error = |error| failed(OPERATION, error);
    let statement = transaction.prepare_cached(&sql).await.map_err(error)?;
    let stored = transaction.query(&statement, &rows::borrowed(&parameters)).await.map_err(error)?;
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
    let rebuilt = try_join_all(plan.rebuild.iter().map(|key| rebuilt(transaction, key))).await?;
    let rebuilt: Vec<Row> = rebuilt.into_iter().flatten().collect();
    let statements = sql::of(OPERATION, PingBucket::TABLE)?;
    crate::commit::send(transaction, &statements.replace, statements.table, &rebuilt, revision).await?;
    Ok(())
}

async fn rebuilt(transaction: &Transaction<'_>, key: &BucketKey) -> Result<Option<Row>> {
    let BucketKey { resolution, start, target } = key;
    let (pings, buckets) = (Ping::TABLE, PingBucket::TABLE);
    let of_bucket = format!(
        "SELECT {} FROM {} WHERE target = $1 AND \"time\" >= $2 AND \"time\" < $3",
        column_list(pings, true),
        quoted(pings.name)
    );
    let bucket = format!(
        "SELECT {} FROM {} WHERE resolution = $1 AND \"start\" = $2 AND target = $3",
        column_list(buckets, true),
        quoted(buckets.name)
    );
    let error = |error| failed(OPERATION, error);
    let (of_bucket, bucket) =
        try_join(transaction.prepare_cached(&of_bucket), transaction.prepare_cached(&bucket)).await.map_err(error)?;
    let end = start.0.saturating_add(resolution.nanoseconds());
    let (target, name) = (target.as_ref(), resolution.as_str());
    let of_range: [&(dyn ToSql + Sync); 3] = [&target, &start.0, &end];
    let of_key: [&(dyn ToSql + Sync); 3] = [&name, &start.0, &target];
    let (found, stored) = try_join(transaction.query(&of_bucket, &of_range), transaction.query_opt(&bucket, &of_key))
        .await
        .map_err(error)?;
    let Some(stored) = stored else { return Ok(None) };
    let stored = PingBucket::from_row(rows::read(buckets, &stored, 0, true)?)?;
    let found: Vec<Ping> =
        found.iter().map(|row| Ping::from_row(rows::read(pings, row, 0, true)?)).collect::<Result<_>>()?;
    Ok(PingPlan::rebuilt(key, &found, &stored))
}
