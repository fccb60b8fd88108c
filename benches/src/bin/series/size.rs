//! Bytes a tick, as it is written and sealed.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result};
use tallybook_core::SourceId;

use crate::feed::{Feed, GAP, SYMBOLS, batch, days_ago};
use crate::open_store;
use crate::report::{Asked, Report};

const TICKS: usize = 500_000;
const TICKS_PER_COMMIT: usize = 10_000;
const LEVEL: i32 = 19;

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let day = days_ago(10);
    let store = open_store(folder.path(), None).await?;
    let (mut feed, source) = (Feed::new(0..SYMBOLS, day, GAP), SourceId::mint());
    for seq in 0..TICKS / TICKS_PER_COMMIT {
        store.commit(batch(source, seq as u64, feed.take_ticks(TICKS_PER_COMMIT))).await?;
    }
    // Without a log, all of it is in the file.
    store.close().await?;
    let date = day.to_string();
    let (year, month, date) = (&date[..4], &date[5..7], &date[..10]);
    let file = folder.path().join(format!("ticks/{year}/{month}/ticks_{date}.db"));
    let database = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
    let per_tick = |bytes: usize| bytes as f64 / TICKS as f64;
    report.add("bytes a tick, hot", per_tick(database.len()), Asked::AtMost(45.0));

    let store = open_store(folder.path(), None).await?;
    let started = Instant::now();
    let sealed = store.seal(day).await?;
    let took = started.elapsed();
    store.close().await?;
    report.add("bytes a tick, sealed", per_tick(sealed.bytes as usize), Asked::AtMost(8.0));
    let packed = zstd::encode_all(database.as_slice(), LEVEL)?;
    report.add("bytes a tick, the SQLite file under zstd -19", per_tick(packed.len()), Asked::Nothing);
    report.add("ticks/s sealed and compared", TICKS as f64 / took.as_secs_f64(), Asked::Nothing);
    Ok(())
}
