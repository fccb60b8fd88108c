//! Readers and writers at the same time. First in the alphabet, hence first to run: the other tests run beside it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tallybook_tests::load::{Load, Tally};
use tallybook_tests::otlp::{gauge, log, logs, metrics, span, text, traces};
use tallybook_tests::server::Client;
use tallybook_tests::setup::Setup;
use tokio::task::JoinSet;

/// How long both go on.
const TIME: Duration = Duration::from_secs(60);
/// Readers at the same time.
const READERS: usize = 2;
/// The pause after each request, which leaves processor time to the tests beside this one.
const PAUSE: Duration = Duration::from_millis(40);
/// Records in a request.
const BATCH: u64 = 50;

/// What the readers ask for, again and again.
const READS: [&str; 16] = [
    "services",
    "services/checkout/overview",
    "metrics?sort=active_series&order=desc",
    "metrics/queue/length",
    "spans?service=checkout",
    "spans/GET%20/items/1",
    "span-patterns",
    "logs",
    "logs/INFO",
    "logs/templates?service=checkout",
    "attributes?sort=cardinality&order=desc",
    "attributes/user.id",
    "cardinality/high",
    "cardinality/complexity",
    "growth",
    "health",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_of_reads_and_writes_has_no_error_and_adds_up() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    // What is asked for by name must be there before the first reader asks.
    server.send(&logs("checkout", vec![log("user 1 logged in")])).await?;
    server.send(&traces("checkout", vec![span("GET /items/1")])).await?;
    server.send(&metrics("checkout", vec![gauge("queue/length", vec![vec![text("user.id", "user_1")]])])).await?;

    let writers = [
        Load::start(&server, 2, PAUSE, |number| {
            let record = |at| log(format!("user {} paid order {} in {at} ms", at % 7, number * BATCH + at));
            (logs("checkout", (0..BATCH).map(record).collect()), BATCH)
        }),
        Load::start(&server, 2, PAUSE, |number| {
            let spans = (0..BATCH).map(|at| span(format!("GET /items/{}", (number * BATCH + at) % 500))).collect();
            (traces("checkout", spans), BATCH)
        }),
        Load::start(&server, 2, PAUSE, |number| {
            let labels = |at| vec![text("user.id", format!("user_{}", (number * BATCH + at) % 5_000))];
            let metric = gauge("queue/length", (0..BATCH).map(labels).collect());
            (metrics("checkout", vec![metric]), BATCH)
        }),
    ];
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        readers.spawn(read(server.client(), reader));
    }
    for reads in readers.join_all().await {
        ensure!(reads? > READS.len(), "a reader hardly read anything");
    }

    let mut acknowledged = Vec::new();
    for writer in writers {
        let Tally { acknowledged: records, unclear, put_off, refusals } = writer.stop().await?;
        assert_eq!((unclear, put_off, refusals), (0, 0, Vec::new()));
        acknowledged.push(records + 1);
    }
    let accounting = server.accounting().await?;
    assert_eq!(accounting.merged, acknowledged.iter().sum::<u64>());
    assert_eq!(accounting.queued, 0);
    let services = server.list("services").await?;
    let numbers = ["log_records", "spans", "metric_points"].map(|name| services[0][name].as_u64().unwrap_or_default());
    assert_eq!(numbers.as_slice(), acknowledged);
    server.stop().await
}

/// Reads until the time is over; gives the number of answers.
async fn read(client: Client, reader: usize) -> Result<usize> {
    let begun = Instant::now();
    let mut answers = 0;
    while begun.elapsed() < TIME {
        let path = READS[(reader + answers) % READS.len()];
        client.api(path).await?;
        client.accounting().await?;
        answers += 1;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(answers)
}
