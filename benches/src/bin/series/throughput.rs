//! Ticks a second through the writer, beside what rusqlite does by itself with the same table and batch.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rusqlite::{Connection, TransactionBehavior};
use tallybook_core::{Decimal, Tick};
use tallybook_telemetry::{Fold, FoldOptions};
use tallybook_writer::{Writer, WriterOptions};
use tokio::task::JoinSet;

use crate::feed::{Feed, GAP, SYMBOLS, days_ago};
use crate::open_store;
use crate::report::{Asked, Report};

/// Clients that each send the ticks of their own symbols.
const CLIENTS: usize = 8;
const TICKS_PER_REQUEST: usize = 12_500;
/// What one commit of the writer has at the most.
const TICKS_PER_COMMIT: usize = 50_000;
/// Each way is measured so many times, in turn.
const ROUNDS: u32 = 2;

/// Alternately by itself and through the writer.
pub(crate) async fn sqlite(report: &mut Report, ticks: u64) -> Result<()> {
    let ticks = ticks / u64::from(ROUNDS);
    let (mut in_order, mut by_symbol, mut ours) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for _ in 0..ROUNDS {
        let [folder, other, third] = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
        in_order += bare(folder.path(), ticks, false)?;
        ours += through_the_writer(other.path(), None, ticks).await?;
        by_symbol += bare(third.path(), ticks, true)?;
    }
    let rate = |time: Duration| (ticks * u64::from(ROUNDS)) as f64 / time.as_secs_f64();
    report.add("ticks/s through the writer into SQLite", rate(ours), Asked::AtLeast(500_000.0));
    report.add("ticks/s of rusqlite alone, as they come", rate(in_order), Asked::Nothing);
    report.add("ticks/s of rusqlite alone, each batch sorted by symbol", rate(by_symbol), Asked::Nothing);
    report.add("writer / rusqlite alone, as they come", rate(ours) / rate(in_order), Asked::AtLeast(0.8));
    report.add("writer / rusqlite alone, sorted", rate(ours) / rate(by_symbol), Asked::Nothing);
    Ok(())
}

pub(crate) async fn postgres(report: &mut Report, url: &str, ticks: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let took = through_the_writer(folder.path(), Some(url), ticks).await?;
    let rate = ticks as f64 / took.as_secs_f64();
    report.add("ticks/s through the writer into PostgreSQL", rate, Asked::AtLeast(150_000.0));
    Ok(())
}

/// Until every tick is acknowledged as committed.
async fn through_the_writer(folder: &Path, database_url: Option<&str>, ticks: u64) -> Result<Duration> {
    let store = open_store(folder, database_url).await?;
    let writer = Writer::start(store.clone(), Fold::new(FoldOptions::default()), WriterOptions::default());
    let requests = ticks as usize / CLIENTS / TICKS_PER_REQUEST;
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let writer = writer.clone();
        let each = SYMBOLS / CLIENTS;
        let mut feed = Feed::new(client * each..(client + 1) * each, days_ago(2), GAP);
        clients.spawn(async move {
            for _ in 0..requests {
                let accepted = writer.ticks(feed.take_ticks(TICKS_PER_REQUEST)).await?;
                ensure!(accepted.counts.stored == TICKS_PER_REQUEST as u64, "not all were stored: {accepted:?}");
            }
            Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let took = started.elapsed();
    writer.stop(Duration::from_secs(10)).await;
    store.close().await?;
    // What did not fill a last request was not sent.
    Ok(took.mul_f64(ticks as f64 / (requests * CLIENTS * TICKS_PER_REQUEST) as f64))
}

/// The columns of a row of `tick`.
type Row = (i64, i64, i64, i64, i64, i64, i64, i64);

/// The time that rusqlite needs for rows that were made ready before.
fn bare(folder: &Path, ticks: u64, sorted: bool) -> Result<Duration> {
    let mut connection = Connection::open(folder.join("bare.db"))?;
    connection.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8192;
         PRAGMA wal_autocheckpoint = 16384;",
    )?;
    connection.execute_batch(include_str!("../../../../migrations/sqlite-ticks/V1__ticks.sql"))?;
    let mut feed = Feed::new(0..SYMBOLS, days_ago(2), GAP);
    let mut took = Duration::ZERO;
    for _ in 0..ticks as usize / TICKS_PER_COMMIT {
        let mut rows: Vec<Row> = feed.by_ref().take(TICKS_PER_COMMIT).map(|tick| row(&tick)).collect();
        if sorted {
            rows.sort_unstable();
        }
        let started = Instant::now();
        insert(&mut connection, &rows)?;
        took += started.elapsed();
    }
    Ok(took)
}

fn row(tick: &Tick) -> Row {
    let symbol = tick.symbol.trim_start_matches("PAIR").parse().unwrap_or_default();
    let [bid, ask] = [tick.bid, tick.ask].map(|price| price.map_or(0, Decimal::mantissa));
    let time = tick.time.0 - tick.time.day().0;
    (symbol, time, tick.seq.cast_signed(), 1, bid, ask - bid, 0, tick.received.0 - tick.time.0)
}

fn insert(connection: &mut Connection, rows: &[Row]) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut statement = transaction.prepare_cached(
            "INSERT INTO tick (symbol, ts, seq, form, bid, ask, volume, received) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?;
        for row in rows {
            statement.execute(*row)?;
        }
    }
    transaction.commit()?;
    Ok(())
}
