//! What a server and a database say of themselves, for whoever looks after them. Nothing here writes, nor migrates.

use std::collections::BTreeSet;
use std::time::Duration;

use tallybook_core::Result;
use tokio_postgres::{Client, Row};

use crate::connect::{self, migrations};
use crate::error;

const OPERATION: &str = "looking at PostgreSQL";

/// The state of a server and of Tallybook's database in it.
#[derive(Clone, Debug)]
pub struct PostgresState {
    /// The server's version.
    pub version: String,
    /// The server's address and the database, for people.
    pub place: String,
    /// Bytes of the database.
    pub bytes: u64,
    /// Whether the server only follows another one: nothing can be written there.
    pub is_standby: bool,
    /// The last migration that was applied; `None` in a database that has none.
    pub applied_migration: Option<i64>,
    /// The last migration this program knows.
    pub known_migration: i64,
    /// Statements that make the indexes which migrations made and which are gone.
    pub missing_indexes: Vec<String>,
    /// Indexes that were not made to the end, and are not used.
    pub invalid_indexes: Vec<String>,
    /// Connections of clients, to any database.
    pub connections: u64,
    /// As many as ordinary users may have.
    pub max_connections: u64,
    /// The transaction that has been open for the longest time.
    pub oldest_transaction: Option<Transaction>,
    /// Whether dead rows are removed by themselves.
    pub autovacuum: bool,
    /// The table with the most dead rows.
    pub most_dead: Option<DeadRows>,
    /// Transactions since the oldest row that was not frozen; at about two thousand million the server stops taking writes.
    pub transaction_age: u64,
    /// What keeps the log for those who read it.
    pub slots: Vec<Slot>,
    /// Servers that follow this one.
    pub replicas: Vec<Replica>,
}

/// A transaction that is open.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Its process in the server.
    pub pid: i32,
    /// The program, as it calls itself.
    pub application: String,
    /// How long it has been open.
    pub age: Duration,
}

/// Versions of rows that nobody sees any more.
#[derive(Clone, Debug)]
pub struct DeadRows {
    /// The table.
    pub table: String,
    /// Rows, about.
    pub live: u64,
    /// Dead ones, about.
    pub dead: u64,
}

/// A replication slot.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Whether somebody reads from it.
    pub active: bool,
    /// Bytes of log that are kept for it.
    pub retained_bytes: u64,
    /// Whether what it needs is gone.
    pub lost: bool,
}

/// A server that follows.
#[derive(Clone, Debug)]
pub struct Replica {
    /// How it calls itself.
    pub name: String,
    /// How far behind it is in time; `None` where that is not known.
    pub lag: Option<Duration>,
    /// Bytes of log that it has not applied; `None` where that is not known.
    pub lag_bytes: Option<u64>,
}

impl PostgresState {
    /// Asks the server of `url`, which is as in [`crate::PostgresStore::open`].
    ///
    /// # Errors
    /// As those of [`crate::PostgresStore::open`].
    pub async fn look(url: &str) -> Result<Self> {
        let (config, tls) = connect::configured(url)?;
        let place = connect::place(&config);
        let client = connect::connect_once(&config, tls).await?;
        let version = connect::check_server(&client).await?;
        let server = one(&client, SERVER).await?;
        let (present, invalid_indexes) = indexes(&client).await?;
        Ok(Self {
            version,
            place,
            bytes: count(&server, 0),
            is_standby: server.get(1),
            connections: count(&server, 2),
            max_connections: count(&server, 3),
            autovacuum: server.get(4),
            transaction_age: count(&server, 5),
            applied_migration: applied_migration(&client).await?,
            known_migration: known_migration(),
            missing_indexes: missing_indexes(&present),
            invalid_indexes,
            oldest_transaction: all(&client, TRANSACTIONS).await?.first().map(transaction),
            most_dead: all(&client, DEAD_ROWS).await?.first().map(dead_rows),
            slots: all(&client, SLOTS).await?.iter().map(slot).collect(),
            replicas: all(&client, REPLICAS).await?.iter().map(replica).collect(),
        })
    }
}

const SERVER: &str = "SELECT pg_database_size(current_database()), pg_is_in_recovery(),
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,
    current_setting('autovacuum')::boolean,
    (SELECT age(datfrozenxid)::bigint FROM pg_database WHERE datname = current_database())";
const TRANSACTIONS: &str = "SELECT pid, coalesce(application_name, ''),
    extract(epoch FROM clock_timestamp() - xact_start)::double precision
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        AND xact_start IS NOT NULL
    ORDER BY xact_start LIMIT 1";
