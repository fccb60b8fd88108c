//! A list of executions where there are many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tallybook_backends::{Backend, Config, open};
use tallybook_benches::server::Server;
use tallybook_core::{
    Ack, Batch, BatchId, ExecutionEvent, ExecutionEventKind, ExecutionRecords, ExecutionStatus, NewExecution, Records,
    SourceId, Store, Timestamp, Tracker,
};

use crate::{markdown, percentile};

/// Executions of a commit.
const BATCH: u64 = 20_000;
/// Calls that are measured.
const CALLS: usize = 200;
/// The time between two executions, in nanoseconds.
const APART: i64 = 1_000_000_000;

/// The newest 50 of `count`.
pub(crate) fn newest(count: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = Config {
        use_db: Backend::Sqlite,
        data_dir: folder.path().to_owned(),
        database_url: None,
        holder: "a benchmark".to_owned(),
    };
    tokio::runtime::Runtime::new()?.block_on(async {
        let store = open(&config).await?;
        fill(store.as_ref(), count).await?;
        anyhow::Ok(store.close().await?)
    })?;
    let (server, _) = Server::start(folder.path())?;
    let mut calls: Vec<Duration> = Vec::new();
    for _ in 0..CALLS {
        let begun = Instant::now();
        let (status, body) = server.get("/api/v1/executions?limit=50")?;
        calls.push(begun.elapsed());
        let items = serde_json::from_slice::<serde_json::Value>(&body)?["data"].as_array().map_or(0, Vec::len);
        if status != 200 || items != 50 {
            bail!("the list answered {status} with {items} items");
        }
    }
    server.stop()?;
    let ms = |share| Some(format!("{:.1}", percentile(&mut calls.clone(), share)?.as_secs_f64() * 1e3));
    let (p50, p95) = ms(0.5).zip(ms(0.95)).context("no calls")?;
    let mut table = markdown([&format!("newest 50 among {count}"), "measured", "asked"]);
    table.add_row(["p50/p95 ms, over HTTP", &format!("{p50} / {p95}"), "under 5"]);
    println!("{table}\n");
    Ok(())
}

async fn fill(store: &dyn Store, count: u64) -> Result<()> {
    let source = SourceId::mint();
    let begin = Timestamp::now().0 - APART * count as i64;
    for (seq, first) in (1..).zip((0..count).step_by(BATCH as usize)) {
        let mut executions = ExecutionRecords::default();
        for number in first..count.min(first + BATCH) {
            executions.append(execution(number, Timestamp(begin + APART * number as i64))?);
        }
        let records = Records { executions, ..Records::default() };
        store.commit(Arc::new(Batch { id: BatchId { source, seq }, ack: Ack::Written, records })).await?;
    }
    Ok(())
}

fn execution(number: u64, at: Timestamp) -> Result<ExecutionRecords> {
    let id = uuid::Uuid::from_u128(u128::from(number)).hyphenated().to_string();
    let new = NewExecution {
        name: format!("job-{}", number % 100).into(),
        command: vec!["./job".to_owned(), number.to_string()],
        tags: [("branch".to_owned(), "main".to_owned())].into(),
        ..NewExecution::default()
    };
    let (status, exit_code) =
        if number.is_multiple_of(10) { (ExecutionStatus::Failed, 1) } else { (ExecutionStatus::Completed, 0) };
    let event = |number, kind| ExecutionEvent { number, at, kind };
    let mut tracker = Tracker::create(&id, event(1, ExecutionEventKind::Created(new)))?;
    tracker.apply(event(2, ExecutionEventKind::Started))?;
    tracker.apply(event(3, ExecutionEventKind::Finished { status, exit_code: Some(exit_code), error: None }))?;
    Ok(tracker.take())
}
