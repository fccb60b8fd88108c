//! Day partitions of ticks and of the bucket tables, made by the commit that first needs them. With TimescaleDB the bucket
//! tables need none.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use deadpool_postgres::{GenericClient, Object, Transaction};
use tallybook_core::{DAY, Result, Row, Table, Timestamp, Value};

use crate::commit::LOCK_COMMITS;
use crate::error::failed;
use crate::sql::{IN_BLOCKS, Statements, quoted};

const OPERATION: &str = "making a partition";

/// The bucket tables that the migrations partition by their column `start`.
const CUT_BY_DAY: [&str; 3] = ["metric_bucket", "attribute_key_bucket", "template_bucket"];

/// A partitioned table and a day since 1970.
pub(crate) type Day = (&'static str, i64);

/// The partitions this process knows to exist.
#[derive(Debug)]
pub(crate) struct Partitions {
    /// Not where TimescaleDB cuts them.
    of_buckets: bool,
    known: Mutex<BTreeSet<Day>>,
}

impl Partitions {
    /// Asks the database how its bucket tables are cut.
    pub(crate) async fn of(client: &impl GenericClient) -> Result<Self, tokio_postgres::Error> {
        let partitioned =
            "SELECT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = 'metric_bucket'::regclass)";
        let of_buckets = client.query_one(partitioned, &[]).await?.try_get(0)?;
        Ok(Self { of_buckets, known: Mutex::default() })
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<Day>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the partitions that `tables` need and this process does not know; gives them, to be remembered once the
    /// transaction is committed.
    pub(crate) async fn make_missing(
        &self,
        transaction: &Transaction<'_>,
        tables: &[(&'static Statements, Vec<Row>)],
    ) -> Result<Vec<Day>> {
        if !self.of_buckets {
            return Ok(Vec::new());
        }
        self.make(transaction, days(tables)).await
    }

    /// The same for the days of one table that is partitioned everywhere.
    pub(crate) async fn make_missing_days(
        &self,
        transaction: &Transaction<'_>,
        table: &'static str,
        days: BTreeSet<i64>,
    ) -> Result<Vec<Day>> {
        self.make(transaction, days.into_iter().map(|day| (table, day)).collect()).await
    }

    async fn make(&self, transaction: &Transaction<'_>, needed: BTreeSet<Day>) -> Result<Vec<Day>> {
        let unknown: Vec<Day> = {
            let known = self.known();
            needed.into_iter().filter(|day| !known.contains(day)).collect()
        };
        if !unknown.is_empty() {
            make(transaction, &unknown).await.map_err(|error| failed(OPERATION, error))?;
        }
        Ok(unknown)
    }

    /// Remembers partitions that exist now.
    pub(crate) fn add(&self, days: Vec<Day>) {
        self.known().extend(days);
    }

    /// Forgets what it knows: a failed commit may have met a partition that another server dropped.
    pub(crate) fn forget(&self) {
        self.known().clear();
    }

    /// Drops the partitions of `table` that end before `before` and hold nothing any more.
    pub(crate) async fn drop_empty(
        &self,
        client: &mut Object,
        table: &Table,
        before: Timestamp,
    ) -> Result<(), tokio_postgres::Error> {
        let ended = if self.of_buckets {
            ended(client, table, before).await?
        } else {
            ended_chunks(client, table, before).await?
        };
        let empty = only_empty(client, ended).await?;
        if empty.is_empty() {
            return Ok(());
        }
        let transaction = client.transaction().await?;
        // Otherwise what another server commits at this moment could leave with its partition.
        transaction.execute(LOCK_COMMITS, &[]).await?;
        for partition in only_empty(&transaction, empty).await? {
            transaction.batch_execute(&format!("DROP TABLE {partition}")).await?;
        }
        transaction.commit().await?;
        self.forget();
        Ok(())
    }
}

/// The partitions of `table` that end before `before`, as identifiers.
async fn ended(
    client: &impl GenericClient,
    table: &Table,
    before: Timestamp,
) -> Result<Vec<String>, tokio_postgres::Error> {
    let partitions = "SELECT c.relname::text FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid \
        WHERE inhparent = $1::text::regclass";
    let partitions = client.query(partitions, &[&table.name]).await?;
    let names = partitions.iter().map(|row| row.try_get::<_, &str>(0)).collect::<Result<Vec<_>, _>>()?;
    let has_ended = |name: &&str| {
        let day: Option<i64> = name.rsplit('_').next().and_then(|day| day.parse().ok());
        day.is_some_and(|day| day.saturating_add(1).saturating_mul(DAY) <= before.0)
    };
    Ok(names.into_iter().filter(has_ended).map(quoted).collect())
}

/// The same where TimescaleDB cuts the table.
async fn ended_chunks(
    client: &impl GenericClient,
    table: &Table,
    before: Timestamp,
) -> Result<Vec<String>, tokio_postgres::Error> {
    let chunks = "SELECT show_chunks($1::text::regclass, older_than => $2::int8)::text";
    client.query(chunks, &[&table.name, &before.0]).await?.iter().map(|row| row.try_get(0)).collect()
}

/// Those of `partitions` that are there and hold nothing.
async fn only_empty(
    client: &impl GenericClient,
    partitions: Vec<String>,
) -> Result<Vec<String>, tokio_postgres::Error> {
    let mut empty = Vec::new();
    for partition in partitions {
        let there = "SELECT to_regclass($1::text) IS NOT NULL";
        let is_empty = format!("SELECT NOT EXISTS (SELECT FROM {partition})");
        if client.query_one(there, &[&partition]).await?.try_get(0)?
            && client.query_one(&is_empty, &[]).await?.try_get(0)?
        {
            empty.push(partition);
        }
    }
    Ok(empty)
}

/// The days of the rows of partitioned tables.
fn days(tables: &[(&'static Statements, Vec<Row>)]) -> BTreeSet<Day> {
    let mut days = BTreeSet::new();
    for (statements, rows) in tables {
        let table = statements.table;
        if let Some(at) = table.position("start").filter(|_| is_cut_by_day(table)) {
            let starts = rows.iter().filter_map(|row| match row[at] {
                Value::Int(start) => Some((table.name, start.div_euclid(DAY))),
                _ => None,
            });
            days.extend(starts);
        }
    }
    days
}

/// Whether the table is partitioned by its column `start`.
pub(crate) fn is_cut_by_day(table: &Table) -> bool {
    CUT_BY_DAY.contains(&table.name)
}

/// Makes those that are not there. Each is made on its own and attached then: that lets readers of the table go on, where
/// `PARTITION OF` would lock them out. Its name ends with the day's number since 1970.
async fn make(transaction: &Transaction<'_>, days: &[Day]) -> Result<(), tokio_postgres::Error> {
    let names: Vec<String> = days.iter().map(|(table, day)| format!("{table}_{day}")).collect();
    let attached =
        "SELECT relname::text FROM pg_class WHERE relname = ANY ($1) AND relispartition AND pg_table_is_visible(oid)";
    let attached = transaction.query(attached, &[&names]).await?;
    let attached = attached.iter().map(|row| row.try_get::<_, &str>(0)).collect::<Result<BTreeSet<_>, _>>()?;
    let missing = days.iter().zip(&names).filter(|(_, name)| !attached.contains(name.as_str()));
    let sql: String = missing.map(|((table, day), name)| definition(table, *day, name)).collect();
    transaction.batch_execute(&sql).await
}

/// The statements that make the partition `name` for a day of `table`.
fn definition(table: &str, day: i64, name: &str) -> String {
    let (name, parent) = (quoted(name), quoted(table));
    let bound = |day: i64, past: &str| day.checked_mul(DAY).map_or_else(|| past.to_owned(), |start| start.to_string());
    let (from, to) = (bound(day, "MINVALUE"), bound(day + 1, "MAXVALUE"));
    // `LIKE` does not take this along; without it rows that change could not stay on their page.
    let room = if IN_BLOCKS.contains(&table) { " WITH (fillfactor = 50)" } else { "" };
    format!(
        "CREATE TABLE IF NOT EXISTS {name} (LIKE {parent} INCLUDING ALL){room};
         ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to});"
    )
}
