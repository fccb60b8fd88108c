//! Summaries of all targets over a million pings, asked of a server over HTTP.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tallybook_benches::server::Server;
use tallybook_benches::table::{median, milliseconds};
use tallybook_core::{Ack, Batch, BatchId, DAY, HOUR, Ping, Records, SourceId, Timestamp};

use crate::open_store;
use crate::report::{Asked, Report};

const PINGS: usize = 1_000_000;
const TARGETS: usize = 50;
const WEEK: i64 = 7 * DAY;
const PINGS_PER_COMMIT: usize = 20_000;
/// Calls of which the middle one counts.
const CALLS: usize = 15;

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = open_store(folder.path(), None).await?;
    let (source, end) = (SourceId::mint(), Timestamp::now());
    let mut pings = week(end);
    let started = Instant::now();
    for seq in 0..PINGS / PINGS_PER_COMMIT {
        let records = Records { pings: pings.by_ref().take(PINGS_PER_COMMIT).collect(), ..Records::default() };
        let id = BatchId { source, seq: seq as u64 };
        store.commit(Arc::new(Batch { id, ack: Ack::Written, records })).await?;
    }
    let rate = PINGS as f64 / started.elapsed().as_secs_f64();
    store.close().await?;
    report.add("pings/s with their sums into SQLite", rate, Asked::Nothing);

    let (server, _) = Server::start(folder.path())?;
    for (name, length, most) in [("an hour", HOUR, 20.0), ("a day", DAY, 40.0), ("a week", WEEK, 80.0)] {
        // Within the second, so that the ranges begin and end with single pings.
        let (from, to) = (Timestamp(end.0 - length), end);
        let path = format!("/api/v1/targets?limit={TARGETS}&from={from}&to={to}");
        let mut took = Vec::new();
        for _ in 0..CALLS {
            let started = Instant::now();
            let (status, body) = server.get(&path)?;
            took.push(milliseconds(started.elapsed()));
            ensure!(status == 200, "{path} answered {status}: {}", String::from_utf8_lossy(&body));
            let answer: serde_json::Value = serde_json::from_slice(&body)?;
            let targets = answer["data"].as_array().context("a list")?;
            let counted = targets.iter().filter(|target| target["summary"]["count"].as_u64() > Some(0)).count();
            ensure!(counted == TARGETS, "{counted} targets with pings");
        }
        let took = median(took).context("no call")?;
        report.add(format!("{name} of all 50 targets, a million pings, ms"), took, Asked::AtMost(most));
    }
    server.stop()
}

/// The week before `end`: each target in turn, some pings lost.
fn week(end: Timestamp) -> impl Iterator<Item = Ping> {
    let names: Vec<Arc<str>> = (0..TARGETS).map(|number| format!("host-{number:02}.example").into()).collect();
    let mut random = SmallRng::seed_from_u64(7);
    (0..PINGS).map(move |number| {
        let latency = random.random_bool(0.99).then(|| random.random_range(800_000..40_000_000));
        Ping {
            target: names[number % TARGETS].clone(),
            time: Timestamp(end.0 - WEEK + number as i64 * (WEEK / PINGS as i64)),
            latency,
            success: latency.is_some(),
            ttl: latency.map(|_| 57),
            packet_size: Some(64),
            sequence: Some((number / TARGETS) as u64),
            jitter: latency.map(|latency| latency / 20),
            error: latency.is_none().then(|| "no answer within 1 s".into()),
        }
    })
}
