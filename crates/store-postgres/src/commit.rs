//! A batch as one transaction: a few round trips, however many rows it has.

use std::time::Duration;

use deadpool_postgres::Transaction;
use futures_util::future::{try_join, try_join_all};
use tallybook_core::{
    Batch, Committed, Counts, EndedSources, Error, ErrorKind, ExecutionRecords, Outcome, Records, Result, Row, Table,
    Value,
};

use crate::error::{commit_failed, failed};
use crate::sql::{self, Statements};
use crate::{PostgresStore, moves, pings, rows, ticks};

pub(crate) const OPERATION: &str = "committing a batch";
/// Past it the connection is given up and nobody knows whether the batch was committed.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Also the lock: whoever raised the revision first commits first, and everybody else waits here.
pub(crate) const NEXT_REVISION: &str = "UPDATE revision SET rev = rev + 1 RETURNING rev";
/// The same lock for whoever takes no revision.
pub(crate) const LOCK_COMMITS: &str = "SELECT FROM revision FOR UPDATE";
const NEXT_OF_SOURCE: &str = "INSERT INTO batch_source AS s (source, seq, at) VALUES ($1, $2, now())
    ON CONFLICT (source) DO UPDATE SET seq = excluded.seq, at = excluded.at, pings_stored = 0, pings_merged = 0,
        pings_duplicate = 0, ticks_stored = 0, ticks_duplicate = 0, executions_stored = 0, executions_merged = 0,
        executions_duplicate = 0
    WHERE s.seq < excluded.seq RETURNING seq";

/// Beside the source's number, for the case that the batch is sent again.
const REMEMBER: &str = "UPDATE batch_source SET pings_stored = $2, pings_merged = $3, pings_duplicate = $4, \
    ticks_stored = $5, ticks_duplicate = $6, executions_stored = $7, executions_merged = $8, \
    executions_duplicate = $9 WHERE source = $1";
const RECALL: &str = "SELECT pings_stored, pings_merged, pings_duplicate, ticks_stored, ticks_duplicate, \
    executions_stored, executions_merged, executions_duplicate FROM batch_source WHERE source = $1 AND seq = $2";

/// By the clock of the database, which all servers share.
const FORGET_ENDED: &str = "DELETE FROM batch_source WHERE at < now() - make_interval(days => $1)";

/// Applies the batch unless it has been applied.
pub(crate) async fn commit(store: &PostgresStore, batch: &Batch) -> Result<Committed> {
    // bigint is signed: the sign bit turned round keeps the order up to the greatest number.
    let seq = (batch.id.seq ^ (1 << 63)).cast_signed();
    let mut tables = Vec::new();
    batch.records.for_each_table(|table, rows| {
        tables.push((sql::of(OPERATION, table)?, rows));
        Ok::<_, Error>(())
    })?;
    let Records { catalogue, pings, ping_targets: _, alert_rules: _, probers: _, ticks, executions, dead_letters: _ } =
        &batch.records;
    batch.records.check(OPERATION)?;

    let apply = async {
        let mut client = store.client(OPERATION).await?;
        let transaction = client.transaction().await.map_err(|error| failed(OPERATION, error))?;
        let Some(revision) = begin(&transaction, batch, seq).await? else {
            return recall(&transaction, batch, seq).await;
        };
        if store.ended_sources.are_due() {
            let after = [&EndedSources::AFTER_DAYS as &(dyn tokio_postgres::types::ToSql + Sync)];
            transaction.execute(FORGET_ENDED, &after).await.map_err(|error| failed(OPERATION, error))?;
        }
        let plan = pings::plan(&transaction, pings).await?;
        tables.extend(pings::rows_of(&plan)?);
        let mut new_partitions = store.partitions.make_missing(&transaction, &tables).await?;
        try_join_all(tables.iter_mut().map(|(statements, rows)| unite(&transaction, statements, rows))).await?;
        let folds = tables
            .iter()
            .map(|(statements, rows)| send(&transaction, &statements.fold, statements.table, rows, revision));
        let written = try_join_all(folds).await?;
        let (mut unique, mut changed) = (0, 0);
        for ((statements, rows), written) in tables.iter().zip(written) {
            if ExecutionRecords::owns(statements.table) {
                unique += rows.len() as u64;
                changed += written;
            }
        }
        pings::rebuild(&transaction, &plan, revision).await?;
        moves::apply(&transaction, &catalogue.template_moves, revision).await?;
        let stored = ticks::insert(store, &transaction, ticks, revision).await?;
        let committed = Committed {
            outcome: Outcome::Applied,
            pings: plan.counts,
            ticks: stored.counts,
            executions: executions.counts(unique, changed),
        };
        remember(&transaction, batch, &committed).await?;
        transaction.commit().await.map_err(|error| commit_failed(OPERATION, error))?;
        new_partitions.extend(stored.new_partitions);
        store.partitions.add(new_partitions);
        store.names.add(stored.new_names);
        Ok(committed)
    };
    tokio::time::timeout(TIME_LIMIT, apply)
        .await
        .unwrap_or_else(|_| {
            let waited = TIME_LIMIT.as_secs();
            Err(Error::new(ErrorKind::Unavailable, OPERATION, format!("PostgreSQL did not answer within {waited} s"))
                .applied_unknown())
        })
        .inspect_err(|_| store.partitions.forget())
}

