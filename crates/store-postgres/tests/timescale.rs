//! The store where TimescaleDB is installed: the real extension on a PostgreSQL that is compiled to WebAssembly, since no
//! package of Debian has it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tallybook_conformance::Fixtures;
use tallybook_core::{Ack, Batch, BatchId, MetricBucket, Query, Record as _, Records, SourceId, Store, StoreExt as _};
use tallybook_store_postgres::{PostgresOptions, PostgresStore};
use tokio_postgres::NoTls;

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
    let options = PostgresOptions { max_connections: 1 };
    let store = PostgresStore::open(&server.url(), options).await.expect("the store opens");
    let mut fixtures = Fixtures::odd(3);
    let mut records = Records::default();
    records.catalogue.metric_buckets.extend((0..50).map(|_| fixtures.record::<MetricBucket>()));
    let batch = Batch { id: BatchId { source: SourceId::mint(), seq: 1 }, ack: Ack::Written, records };
    let expected = MetricBucket::TABLE
        .normalise(batch.records.catalogue.metric_buckets.iter().map(MetricBucket::to_row).collect());
    store.commit(Arc::new(batch)).await.expect("committed");
    let found = store.select(MetricBucket::TABLE, &Query::new(1_000).with_sketches()).await.expect("the buckets").rows;
    assert_eq!(found, expected);
    let buckets = store.list::<MetricBucket>(&Query::new(1_000)).await.expect("the buckets").items;
    store.close().await.expect("closed");

    let url = server.url();
    let (admin, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
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