const DEAD_ROWS: &str = "SELECT relid::regclass::text, n_live_tup, n_dead_tup FROM pg_stat_user_tables
    ORDER BY n_dead_tup DESC LIMIT 1";
const SLOTS: &str = "SELECT slot_name::text, active, coalesce(pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint,
    coalesce(wal_status = 'lost', false)
    FROM pg_replication_slots ORDER BY slot_name";
const REPLICAS: &str = "SELECT coalesce(nullif(application_name, ''), client_addr::text, pid::text),
    extract(epoch FROM replay_lag)::double precision,
    pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
        replay_lsn)::bigint
    FROM pg_stat_replication ORDER BY 1";
const INDEXES: &str = "SELECT relname::text, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE pg_table_is_visible(pg_class.oid) ORDER BY relname";

async fn all(client: &Client, sql: &str) -> Result<Vec<Row>> {
    client.query(sql, &[]).await.map_err(|error| error::failed(OPERATION, error))
}

async fn one(client: &Client, sql: &str) -> Result<Row> {
    client.query_one(sql, &[]).await.map_err(|error| error::failed(OPERATION, error))
}

fn count(row: &Row, at: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(at)).unwrap_or(0)
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn transaction(row: &Row) -> Transaction {
    Transaction { pid: row.get(0), application: row.get(1), age: seconds(row.get(2)) }
}

fn dead_rows(row: &Row) -> DeadRows {
    DeadRows { table: row.get(0), live: count(row, 1), dead: count(row, 2) }
}

fn slot(row: &Row) -> Slot {
    Slot { name: row.get(0), active: row.get(1), retained_bytes: count(row, 2), lost: row.get(3) }
}

fn replica(row: &Row) -> Replica {
    let lag_bytes = row.get::<_, Option<i64>>(2).map(|bytes| u64::try_from(bytes).unwrap_or(0));
    Replica { name: row.get(0), lag: row.get::<_, Option<f64>>(1).map(seconds), lag_bytes }
}

async fn applied_migration(client: &Client) -> Result<Option<i64>> {
    let there = one(client, "SELECT to_regclass('refinery_schema_history') IS NOT NULL").await?;
    if !there.get::<_, bool>(0) {
        return Ok(None);
    }
    Ok(one(client, "SELECT max(version)::bigint FROM refinery_schema_history").await?.get(0))
}

fn known_migration() -> i64 {
    let runner = migrations::migrations::runner();
    runner.get_migrations().iter().map(|migration| i64::from(migration.version())).max().unwrap_or(0)
}

/// The names of all indexes, and those of indexes that are not whole.
async fn indexes(client: &Client) -> Result<(BTreeSet<String>, Vec<String>)> {
    let rows = all(client, INDEXES).await?;
    let invalid = rows.iter().filter(|row| !row.get::<_, bool>(1)).map(|row| row.get(0)).collect();
    Ok((rows.iter().map(|row| row.get(0)).collect(), invalid))
}

/// What the migrations say they make; nothing where none was applied.
fn missing_indexes(present: &BTreeSet<String>) -> Vec<String> {
    let runner = migrations::migrations::runner();
    let text: String = runner.get_migrations().iter().filter_map(|migration| migration.sql()).collect();
    let named = |line: &str, begin: &str| {
        Some(line.strip_prefix(begin)?.split([' ', ';']).next()?.to_owned()).filter(|name| !name.is_empty())
    };
    let dropped: BTreeSet<String> = text.lines().filter_map(|line| named(line, "DROP INDEX ")).collect();
    let made = text.lines().filter_map(|line| Some((named(line, "CREATE INDEX ")?, line)));
    made.filter(|(name, _)| {
        // V3 gives tables that change often another one in its place.
        let in_place = name.strip_suffix("_rev").is_some_and(|table| present.contains(&format!("{table}_rev_block")));
        !present.contains(name) && !dropped.contains(name) && !in_place
    })
    .map(|(_, line)| line.trim_end_matches(';').to_owned())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indexes_that_migrations_make_are_known_by_name() {
        let all = missing_indexes(&BTreeSet::new());
        let has = |part: &str| all.iter().any(|statement| statement.contains(part));
        assert!(has("CREATE INDEX execution_by_time ON execution (created_at, id)"), "{all:?}");
        assert!(!has("attribute_key_by_name"), "it was dropped");
        assert!(known_migration() >= 9);
    }
}
