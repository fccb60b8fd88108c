//! `cargo xtask bench mirror`: how fast a backlog of ticks is followed, and what following costs the primary.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use tallybook_backends::{Backend, Config, Place, open};
use tallybook_core::{Ack, Batch, BatchId, Decimal, Follower, Records, SourceId, Store, Tick, Timestamp};
use tallybook_mirror::{Mirror, MirrorOptions, Opener, move_all};

/// Fills a SQLite store with ticks, follows them into the mirror, and prints tables in Markdown.
#[derive(Parser)]
struct Options {
    /// Ticks in the backlog
    #[arg(long, default_value_t = 10_000_000)]
    ticks: u64,
    /// Ticks that are stored with and without a mirror, in turns
    #[arg(long, default_value_t = 2_000_000)]
    ingest: u64,
    /// How often they are stored with and without
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// The mirror; what is there is removed
    #[arg(long, env = "MIRROR_URL", hide_env_values = true)]
    mirror_url: Place,
}

/// Ticks of a commit.
const BATCH: u64 = 5_000;
const SYMBOLS: u64 = 8;
/// Nanoseconds between two ticks: ten million of them are about five hours.
const STEP: i64 = 2_000_000;

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let follower = options.mirror_url.open_follower("a benchmark").await?;
    println!("Into {}:\n", follower.describe());
    backlog(&options, &*follower).await?;
    ingest(&options, &follower).await
}

async fn backlog(options: &Options, follower: &dyn Follower) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = sqlite(folder.path()).await?;
    let mut feed = Feed::new();
    let stored = feed.store(&*store, options.ticks).await?;
    follower.clear(store.info().id).await?;
    let begun = Instant::now();
    let moved = move_all(&*store, follower, |_, error| {
        if let Some(error) = error {
            eprintln!("{error}");
        }
    });
    let moved = moved.await?;
    let took = begun.elapsed();
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(["backlog", "stored rows/s", "followed in s", "followed rows/s"]);
    table.add_row([
        options.ticks.to_string(),
        rate(options.ticks, stored),
        format!("{:.1}", took.as_secs_f64()),
        rate(moved.records(), took),
    ]);
    println!("{table}\n");
    store.close().await.context("closing the store")
}

/// The same ticks into fresh stores, in turns without and with a mirror that follows.
async fn ingest(options: &Options, follower: &Arc<dyn Follower>) -> Result<()> {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header([
        "round",
        "alone rows/s",
        "followed rows/s",
        "cost %",
        "behind at the end",
    ]);
    for round in 1..=options.rounds {
        let alone = {
            let folder = tempfile::tempdir()?;
            let store = sqlite(folder.path()).await?;
            let took = Feed::new().store(&*store, options.ingest).await?;
            store.close().await?;
            took
        };
        let folder = tempfile::tempdir()?;
        let store = sqlite(folder.path()).await?;
        follower.clear(store.info().id).await?;
        let opened = follower.clone();
        let open: Opener = Arc::new(move || {
            let opened = opened.clone();
            Box::pin(async move { Ok(opened) })
        });
        let wakes = tokio::sync::watch::Sender::new(0);
        let mirror =
            Mirror::start(store.clone(), "the mirror", open, wakes.subscribe(), MirrorOptions::default()).await?;
        let mut feed = Feed { wakes: Some(wakes), ..Feed::new() };
        let followed = feed.store(&*store, options.ingest).await?;
        let behind = options.ingest.saturating_sub(mirror.status().progress.ticks);
        mirror.stop(Duration::from_secs(120)).await;
        store.close().await?;
        let cost = 100.0 * (1.0 - alone.as_secs_f64() / followed.as_secs_f64());
        table.add_row([
            round.to_string(),
            rate(options.ingest, alone),
            rate(options.ingest, followed),
            format!("{cost:.1}"),
            behind.to_string(),
        ]);
    }
    println!("{table}");
    Ok(())
}

async fn sqlite(folder: &std::path::Path) -> Result<Arc<dyn Store>> {
    let config = Config {
        use_db: Backend::Sqlite,
        data_dir: folder.to_owned(),
        database_url: None,
        holder: "a benchmark".to_owned(),
    };
    Ok(open(&config).await?)
}

fn rate(rows: u64, took: Duration) -> String {
    ((rows as f64 / took.as_secs_f64()) as u64).to_string()
}

/// Ticks of several symbols, one after the other.
struct Feed {
    id: BatchId,
    next: u64,
    wakes: Option<tokio::sync::watch::Sender<u64>>,
}

impl Feed {
    fn new() -> Self {
        Self { id: BatchId { source: SourceId::mint(), seq: 0 }, next: 0, wakes: None }
    }

    /// Stores so many and says how long that took.
    async fn store(&mut self, store: &dyn Store, ticks: u64) -> Result<Duration> {
        let begun = Instant::now();
        let end = self.next + ticks;
        while self.next < end {
            self.id.seq += 1;
            let last = end.min(self.next + BATCH);
            let ticks = (self.next..last).map(tick).collect::<Result<Vec<_>>>()?;
            self.next = last;
            let records = Records { ticks, ..Records::default() };
            store.commit(Arc::new(Batch { id: self.id, ack: Ack::Written, records })).await?;
            if let Some(wakes) = &self.wakes {
                wakes.send_modify(|commits| *commits += 1);
            }
        }
        Ok(begun.elapsed())
    }
}

fn tick(number: u64) -> Result<Tick> {
    // A day in November 2023, from midnight on.
    let time = Timestamp(1_700_006_400_000_000_000 + STEP * i64::try_from(number)?);
    let bid = 108_500 + i64::try_from(number * 7 % 97)?;
    let (bid, ask) = (Decimal::new(bid, 5)?, Decimal::new(bid + 12, 5)?);
    let quote = Tick::new(format!("SYMBOL{}", number % SYMBOLS), time, Some(bid), Some(ask)).numbered(0);
    Ok(Tick { source: "feed".into(), received: Timestamp(time.0 + 150_000), ..quote })
}
