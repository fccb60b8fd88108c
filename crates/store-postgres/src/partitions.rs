//! Day partitions of the bucket tables, made by the commit that first needs them. With TimescaleDB there are none to make.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use deadpool_postgres::{GenericClient, Transaction};
use tallybook_core::{DAY, Result, Row, Table, Timestamp, Value};

use crate::error::failed;
use crate::sql::{Statements, quoted};

const OPERATION: &str = "making a partition";

/// A bucket table and a day since 1970.
pub(crate) type Day = (&'static str, i64);

/// The partitions this process knows to exist; `None` where TimescaleDB cuts the tables.
#[derive(Debug)]
pub(crate) struct Partitions(Option<Mutex<BTreeSet<Day>>>);

impl Partitions {
    /// Asks the database how its bucket tables are cut.
    pub(crate) async fn of(client: &impl GenericClient) -> Result<Self, tokio_postgres::Error> {
        let partitioned =
            "SELECT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = 'metric_bucket'::regclass)";
        let partitioned: bool = client.query_one(partitioned, &[]).await?.try_get(0)?;
        Ok(Self(partitioned.then(Mutex::default)))
    }

    /// Makes the partitions that `tables` need and this process does not know; gives them, to be remembered once the
    /// transaction is committed.
    pub(crate) async fn make_missing(
        &self,
        transaction: &Transaction<'_>,
        tables: &[(&'static Statements, Vec<Row>)],
    ) -> Result<Vec<Day>> {
        let Some(known) = &self.0 else { return Ok(Vec::new()) };
        let missing: Vec<Day> = {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            days(tables).into_iter().filter(|day| !known.contains(day)).collect()
        };
        for &(table, day) in &missing {
            make(transaction, table, day).await.map_err(|error| failed(OPERATION, error))?;
        }
        Ok(missing)
    }

    /// Remembers partitions that exist now.
    pub(crate) fn add(&self, days: Vec<Day>) {
        if let Some(known) = &self.0 {
            known.lock().unwrap_or_else(PoisonError::into_inner).extend(days);
        }
    }

    /// Forgets what it knows: a failed commit may have met a partition that another server dropped.
    pub(crate) fn forget(&self) {
        if let Some(known) = &self.0 {
            known.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Drops the partitions of `table` that end before `before` and hold nothing any more.
    pub(crate) async fn drop_empty(
        &self,
        client: &impl GenericClient,
        table: &Table,
        before: Timestamp,
    ) -> Result<(), tokio_postgres::Error> {
        if self.0.is_none() {
            return Ok(());
        }
        let partitions = client
            .query(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass",
                &[&table.name],
            )
            .await?;
        for partition in partitions {
            let partition: &str = partition.try_get(0)?;
            let day: Option<i64> = partition.rsplit('_').next().and_then(|day| day.parse().ok());
            if day.is_none_or(|day| day.saturating_add(1).saturating_mul(DAY) > before.0) {
                continue;
            }
            let partition = quoted(partition.trim_matches('"'));
            let empty = format!("SELECT NOT EXISTS (SELECT FROM {partition})");
            if client.query_one(&empty, &[]).await?.try_get(0)? {
                client.batch_execute(&format!("DROP TABLE IF EXISTS {partition}")).await?;
            }
        }
        self.forget();
        Ok(())
    }
}

/// The days of the rows of partitioned tables.
fn days(tables: &[(&'static Statements, Vec<Row>)]) -> BTreeSet<Day> {
    let mut days = BTreeSet::new();
    for (statements, rows) in tables {
        let table = statements.table;
        if let Some(at) = table.position("start").filter(|_| table.name.ends_with("_bucket")) {
            let starts = rows.iter().filter_map(|row| match row[at] {
                Value::Int(start) => Some((table.name, start.div_euclid(DAY))),
                _ => None,
            });
            days.extend(starts);
        }
    }
    days
}

/// Made on its own and attached then: that lets readers of the table go on, where `PARTITION OF` would lock them out. The
/// name ends with the day's number since 1970.
async fn make(transaction: &Transaction<'_>, table: &str, day: i64) -> Result<(), tokio_postgres::Error> {
    let partition = format!("{table}_{day}");
    let attached = "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1::text))";
    if transaction.query_one(attached, &[&quoted(&partition)]).await?.try_get(0)? {
        return Ok(());
    }
    let (name, parent) = (quoted(&partition), quoted(table));
    let bound = |day: i64, past: &str| day.checked_mul(DAY).map_or_else(|| past.to_owned(), |start| start.to_string());
    let (from, to) = (bound(day, "MINVALUE"), bound(day + 1, "MAXVALUE"));
    transaction
        .batch_execute(&format!(
            "CREATE TABLE IF NOT EXISTS {name} (LIKE {parent} INCLUDING ALL);
             ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"
        ))
        .await
}
