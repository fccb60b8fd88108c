//! What a producer waits for `offer` while the writer commits.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tallybook_core::Timestamp;
use tallybook_telemetry::{Fold, FoldOptions};
use tallybook_writer::{Writer, WriterOptions};

use crate::feed::{Feed, GAP, SYMBOLS};
use crate::open_store;
use crate::report::{Asked, Report};

const THREADS: usize = 4;
const TICKS_PER_THREAD: usize = 200_000;
/// Ticks that come together, and the pause after them: 4 threads offer some 250,000 a second.
const BURST: usize = 100;
const PAUSE: Duration = Duration::from_micros(1_500);

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = open_store(folder.path(), None).await?;
    let writer = Writer::start(store.clone(), Fold::new(FoldOptions::default()), WriterOptions::default());
    let started = Instant::now();
    let producers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let writer = writer.clone();
            thread::spawn(move || offers(&writer, thread))
        })
        .collect();
    let mut took = Vec::new();
    for producer in producers {
        took.extend(producer.join().ok().context("a producer does not panic")??);
    }
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    let stopped = writer.stop(Duration::from_secs(10)).await;
    anyhow::ensure!(stopped.drained, "not everything was written: {stopped:?}");
    store.close().await?;
    took.sort_unstable();
    let at = |share: f64| took[(took.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    report.add("ticks/s offered by 4 threads", rate, Asked::Nothing);
    report.add("offer p50, µs", at(0.5), Asked::AtMost(1.0));
    report.add("offer p99, µs", at(0.99), Asked::AtMost(5.0));
    report.add("offer p99.9, µs", at(0.999), Asked::Nothing);
    Ok(())
}

/// How long each call took.
fn offers(writer: &Writer, thread: usize) -> Result<Vec<Duration>> {
    let each = SYMBOLS / THREADS;
    let mut feed = Feed::new(thread * each..(thread + 1) * each, Timestamp::now(), GAP);
    let mut took = Vec::with_capacity(TICKS_PER_THREAD);
    while took.len() < TICKS_PER_THREAD {
        for tick in feed.take_ticks(BURST) {
            let started = Instant::now();
            writer.offer(tick)?;
            took.push(started.elapsed());
        }
        thread::sleep(PAUSE);
    }
    Ok(took)
}
