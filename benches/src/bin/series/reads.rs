//! Ranges of ticks of one symbol, as they are written and sealed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tallybook_benches::table::{median, milliseconds};
use tallybook_core::{DAY, HOUR, SourceId, Store, TickQuery, TimeRange, Timestamp};
use tallybook_telemetry::{Fold, FoldOptions};
use tallybook_writer::{Writer, WriterOptions};

use crate::feed::{Feed, batch, days_ago};
use crate::open_store;
use crate::report::{Asked, Report};

const DAYS: i64 = 30;
const SYMBOLS: usize = 8;
/// From a tick of a symbol to its next: 17,280 a day, 518,400 a month.
const GAP: i64 = 5_000_000_000;
const TICKS_PER_COMMIT: usize = 50_000;
const RECENT: usize = 100;
/// Calls of which the middle one counts.
const CALLS: usize = 9;

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = open_store(folder.path(), None).await?;
    let start = days_ago(DAYS);
    let (mut feed, source) = (Feed::new(0..SYMBOLS, start, GAP), SourceId::mint());
    let ticks = (DAYS * DAY / GAP) as usize * SYMBOLS;
    for seq in 0..ticks.div_ceil(TICKS_PER_COMMIT) {
        let rest = ticks - seq * TICKS_PER_COMMIT;
        store.commit(batch(source, seq as u64, feed.take_ticks(rest.min(TICKS_PER_COMMIT)))).await?;
    }
    recent(report, &store).await?;
    ranges(report, &*store, start, "").await?;
    for day in 0..DAYS {
        store.seal(Timestamp(start.0 + day * DAY)).await?;
    }
    ranges(report, &*store, start, ", sealed").await?;
    Ok(store.close().await?)
}

/// From the ring of a writer, as `/ticks/recent` asks it.
async fn recent(report: &mut Report, store: &Arc<dyn Store>) -> Result<()> {
    let writer = Writer::start(store.clone(), Fold::new(FoldOptions::default()), WriterOptions::default());
    let mut feed = Feed::new(0..1, Timestamp::now(), GAP);
    let symbol = "PAIR000";
    writer.ticks(feed.take_ticks(10 * RECENT)).await?;
    let mut took = Vec::new();
    for _ in 0..1_000 {
        let started = Instant::now();
        let ticks = std::hint::black_box(writer.recent(symbol, RECENT));
        took.push(started.elapsed().as_secs_f64() * 1e6);
        ensure!(ticks.len() == RECENT, "{} recent ticks", ticks.len());
    }
    writer.stop(Duration::from_secs(10)).await;
    report.add("recent 100 from memory, µs", median(took).context("no call")?, Asked::AtMost(100.0));
    let newest = |limit| TickQuery { limit, newest_first: true, ..query(Timestamp(0), i64::MAX) };
    let from_disk = timed(&**store, &newest(RECENT), RECENT).await?;
    report.add("recent 100 from SQLite, µs", from_disk * 1e3, Asked::Nothing);
    Ok(())
}

async fn ranges(report: &mut Report, store: &dyn Store, start: Timestamp, form: &str) -> Result<()> {
    let middle = Timestamp(start.0 + DAYS / 2 * DAY);
    for (name, from, length, most) in
        [("an hour", middle, HOUR, 5.0), ("a day", middle, DAY, 50.0), ("a month", start, DAYS * DAY, 200.0)]
    {
        let count = (length / GAP) as usize;
        let took = timed(store, &query(from, length), count).await?;
        report.add(format!("{name} of one symbol ({count} ticks){form}, ms"), took, Asked::AtMost(most));
    }
    Ok(())
}

fn query(from: Timestamp, length: i64) -> TickQuery {
    let range = TimeRange { from, to: Timestamp(from.0.saturating_add(length)) };
    TickQuery { symbol: "PAIR000".into(), range, after: None, newest_first: false, limit: usize::MAX }
}

/// The middle one of some calls, in milliseconds.
async fn timed(store: &dyn Store, query: &TickQuery, count: usize) -> Result<f64> {
    let mut took = Vec::new();
    for _ in 0..CALLS {
        let started = Instant::now();
        let ticks = store.ticks(query).await?;
        took.push(milliseconds(started.elapsed()));
        ensure!(ticks.len() == count, "{} ticks instead of {count}", ticks.len());
    }
    median(took).context("no call")
}
