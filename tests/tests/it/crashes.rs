//! What a server that ends, or is ended, still knows when it starts again.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tallybook_tests::PATIENCE;
use tallybook_tests::load::{Load, Tally};
use tallybook_tests::otlp::{Signal, gauge, log, logs, metrics, span, text, traces};
use tallybook_tests::server::Client;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::check_integrity;

/// Records in a request.
const BATCH: u64 = 20;
/// Clients of each kind of telemetry.
const CLIENTS: usize = 2;
/// Records of each kind that are acknowledged before the server ends.
const RECORDS: u64 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_keeps_what_was_acknowledged() -> Result<()> {
    let setup = Setup::new()?;
    ends_well_under_load(&setup).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_writes_what_was_acknowledged_as_queued() -> Result<()> {
    let setup = Setup::new()?.with("TELEMETRY_ACK", "queued");
    ends_well_under_load(&setup).await
}

async fn ends_well_under_load(setup: &Setup) -> Result<()> {
    let server = setup.start().await?;
    let loads = Loads::start(&server);
    loads.wait().await?;
    server.stop().await?;
    let tallies = loads.stop().await?;
    // Until the end, whoever is refused is told that it is for now.
    assert!(tallies.0.iter().all(|tally| tally.refusals.is_empty()), "{:?}", tallies.0);
    check_integrity(&setup.database())?;

    let server = setup.start().await?;
    for (signal, tally, known) in tallies.compared(&server).await? {
        assert!(known >= tally.acknowledged, "{signal:?}: {known} known, {tally:?}");
        assert!(known <= tally.acknowledged + tally.unclear, "{signal:?}: {known} known, {tally:?}");
    }
    assert_eq!(server.accounting().await?.queued, 0);
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_under_load_keeps_what_was_acknowledged() -> Result<()> {
    let setup = Setup::new()?;
    let mut total = Tallies::default();
    for _ in 0..3 {
        let server = setup.start().await?;
        let loads = Loads::start(&server);
        loads.wait().await?;
        server.kill().await?;
        total.add(loads.stop().await?);
        check_integrity(&setup.database())?;
    }
    let server = setup.start().await?;
    for (signal, tally, known) in total.compared(&server).await? {
        assert!(known >= tally.acknowledged, "{signal:?}: {known} known, {tally:?}");
        assert!(known <= tally.acknowledged + tally.unclear, "{signal:?}: {known} known, {tally:?}");
    }
    server.stop().await?;
    check_integrity(&setup.database())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_continues() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    send_everything(&server).await?;
    let before = Known::of(&server).await?;
    assert!(before.counts.iter().all(|count| *count > 0), "{before:?}");
    server.kill().await?;

    let server = setup.start().await?;
    assert_eq!(Known::of(&server).await?, before, "a restart forgot or invented something");
    send_everything(&server).await?;
    let after = Known::of(&server).await?;
    assert_eq!(after.identities, before.identities, "what was known was counted as new");
    assert_eq!(after.counts, before.counts.iter().map(|count| count * 2).collect::<Vec<_>>());
    server.stop().await
}

/// The same every time: templates of several shapes, keys with few and with many values.
async fn send_everything(client: &Client) -> Result<()> {
    let bodies = |at: usize| match at % 3 {
        0 => format!("user {at} logged in from 10.0.0.{at}"),
        1 => format!("cache miss for key session:{at:08x}, loading from disk"),
        _ => format!("job {} done in {at} ms", ["import", "export", "cleanup"][at / 3 % 3]),
    };
    client.send(&logs("checkout", (0..200).map(|at| log(bodies(at))).collect())).await?;
    client.send(&traces("checkout", (0..100).map(|at| span(format!("GET /items/{at}"))).collect())).await?;
    let labels = |at| vec![text("user.id", format!("user_{at}")), text("region", format!("region-{}", at % 3))];
    client.send(&metrics("checkout", vec![gauge("queue.length", (0..1_000).map(labels).collect())])).await
}

/// What a server knows, without times.
#[derive(Debug, PartialEq)]
struct Known {
    /// Names, keys and templates, and how many distinct values they have.
    identities: Vec<String>,
    /// How often each was seen.
    counts: Vec<u64>,
}

impl Known {
    async fn of(client: &Client) -> Result<Self> {
        let lists = [
            ("services", "name", "log_records", "name"),
            ("metrics", "name", "sample_count", "active_series_otlp"),
            ("spans", "name", "sample_count", "pattern"),
            ("span-patterns", "pattern", "sample_count", "name_count"),
            ("logs", "severity", "sample_count", "severity"),
            ("logs/templates?sort=service", "template", "count", "severity"),
            ("attributes", "key", "count", "estimated_cardinality"),
        ];
        let mut known = Self { identities: Vec::new(), counts: Vec::new() };
        for (list, name, count, extent) in lists {
            for item in client.list(list).await? {
                known.identities.push(format!("{list} {} {}", item[name], item[extent]));
                known.counts.push(item[count].as_u64().unwrap_or_default());
            }
        }
        Ok(known)
    }
}

/// Clients that send logs, metrics and spans.
struct Loads([(Signal, Load); 3]);

/// What became of what they sent.
#[derive(Default)]
struct Tallies([Tally; 3]);

impl Loads {
    fn start(client: &Client) -> Self {
        let log_load = Load::start(client, CLIENTS, Duration::ZERO, |number| {
            let bodies = (0..BATCH).map(|at| format!("user {at} paid order {number}"));
            (logs("checkout", bodies.map(log).collect()), BATCH)
        });
        let metric_load = Load::start(client, CLIENTS, Duration::ZERO, |number| {
            let labels = |at| vec![text("user.id", format!("user_{at}_{number}"))];
            (metrics("checkout", vec![gauge("queue.length", (0..BATCH).map(labels).collect())]), BATCH)
        });
        let span_load = Load::start(client, CLIENTS, Duration::ZERO, |number| {
            let names = (0..BATCH).map(|at| format!("GET /items/{at}/{number}"));
            (traces("checkout", names.map(span).collect()), BATCH)
        });
        Self([(Signal::Logs, log_load), (Signal::Metrics, metric_load), (Signal::Traces, span_load)])
    }

    async fn wait(&self) -> Result<()> {
        for (_, load) in &self.0 {
            load.wait_for(RECORDS, PATIENCE).await?;
        }
        Ok(())
    }

    async fn stop(self) -> Result<Tallies> {
        let [(_, logs), (_, metrics), (_, spans)] = self.0;
        Ok(Tallies([logs.stop().await?, metrics.stop().await?, spans.stop().await?]))
    }
}

impl Tallies {
    fn add(&mut self, other: Self) {
        for (sum, tally) in self.0.iter_mut().zip(other.0) {
            *sum += tally;
        }
    }

    /// Each tally beside what the server knows.
    async fn compared(self, client: &Client) -> Result<Vec<(Signal, Tally, u64)>> {
        let services = client.list("services").await?;
        assert_eq!(services.len(), 1, "{services:?}");
        let known = |name: &str| services[0][name].as_u64().unwrap_or_default();
        let known = ["log_records", "metric_points", "spans"].map(known);
        // Every other count of the same records says the same.
        let sum = |items: Vec<Value>, count: &str| items.iter().filter_map(|item| item[count].as_u64()).sum::<u64>();
        assert_eq!(sum(client.list("logs/templates").await?, "count"), known[0]);
        assert_eq!(sum(client.list("metrics").await?, "sample_count"), known[1]);
        assert_eq!(sum(client.list("spans").await?, "sample_count"), known[2]);
        Ok(Signal::ALL
            .into_iter()
            .zip(self.0)
            .zip(known)
            .map(|((signal, tally), known)| (signal, tally, known))
            .collect())
    }
}
