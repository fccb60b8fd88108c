//! A batch as one transaction: four round trips, however many rows it has.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Transaction;
use futures_util::future::{try_join, try_join_all};
use tallybook_core::{
    Batch, Error, ErrorKind, Outcome, Record as _, Records, Result, Row, Sketch, Table, Template, TemplateBucket,
    TemplateMove, Value,
};

use crate::error::{commit_failed, failed};
use crate::sql::{self, Statements, quoted};
use crate::{PostgresStore, rows};

const OPERATION: &str = "committing a batch";
/// Past it the connection is given up and nobody knows whether the batch was committed.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Also the lock: whoever raised the revision first commits first, and everybody else waits here.
const NEXT_REVISION: &str = "UPDATE revision SET rev = rev + 1 RETURNING rev";
const NEXT_OF_SOURCE: &str = "INSERT INTO batch_source AS s (source, seq, at) VALUES ($1, $2, now())
    ON CONFLICT (source) DO UPDATE SET seq = excluded.seq, at = excluded.at WHERE s.seq < excluded.seq RETURNING seq";

/// Applies the batch unless it has been applied.
pub(crate) async fn commit(store: &PostgresStore, batch: &Batch) -> Result<Outcome> {
    // bigint is signed: the sign bit turned round keeps the order up to the greatest number.
    let seq = (batch.id.seq ^ (1 << 63)).cast_signed();
    let mut tables = Vec::new();
    batch.records.for_each_table(|table, rows| {
        tables.push((sql::of(OPERATION, table)?, rows));
        Ok::<_, Error>(())
    })?;
    let Records { catalogue, dead_letters: _ } = &batch.records;

    let apply = async {
        let mut client = store.client(OPERATION).await?;
        let transaction = client.transaction().await.map_err(|error| failed(OPERATION, error))?;
        let Some(revision) = begin(&transaction, batch, seq).await? else {
            return Ok(Outcome::Duplicate);
        };
        let new_partitions = store.partitions.make_missing(&transaction, &tables).await?;
        try_join_all(tables.iter_mut().map(|(statements, rows)| unite(&transaction, statements, rows))).await?;
        try_join_all(tables.iter().map(|(statements, rows)| fold(&transaction, statements, rows, revision))).await?;
        for step in catalogue.template_moves.iter().filter(|step| step.from != step.to) {
            move_template(&transaction, step, revision).await?;
        }
        transaction.commit().await.map_err(|error| commit_failed(OPERATION, error))?;
        store.partitions.add(new_partitions);
        Ok(Outcome::Applied)
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

/// Unites the sketches of `rows` with the stored ones; those that add nothing become empty.
async fn unite(transaction: &Transaction<'_>, statements: &Statements, rows: &mut [Row]) -> Result<()> {
    let (Some(read), Some(at)) = (&statements.read_sketches, sql::sketch_column(statements.table)) else {
        return Ok(());
    };
    let table = statements.table;
    // Sketches that say nothing need no stored one.
    let telling: Vec<usize> =
        (0..rows.len()).filter(|&row| matches!(&rows[row][at], Value::Sketch(sketch) if !sketch.is_empty())).collect();
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
    let Value::Sketch(theirs) = &row[at] else { return Ok(()) };
    let mut united = Sketch::decode(stored)?;
    united.unite(theirs);
    let unchanged = united.encode() == stored;
    row[at] = Value::Sketch(if unchanged { Arc::default() } else { Arc::new(united) });
    table.derive(row);
    Ok(())
}

async fn fold(transaction: &Transaction<'_>, statements: &Statements, rows: &[Row], revision: i64) -> Result<()> {
    let columns = statements.table.columns.iter().enumerate();
    let mut parameters: Vec<_> = columns.map(|(at, column)| rows::array(rows, at, column)).collect();
    parameters.push(Box::new(revision));
    let error = |error| failed(OPERATION, error);
    let statement = transaction.prepare_cached(&statements.fold).await.map_err(error)?;
    transaction.execute(&statement, &rows::borrowed(&parameters)).await.map_err(error)?;
    Ok(())
}

/// Folds the rows of one text into those of another; the old ones keep a count of 0.
async fn move_template(transaction: &Transaction<'_>, step: &TemplateMove, revision: i64) -> Result<()> {
    let error = |error| failed(OPERATION, error);
    let (service, severity) = (step.service.as_ref(), step.severity.as_str());
    let (from_text, to_text) = (step.from.as_ref(), step.to.as_ref());
    for table in [Template::TABLE, TemplateBucket::TABLE] {
        let taken: Vec<String> = table
            .columns
            .iter()
            .map(|column| if column.name == "template" { "$4::text".to_owned() } else { quoted(column.name) })
            .collect();
        let from = "service = $1 AND severity = $2 AND template = $3 AND count <> 0";
        let name = quoted(table.name);
        let moved = format!(
            "{} SELECT {}, $5 FROM {name} WHERE {from} {}",
            sql::insert(table),
            taken.join(", "),
            sql::on_conflict(table)
        );
        let emptied = format!("UPDATE {name} SET count = 0, rev = $4 WHERE {from}");
        let moved = transaction.prepare_cached(&moved).await.map_err(error)?;
        transaction.execute(&moved, &[&service, &severity, &from_text, &to_text, &revision]).await.map_err(error)?;
        let emptied = transaction.prepare_cached(&emptied).await.map_err(error)?;
        transaction.execute(&emptied, &[&service, &severity, &from_text, &revision]).await.map_err(error)?;
    }
    Ok(())
}