/// Takes the lock and the next revision; `None` when the batch is not above the last one of its source.
async fn begin(transaction: &Transaction<'_>, batch: &Batch, seq: i64) -> Result<Option<i64>> {
    let error = |error| failed(OPERATION, error);
    let (next_revision, next_of_source) =
        try_join(transaction.prepare_cached(NEXT_REVISION), transaction.prepare_cached(NEXT_OF_SOURCE))
            .await
            .map_err(error)?;
    let source = batch.id.source.0;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&source, &seq];
    let (revision, fresh) =
        try_join(transaction.query_one(&next_revision, &[]), transaction.query_opt(&next_of_source, &parameters))
            .await
            .map_err(error)?;
    let revision = revision.try_get(0).map_err(error)?;
    Ok(fresh.map(|_| revision))
}

/// Writes down what became of the records that are counted, where the batch had some.
async fn remember(transaction: &Transaction<'_>, batch: &Batch, committed: &Committed) -> Result<()> {
    let Records {
        catalogue: _,
        pings,
        ping_targets: _,
        alert_rules: _,
        probers: _,
        ticks,
        executions,
        dead_letters: _,
    } = &batch.records;
    if pings.is_empty() && ticks.is_empty() && executions.is_empty() {
        return Ok(());
    }
    let error = |error| failed(OPERATION, error);
    let Committed { outcome: _, pings, ticks, executions } = committed;
    let counts = [
        pings.stored,
        pings.merged,
        pings.duplicate,
        ticks.stored,
        ticks.duplicate,
        executions.stored,
        executions.merged,
        executions.duplicate,
    ];
    let counts = counts.map(u64::cast_signed);
    let mut parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![&batch.id.source.0];
    parameters.extend(counts.iter().map(|count| count as &(dyn tokio_postgres::types::ToSql + Sync)));
    let statement = transaction.prepare_cached(REMEMBER).await.map_err(error)?;
    transaction.execute(&statement, &parameters).await.map_err(error)?;
    Ok(())
}

/// What became of a batch that has been applied before; nothing is said of one that was not the last of its source.
async fn recall(transaction: &Transaction<'_>, batch: &Batch, seq: i64) -> Result<Committed> {
    let error = |error| failed(OPERATION, error);
    let statement = transaction.prepare_cached(RECALL).await.map_err(error)?;
    let found = transaction.query_opt(&statement, &[&batch.id.source.0, &seq]).await.map_err(error)?;
    let mut committed = Committed {
        outcome: Outcome::Duplicate,
        pings: Counts::default(),
        ticks: Counts::default(),
        executions: Counts::default(),
    };
    if let Some(row) = found {
        let count = |at| row.try_get::<_, i64>(at).map(i64::cast_unsigned).map_err(error);
        committed.pings = Counts { stored: count(0)?, merged: count(1)?, duplicate: count(2)? };
        committed.ticks = Counts { stored: count(3)?, merged: 0, duplicate: count(4)? };
        committed.executions = Counts { stored: count(5)?, merged: count(6)?, duplicate: count(7)? };
    }
    Ok(committed)
}

/// Unites the sketches of `rows` with the stored ones; those that add nothing become empty.
async fn unite(transaction: &Transaction<'_>, statements: &Statements, rows: &mut [Row]) -> Result<()> {
    let (Some(read), Some(at)) = (&statements.read_sketches, sql::sketch_column(statements.table)) else {
        return Ok(());
    };
    let table = statements.table;
    // Sketches that say nothing need no stored one.
    let telling: Vec<usize> = (0..rows.len()).filter(|&row| !rows[row][at].is_empty_summary()).collect();
    let keys: Vec<Row> = telling.iter().map(|&row| rows[row][..table.key_len()].to_vec()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let parameters: Vec<_> =
        table.key().iter().enumerate().map(|(column, described)| rows::array(&keys, column, described)).collect();
    let statement = transaction.prepare_cached(read).await.map_err(|error| failed(OPERATION, error))?;
    let stored =
        transaction.query(&statement, &rows::borrowed(&parameters)).await.map_err(|error| failed(OPERATION, error))?;
    for found in stored {
        let place: i64 = found.try_get(0).map_err(|error| failed(OPERATION, error))?;
        let bytes: &[u8] = found.try_get(1).map_err(|error| failed(OPERATION, error))?;
        let row = usize::try_from(place - 1).ok().and_then(|place| telling.get(place)).map(|&row| &mut rows[row]);
        if let Some(row) = row {
            unite_row(table, row, at, bytes)?;
        }
    }
    Ok(())
}

fn unite_row(table: &Table, row: &mut Row, at: usize, stored: &[u8]) -> Result<()> {
    let column_type = table.columns[at].column_type;
    let mut united = Value::decode_summary(column_type, stored)?;
    let theirs = std::mem::replace(&mut row[at], Value::Null);
    united.unite(theirs);
    let unchanged = united.encode_summary().is_some_and(|bytes| bytes == stored);
    row[at] = Value::empty_summary(column_type).filter(|_| unchanged).unwrap_or(united);
    table.derive(row);
    Ok(())
}

/// Sends many rows of a table as one statement: an array for each column, then the revision; says how many of them
/// changed anything.
pub(crate) async fn send(
    transaction: &Transaction<'_>,
    sql: &str,
    table: &Table,
    rows: &[Row],
    revision: i64,
) -> Result<u64> {
    let columns = table.columns.iter().enumerate();
    let mut parameters: Vec<_> = columns.map(|(at, column)| rows::array(rows, at, column)).collect();
    parameters.push(Box::new(revision));
    let error = |error| failed(OPERATION, error);
    let statement = transaction.prepare_cached(sql).await.map_err(error)?;
    transaction.execute(&statement, &rows::borrowed(&parameters)).await.map_err(error)
}
