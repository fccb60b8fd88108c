//! A database of its own for each test, in the cluster that `cargo xtask test` starts; and what tests do with a store in it.
#![allow(dead_code, reason = "no test needs all of it")]

pub(crate) mod proxy;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tallybook_core::{
    Ack, Batch, BatchId, Error, ErrorKind, Query, Records, Result, Row, SourceId, Store as _, TABLES, Tick, TickQuery,
    TickStore as _, TimeRange, Timestamp,
};
use tallybook_store_postgres::{PostgresOptions, PostgresStore};
use tokio_postgres::NoTls;

/// Where the cluster is: a superuser's URL without a database.
const CLUSTER: &str = "TALLYBOOK_POSTGRES_URL";

/// A new, empty database; dropped with this.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        Self { name: format!("test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)) }
    }

    /// Its URL; it is made at the first call.
    pub(crate) async fn url(&self) -> Result<String> {
        let cluster = cluster()?;
        let admin = connect(&format!("{cluster}/postgres?sslmode=disable")).await?;
        let found = admin
            .query_one("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", &[&self.name])
            .await
            .map_err(unreachable)?;
        if !found.get::<_, bool>(0) {
            admin.batch_execute(&format!("CREATE DATABASE {}", self.name)).await.map_err(unreachable)?;
        }
        Ok(format!("{cluster}/{}?sslmode=disable", self.name))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.name.clone();
        // A thread of its own: the test's runtime may be on its way out.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let admin = connect(&format!("{}/postgres?sslmode=disable", cluster()?)).await?;
                admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.map_err(unreachable)
            })
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("a test database stays: {error}");
        }
    }
}

fn cluster() -> Result<String> {
    std::env::var(CLUSTER).map_err(|_| {
        Error::new(
            ErrorKind::Unavailable,
            "testing on PostgreSQL",
            format!("{CLUSTER} is not set; run `cargo xtask test`, or give it a superuser's URL such as postgres://postgres@127.0.0.1:5432"),
        )
    })
}

/// A plain connection for looking at a database from outside.
pub(crate) async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(unreachable)?;
    tokio::spawn(connection);
    Ok(client)
}

/// A store in the database of `url`.
pub(crate) async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url, PostgresOptions::default()).await.expect("the store opens")
}

pub(crate) fn batch(source: SourceId, seq: u64, records: Records) -> Arc<Batch> {
    Arc::new(Batch { id: BatchId { source, seq }, ack: Ack::Written, records })
}

/// The rows of every table, and the ticks by symbol.
pub(crate) async fn everything(store: &PostgresStore) -> (Vec<Vec<Row>>, Vec<Tick>) {
    let mut tables = Vec::new();
    for table in TABLES {
        let page = store.select(table, &Query::new(100_000).with_sketches()).await.expect("the table is read");
        tables.push(page.rows);
    }
    let range = TimeRange { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX) };
    let mut ticks = Vec::new();
    for known in store.symbols(range).await.expect("the symbols are read") {
        let symbol = known.symbol;
        let query = TickQuery { symbol, range, after: None, newest_first: false, limit: 100_000 };
        let found = store.ticks(&query).await.expect("the ticks are read");
        assert_eq!(known.count, found.len() as u64, "what is said of {}", query.symbol);
        ticks.extend(found);
    }
    (tables, ticks)
}

fn unreachable(error: tokio_postgres::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "testing on PostgreSQL", "the cluster does not do as asked").with_source(error)
}
