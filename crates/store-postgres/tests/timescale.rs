//! The store where TimescaleDB is installed: the real extension on a PostgreSQL that is compiled to WebAssembly, since no
//! package of Debian has it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tallybook_conformance::Fixtures;
use tallybook_core::{
    Ack, Batch, BatchId, CatalogueDelta, Condition, DAY, MetricBucket, Query, Record as _, Records, SourceId, Store,
    StoreExt as _, Timestamp, Window,
};
use tallybook_store_postgres::{PostgresOptions, PostgresStore};
use tokio_postgres::{Client, NoTls};

/// A server with one database, which takes one connection at a time; gone when dropped.
#[derive(Debug)]
struct Timescale {
    server: Child,
    port: u16,
}

impl Timescale {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/timescale.mjs");
        let mut node = Command::new("node");
        let server = node.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut server = server.expect("Node runs; `cargo xtask setup` installs it");
        let mut said = String::new();
        let output = server.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut said).expect("its output can be read");
        let port =
            said.trim().parse().expect("it says its port; `cargo xtask test` sets TALLYBOOK_NODE to what it needs");
        Self { server, port }
    }

    fn url(&self) -> String {
        format!("postgres://postgres:postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// A store that holds these, and takes the one connection until it is closed.
    async fn holding(&self, metric_buckets: Vec<MetricBucket>) -> PostgresStore {
        let options = PostgresOptions { max_connections: 1 };
        let store = PostgresStore::open(&self.url(), options).await.expect("the store opens");
        let catalogue = CatalogueDelta { metric_buckets, ..CatalogueDelta::default() };
        let records = Records { catalogue, ..Records::default() };
        let batch = Batch { id: BatchId { source: SourceId::mint(), seq: 1 }, ack: Ack::Written, records };
        store.commit(Arc::new(batch)).await.expect("committed");
        store
    }

    /// A plain connection.
    async fn connect(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client
    }
}

impl Drop for Timescale {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_by_time_are_hypertables_of_one_day() {
    let server = Timescale::start();
    let mut fixtures = Fixtures::odd(3);
    let buckets: Vec<MetricBucket> = (0..50).map(|_| fixtures.record()).collect();
    let expected = MetricBucket::TABLE.normalise(buckets.iter().map(MetricBucket::to_row).collect());
    let store = server.holding(buckets).await;
    let found = store.select(MetricBucket::TABLE, &Query::new(1_000).with_sketches()).await.expect("the buckets").rows;
    assert_eq!(found, expected);
    let buckets = store.list::<MetricBucket>(&Query::new(1_000)).await.expect("the buckets").items;
    store.close().await.expect("closed");

    let admin = server.connect().await;
    let tables = "SELECT hypertable_name::text FROM timescaledb_information.hypertables ORDER BY 1";
    let names: Vec<String> =
        admin.query(tables, &[]).await.expect("the catalogue of the extension").iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["attribute_key_bucket", "metric_bucket", "template_bucket"]);
    let longest = "SELECT max(range_end_integer - range_start_integer), count(*) FROM timescaledb_information.chunks";
    let chunks = admin.query_one(longest, &[]).await.expect("the chunks");
    assert_eq!(chunks.get::<_, i64>(0), 86_400_000_000_000);
    let days: std::collections::BTreeSet<i64> = buckets.iter().map(|bucket| bucket.start.day().0).collect();
    assert_eq!(chunks.get::<_, i64>(1), days.len() as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_leaves_with_its_last_row() {
    let server = Timescale::start();
    let bucket = |window, day| MetricBucket { window, start: Timestamp(day * DAY), ..Fixtures::odd(1).record() };
    let store = server.holding(vec![bucket(Window::Hour, 3), bucket(Window::Day, 3), bucket(Window::Hour, 5)]).await;
    let prune = async |window: &str| {
        let conditions = [Condition::Equals("window", window.into())];
        store.prune(MetricBucket::TABLE, Timestamp(4 * DAY), &conditions, 100).await.expect("pruned")
    };
    assert_eq!(prune("hour").await, 1);
    assert_eq!(store.list::<MetricBucket>(&Query::new(10)).await.expect("the buckets").items.len(), 2);
    assert_eq!(prune("day").await, 1);
    store.close().await.expect("closed");

    let starts = "SELECT range_start_integer FROM timescaledb_information.chunks";
    let chunks = server.connect().await.query(starts, &[]).await.expect("the chunks");
    assert_eq!(chunks.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [5 * DAY]);
}
