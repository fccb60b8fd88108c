//! Pings and ticks as other programs find them in the database: the documented views, and a partition for each day of ticks.

mod support;

use std::sync::Arc;

use support::{Database, connect};
use tallybook_core::{
    Ack, Batch, BatchId, DAY, Ping, Records, SourceId, Store as _, Tick, TickFlags, TickStore as _, Timestamp,
};
use tallybook_store_postgres::{PostgresOptions, PostgresStore};
use tokio_postgres::{Client, SimpleQueryMessage};

const SECOND: i64 = 1_000_000_000;
/// 2023-11-14, 00:00 UTC.
const MIDNIGHT: i64 = 1_699_920_000 * SECOND;

/// A store that holds these records, and a connection of another program.
async fn holding(database: &Database, records: Records) -> (PostgresStore, Client) {
    let url = database.url().await.expect("a database");
    let store = PostgresStore::open(&url, PostgresOptions::default()).await.expect("the store opens");
    let id = BatchId { source: SourceId::mint(), seq: 1 };
    store.commit(Arc::new(Batch { id, ack: Ack::Written, records })).await.expect("committed");
    (store, connect(&url).await.expect("a connection"))
}

/// Each row as `psql` shows it, its columns between ` | `.
async fn plain_rows(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| (0..row.len()).map(|at| row.get(at).unwrap_or("null")).collect::<Vec<_>>().join(" | ")).collect()
}

/// A ping that was answered after so many milliseconds, or lost.
fn ping(target: &str, second: i64, milliseconds: Option<u64>) -> Ping {
    Ping {
        target: target.into(),
        time: Timestamp(second * SECOND),
        latency: milliseconds.map(|milliseconds| milliseconds * 1_000_000),
        success: milliseconds.is_some(),
        ttl: milliseconds.map(|_| 57),
        packet_size: Some(56),
        sequence: None,
        jitter: milliseconds.map(|milliseconds| milliseconds * 100_000),
        error: None,
    }
}

fn tick(time: i64, seq: u64, bid: &str, ask: Option<&str>) -> Tick {
    let (bid, ask) = (bid.parse().ok(), ask.and_then(|ask| ask.parse().ok()));
    Tick {
        symbol: "EURUSD".into(),
        time: Timestamp(time),
        seq,
        bid,
        ask,
        volume: None,
        source: "LP1".into(),
        flags: TickFlags::of_sides(bid, ask),
        received: Timestamp(time + 1_500_000),
    }
}

#[tokio::test]
async fn other_programs_read_pings_by_plain_sql() {
    let database = Database::new();
    let pings = vec![ping("a", 60, Some(10)), ping("a", 61, Some(20)), ping("a", 62, None), ping("b", 63, None)];
    let (_store, client) = holding(&database, Records { pings, ..Records::default() }).await;
    for (sql, expected) in [
        (
            "SELECT ts::float8, target, latency_ms::float8, success FROM pings ORDER BY ts",
            vec!["60 | a | 10 | t", "61 | a | 20 | t", "62 | a | null | f", "63 | b | null | f"],
        ),
        (
            "SELECT ts, target, ttl, round(packet_loss, 1), jitter_ms::float8 FROM ping_metadata ORDER BY target",
            vec!["60 | a | 57 | 33.3 | 1.5", "60 | b | null | 100.0 | null"],
        ),
        (
            "SELECT resolution, ts, target, count, lost, min_ms::float8, avg_ms::float8, max_ms::float8,
                variance_ms2::float8 FROM ping_rollups WHERE resolution = 'hour' ORDER BY target",
            vec!["hour | 0 | a | 3 | 1 | 10 | 15 | 20 | 25", "hour | 0 | b | 1 | 1 | null | null | null | null"],
        ),
    ] {
        assert_eq!(plain_rows(&client, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn other_programs_read_ticks_by_plain_sql() {
    let database = Database::new();
    let first = tick(MIDNIGHT + SECOND, 1, "1.08500", Some("1.08515"));
    let one_sided = tick(MIDNIGHT + 2 * SECOND, 2, "1.0851", None);
    let ticks = vec![first, one_sided];
    let (_store, client) = holding(&database, Records { ticks, ..Records::default() }).await;
    let sql = "SELECT symbol, timestamp, bid, ask, spread, lp_source, created_at FROM ticks \
               WHERE symbol = 'EURUSD' ORDER BY timestamp";
    let expected = [
        "EURUSD | 1699920001000 | 1.085 | 1.08515 | 0.00015 | LP1 | 1699920001001",
        "EURUSD | 1699920002000 | 1.0851 | null | null | LP1 | 1699920002001",
    ];
    assert_eq!(plain_rows(&client, sql).await, expected);
}

#[tokio::test]
async fn each_day_of_ticks_is_a_partition_by_the_ticks_own_time() {
    let database = Database::new();
    let first_day = MIDNIGHT / DAY;
    let ticks = [DAY, -1, 0, DAY - 1].map(|after| tick(MIDNIGHT + after, 1, "1", None)).to_vec();
    let (store, client) = holding(&database, Records { ticks, ..Records::default() }).await;
    let partitions = async || {
        let sql = "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid \
                   WHERE i.inhparent = 'tick'::regclass ORDER BY c.relname";
        let mut sizes = Vec::new();
        for name in plain_rows(&client, sql).await {
            let count = plain_rows(&client, &format!("SELECT count(*) FROM {name}")).await.remove(0);
            sizes.push(format!("{name}: {count}"));
        }
        sizes
    };
    let named = |days: &[(i64, u64)]| -> Vec<String> {
        days.iter().map(|(after, count)| format!("tick_{}: {count}", first_day + after)).collect()
    };
    assert_eq!(partitions().await, named(&[(-1, 1), (0, 2), (1, 1)]));
    assert_eq!(store.drop_segment(Timestamp(MIDNIGHT)).await.expect("dropped"), 2);
    assert_eq!(partitions().await, named(&[(-1, 1), (1, 1)]));
}
