//! Several servers on one PostgreSQL, and a PostgreSQL that goes away.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tallybook_tests::load::{Load, Tally};
use tallybook_tests::otlp::{gauge, log, logs, metrics, text};
use tallybook_tests::postgres::{Cluster, Database};
use tallybook_tests::server::{Client, Server};
use tallybook_tests::setup::Setup;

/// Servers that write to one database.
const SERVERS: u64 = 4;
/// How long they are under load.
const UNDER_LOAD: Duration = Duration::from_secs(60);
/// Each server is stopped and started again after this long, one after another.
const LIFE: Duration = Duration::from_secs(12);
/// Records in a request.
const BATCH: u64 = 20;
/// Values of a key that is counted exactly.
const SHARDS: u64 = 100;
/// How long PostgreSQL is away.
const OUTAGE: Duration = Duration::from_secs(30);

fn on(url: &str) -> Result<Setup> {
    Ok(Setup::new()?.with("USE_DB", "postgres").with("DATABASE_URL", url))
}

/// Logs and metrics of one server; what differs between servers are values only.
fn load(server: &Server, number: u64) -> [Load; 2] {
    let users = ["ada", "grace", "linus", "ken"];
    let body = move |request: u64, at| {
        let user = users[((number + request + at) % SERVERS) as usize];
        log(format!("user {user} paid order {request} with card {at}"))
    };
    let labels = move |request: u64| {
        let point = move |at| {
            let unique = format!("{number}-{request}-{at}");
            vec![text("shard", format!("shard-{}", (request * BATCH + at) % SHARDS)), text("request", unique)]
        };
        (0..BATCH).map(point).collect()
    };
    let pause = Duration::from_millis(5);
    [
        Load::start(server, 2, pause, move |request| {
            (logs("shop", (0..BATCH).map(|at| body(request, at)).collect()), BATCH)
        }),
        Load::start(server, 2, pause, move |request| {
            (metrics("shop", vec![gauge("queue.length", labels(request))]), BATCH)
        }),
    ]
}

/// One server that is stopped and started again while the others go on: what was acknowledged of logs and metrics.
async fn live(setup: Setup, number: u64, until: Instant) -> Result<[Tally; 2]> {
    let mut total = [Tally::default(), Tally::default()];
    let mut lives = 0;
    // The servers take turns at being away.
    let mut life = LIFE / 4 * (number as u32 + 1);
    while Instant::now() < until {
        let server = setup.start().await?;
        let loads = load(&server, number + SERVERS * lives);
        let end = (Instant::now() + life).min(until);
        tokio::time::sleep_until(end.into()).await;
        for (sum, load) in total.iter_mut().zip(loads) {
            *sum += load.stop().await?;
        }
        server.stop().await?;
        lives += 1;
        life = LIFE;
    }
    Ok(total)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_servers_and_their_restarts_keep_every_total_exact() -> Result<()> {
    let database = Database::new()?;
    let until = Instant::now() + UNDER_LOAD;
    let mut servers = tokio::task::JoinSet::new();
    for number in 0..SERVERS {
        servers.spawn(live(on(&database.url())?, number, until));
    }
    let [mut log_tally, mut metric_tally] = [Tally::default(), Tally::default()];
    while let Some(tallies) = servers.join_next().await {
        let [log, metric] = tallies??;
        log_tally += log;
        metric_tally += metric;
    }
    for tally in [&log_tally, &metric_tally] {
        assert!(tally.refusals.is_empty() && tally.unclear == 0, "{tally:?}");
        assert!(tally.acknowledged > 1_000, "{tally:?}");
    }

    let setup = on(&database.url())?;
    let server = setup.start().await?;
    let service = &server.list("services").await?[0];
    assert_eq!(service["log_records"], log_tally.acknowledged);
    assert_eq!(service["metric_points"], metric_tally.acknowledged);
    let metric = &server.list("metrics").await?[0];
    assert_eq!(metric["sample_count"], metric_tally.acknowledged);
    assert_eq!(metric["label_keys"]["shard"]["estimated_cardinality"], SHARDS);
    let estimate = metric["label_keys"]["request"]["estimated_cardinality"].as_f64().context("an estimate")?;
    let error = estimate / metric_tally.acknowledged as f64 - 1.0;
    assert!(error.abs() < 3.0 * 0.023, "{estimate} of {}", metric_tally.acknowledged);
    let templates = server.list("logs/templates").await?;
    assert_eq!(templates.len(), 1, "{templates:?}");
    assert_eq!(templates[0]["count"], log_tally.acknowledged);
    server.stop().await?;

    // The documented tables, as somebody with psql sees them.
    let seen = database.ask("SELECT service_id, template, count, round(percentage) FROM body_templates")?;
    assert_eq!(seen, [format!("shop|user <*> paid order <*> with card <*>|{}|100", log_tally.acknowledged)]);
    let seen = database.ask("SELECT name, type, label_keys, resource_keys FROM metrics_metadata")?;
    assert_eq!(seen, [r#"queue.length|gauge|["request", "shard"]|["host.name", "service.name"]"#]);
    Ok(())
}

/// Requests that each bring many new names, so that the queue fills while nothing leaves it.
fn wide_load(client: &Client) -> Load {
    Load::start(client, 32, Duration::from_millis(5), |request| {
        let names = (0..500).map(|at| gauge(format!("metric.{request}.{at}"), vec![vec![text("region", "eu")]]));
        (metrics("shop", names.collect()), 500)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_postgresql_loses_nothing_that_was_acknowledged() -> Result<()> {
    let cluster = Cluster::start()?;
    let setup = on(&cluster.url())?.with("QUEUE_MAX_WAIT", "500ms").with("MAX_METRICS_PER_SERVICE", "1000000");
    let server = setup.start().await?;
    let load = wide_load(&server);
    load.wait_for(2_000, Duration::from_secs(30)).await?;
    cluster.stop()?;
    let away = Instant::now();

    let mut said = String::new();
    while away.elapsed() < OUTAGE {
        let answer = server.get("/api/v1/ready").await?;
        if answer.status == 503 {
            said = answer.text();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(said.contains("PostgreSQL"), "ready does not say what is wrong: {said}");

    cluster.resume()?;
    load.wait_for(2_000, Duration::from_secs(60)).await?;
    let tally = load.stop().await?;
    assert!(tally.refusals.is_empty(), "{:?}", tally.refusals);
    assert!(tally.put_off > 0, "nobody was told to retry: {tally:?}");
    assert_eq!(server.get("/api/v1/ready").await?.status, 200);
    let known = server.list("services").await?[0]["metric_points"].as_u64().context("a count")?;
    assert!(known >= tally.acknowledged && known <= tally.acknowledged + tally.unclear, "{known} known, {tally:?}");
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_used_is_one_sentence_at_the_start() -> Result<()> {
    let refusal = on("postgres://tally:hunter2@127.0.0.1:1/none")?.start_refused().await?;
    refusal.says(&["PostgreSQL at 127.0.0.1:1 cannot be reached", "DATABASE_URL"])?;
    assert!(!refusal.said.contains("hunter2"));
    Setup::new()?.with("USE_DB", "postgres").start_refused().await?.says(&["needs DATABASE_URL"])
}
