//! The PostgreSQL store as a follower of another store: pages of changes are written over what is there.

use std::collections::BTreeMap;

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Transaction};
use futures_util::future::try_join_all;
use tallybook_core::{Change, Changes, Cursor, Follower, Following, Result, Row, Store as _, StoreId, TABLES};
use uuid::Uuid;

use crate::commit::{LOCK_COMMITS, NEXT_REVISION, send};
use crate::error::{commit_failed, failed};
use crate::sql::{self, Statements, quoted};
use crate::{PostgresStore, ticks};

const FOLLOWING: &str = "following a primary";

/// What is followed counts while no commit came behind it.
const KNOWN: &str =
    "SELECT primary_id, cursor, f.rev = r.rev, r.rev FROM revision AS r LEFT JOIN following AS f ON true";
const REMEMBER: &str = "INSERT INTO following (primary_id, cursor, rev) SELECT $1, $2, rev FROM revision \
    ON CONFLICT (single) DO UPDATE SET primary_id = excluded.primary_id, cursor = excluded.cursor, rev = excluded.rev";

/// The name of the store.
pub(crate) async fn id(client: &impl GenericClient) -> Result<StoreId, tokio_postgres::Error> {
    client.query_one("SELECT id FROM store_id", &[]).await?.try_get(0).map(StoreId)
}

/// Where `primary` is followed from.
async fn resume(store: &PostgresStore, client: &impl GenericClient, primary: StoreId) -> Result<Cursor> {
    let error = |error| failed(FOLLOWING, error);
    let statement = client.prepare_cached(KNOWN).await.map_err(error)?;
    let row = client.query_one(&statement, &[]).await.map_err(error)?;
    let revision: i64 = row.try_get(3).map_err(error)?;
    let known = if row.try_get::<_, Option<bool>>(2).map_err(error)? == Some(true) {
        let (known, cursor): (Uuid, String) = (row.try_get(0).map_err(error)?, row.try_get(1).map_err(error)?);
        Some(Following { primary: StoreId(known), cursor: Cursor(cursor.into()) })
    } else {
        None
    };
    Following::resume(known, Some(store.id), revision == 0, primary)
}

async fn remember(client: &impl GenericClient, primary: StoreId, cursor: &Cursor) -> Result<()> {
    let error = |error| failed(FOLLOWING, error);
    let statement = client.prepare_cached(REMEMBER).await.map_err(error)?;
    client.execute(&statement, &[&primary.0, &cursor.0.as_ref()]).await.map_err(error)?;
    Ok(())
}

async fn absorb(store: &PostgresStore, primary: StoreId, from: &Cursor, page: Changes) -> Result<()> {
    let Changes { changes, ticks, next, more: _ } = page;
    let tables = by_table(changes)?;
    let error = |error| failed(FOLLOWING, error);
    let mut client = store.client(FOLLOWING).await?;
    let transaction = client.transaction().await.map_err(error)?;
    // The lock of all commits, so that none comes between the look and the write.
    transaction.execute(LOCK_COMMITS, &[]).await.map_err(error)?;
    Following::check(&resume(store, &transaction, primary).await?, from)?;
    let revision: i64 = transaction.query_one(NEXT_REVISION, &[]).await.map_err(error)?.try_get(0).map_err(error)?;
    let mut new_partitions = store.partitions.make_missing(&transaction, &tables).await?;
    let writes = tables
        .iter()
        .map(|(statements, rows)| send(&transaction, &statements.replace, statements.table, rows, revision));
    try_join_all(writes).await?;
    let stored = ticks::insert(store, &transaction, &ticks, revision).await?;
    remember(&transaction, primary, &next).await?;
    transaction.commit().await.map_err(|error| commit_failed(FOLLOWING, error))?;
    new_partitions.extend(stored.new_partitions);
    store.partitions.add(new_partitions);
    store.names.add(stored.new_names);
    Ok(())
}

/// The rows of each table, by key.
fn by_table(changes: Vec<Change>) -> Result<Vec<(&'static Statements, Vec<Row>)>> {
    let mut tables: BTreeMap<usize, (&'static Statements, Vec<Row>)> = BTreeMap::new();
    for Change { table, revision: _, row } in changes {
        let statements = sql::of(FOLLOWING, table)?;
        tables.entry(statements.place).or_insert_with(|| (statements, Vec::new())).1.push(row);
    }
    let sorted = |(statements, mut rows): (&'static Statements, Vec<Row>)| {
        let key = statements.table.key_len();
        rows.sort_unstable_by(|a, b| a[..key].cmp(&b[..key]));
        (statements, rows)
    };
    Ok(tables.into_values().map(sorted).collect())
}

/// Removes everything. The revision goes on, so that cursors of those who follow this store stay good.
async fn clear(store: &PostgresStore, primary: StoreId) -> Result<()> {
    let error = |error| failed(FOLLOWING, error);
    let mut client = store.client(FOLLOWING).await?;
    let transaction = client.transaction().await.map_err(error)?;
    transaction.execute(LOCK_COMMITS, &[]).await.map_err(error)?;
    empty(&transaction).await.map_err(error)?;
    remember(&transaction, primary, &Cursor::START).await?;
    transaction.commit().await.map_err(|error| commit_failed(FOLLOWING, error))
}

async fn empty(transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
    let described = TABLES.iter().map(|table| quoted(table.name));
    let all: Vec<String> = described.chain(["tick", "tick_day", "tick_touched"].map(quoted)).collect();
    transaction.batch_execute(&format!("TRUNCATE {}", all.join(", "))).await
}

#[async_trait]
impl Follower for PostgresStore {
    fn describe(&self) -> String {
        format!("PostgreSQL {} at {}", self.version, self.place)
    }

    async fn cursor(&self, primary: StoreId) -> Result<Cursor> {
        resume(self, &self.client(FOLLOWING).await?, primary).await
    }

    async fn absorb(&self, primary: StoreId, from: &Cursor, page: Changes) -> Result<()> {
        // A commit that failed may have met a partition or a name that is no more.
        absorb(self, primary, from, page).await.inspect_err(|_| self.partitions.forget())
    }

    async fn clear(&self, primary: StoreId) -> Result<()> {
        clear(self, primary).await
    }

    async fn release(&self) -> Result<()> {
        self.close().await
    }
}

/// About how many rows and ticks lie behind these revisions.
pub(crate) async fn count_behind(store: &PostgresStore, rows: i64, ticks: i64) -> Result<u64> {
    const OPERATION: &str = "following changes";
    let error = |error| failed(OPERATION, error);
    let client = store.client(OPERATION).await?;
    let count_rows = |statements: &Statements| {
        let block = if statements.in_blocks { "rev_block >= $1::int8 / 16 AND " } else { "" };
        format!("(SELECT count(*) FROM {} WHERE {block}rev > $1)", quoted(statements.table.name))
    };
    let counts: Vec<String> = sql::all().iter().map(count_rows).collect();
    let sql = format!(
        "SELECT {} + (SELECT count(*) FROM tick AS t JOIN (SELECT symbol, min(first_time) AS first, \
         max(last_time) AS last FROM tick_touched WHERE rev > $2 GROUP BY day, symbol) AS u \
         ON t.symbol = u.symbol AND t.\"time\" BETWEEN u.first AND u.last)",
        counts.join(" + ")
    );
    let statement = client.prepare_cached(&sql).await.map_err(error)?;
    let count: i64 = client.query_one(&statement, &[&rows, &ticks]).await.map_err(error)?.try_get(0).map_err(error)?;
    Ok(count.cast_unsigned())
}
