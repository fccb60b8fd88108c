//! Several servers on one PostgreSQL, and a PostgreSQL that goes away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tallybook_testing::Postgres;
use tallybook_tests::PATIENCE;
use tallybook_tests::jobs::{Jobs, until};
use tallybook_tests::load::{Load, Tally};
use tallybook_tests::otlp::{gauge, log, logs, metrics, text};
use tallybook_tests::postgres::{Database, psql};
use tallybook_tests::server::{Client, Server};
use tallybook_tests::setup::Setup;

use crate::families::{self, Families, Kind, Sent};

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
/// Pings or ticks in a request, where it is to fill a queue.
const FAMILY_BATCH: u64 = 20_000;
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

/// What was acknowledged of logs, of metrics, and of the other families.
type Lived = ([Tally; 2], BTreeMap<Kind, Sent>);

/// One server that is stopped and started again while the others go on.
async fn live(setup: Setup, number: u64, until: Instant) -> Result<Lived> {
    let (mut total, mut others) = Lived::default();
    let mut lives = 0;
    // The servers take turns at being away.
    let mut life = LIFE / 4 * (number as u32 + 1);
    while Instant::now() < until {
        let server = setup.start().await?;
        let life_number = number + SERVERS * lives;
        let loads = load(&server, life_number);
        let families = Families::start(&server, life_number << 16, 1, BATCH);
        let end = (Instant::now() + life).min(until);
        tokio::time::sleep_until(end.into()).await;
        for (sum, load) in total.iter_mut().zip(loads) {
            *sum += load.stop().await?;
        }
        for (kind, sent) in families.stop().await? {
            others.entry(kind).or_insert_with(Sent::default).append(sent);
        }
        server.stop().await?;
        lives += 1;
        life = LIFE;
    }
    Ok((total, others))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_servers_and_their_restarts_keep_every_total_exact() -> Result<()> {
    let database = Database::new()?;
    let until = Instant::now() + UNDER_LOAD;
    let mut servers = tokio::task::JoinSet::new();
    for number in 0..SERVERS {
        servers.spawn(live(on(&database.url())?, number, until));
    }
    let ([mut log_tally, mut metric_tally], mut others) = Lived::default();
    while let Some(tallies) = servers.join_next().await {
        let ([log, metric], families) = tallies??;
        log_tally += log;
        metric_tally += metric;
        for (kind, sent) in families {
            others.entry(kind).or_insert_with(Sent::default).append(sent);
        }
    }
    for (kind, sent) in &others {
        assert!(sent.refusals.is_empty() && sent.unclear.is_empty(), "{kind:?}: {sent:?}");
        assert!(sent.acknowledged.len() > 100, "{kind:?}: {}", sent.acknowledged.len());
    }
    families::check(|sql| database.ask(sql), &others, BATCH)?;
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
    // Which values there are depends on how fast this machine is: four standard errors are left to chance.
    assert!(error.abs() < 4.0 * 0.023, "{estimate} of {}", metric_tally.acknowledged);
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
    let cluster = Postgres::start(&[])?;
    // Nobody is asked for a password there; it must not be told nevertheless.
    let url = format!("{}/postgres", cluster.url()).replace("postgres@", "postgres:hunter2@");
    let setup = on(&url)?.with("QUEUE_MAX_WAIT", "500ms").with("MAX_METRICS_PER_SERVICE", "1000000");
    let server = setup.start().await?;
    let load = wide_load(&server);
    load.wait_for(2_000, PATIENCE).await?;
    // Three requests of pings fill their queue.
    let families = Families::start(&server, 0, 6, FAMILY_BATCH);
    tokio::time::sleep(Duration::from_secs(2)).await;
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
    load.wait_for(2_000, PATIENCE).await?;
    let tally = load.stop().await?;
    assert!(tally.refusals.is_empty(), "{:?}", tally.refusals);
    assert!(tally.put_off > 0, "nobody was told to retry: {tally:?}");
    let families = families.stop().await?;
    for (kind, sent) in &families {
        assert!(sent.refusals.is_empty() && !sent.acknowledged.is_empty(), "{kind:?}: {:?}", sent.refusals);
    }
    // The queues of ticks and executions, which are of the same kind, take more than is sent here.
    assert!(families[&Kind::Pings].put_off > 0, "nobody was told to retry: {:?}", families[&Kind::Pings]);
    families::check(|sql| psql(&url, sql), &families, FAMILY_BATCH)?;
    assert_eq!(server.get("/api/v1/ready").await?.status, 200);
    let known = server.list("services").await?[0]["metric_points"].as_u64().context("a count")?;
    assert!(known >= tally.acknowledged && known <= tally.acknowledged + tally.unclear, "{known} known, {tally:?}");
    let log = server.log()?;
    assert!(log.contains("PostgreSQL") && !log.contains("hunter2") && !said.contains("hunter2"), "{log}");
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_be_used_is_one_sentence_at_the_start() -> Result<()> {
    let refusal = on("postgres://tally:hunter2@127.0.0.1:1/none")?.start_refused().await?;
    refusal.says(&["PostgreSQL at 127.0.0.1:1 cannot be reached", "DATABASE_URL"])?;
    assert!(!refusal.said.contains("hunter2"));
    Setup::new()?.with("USE_DB", "postgres").start_refused().await?.says(&["needs DATABASE_URL"])
}

/// What a run that is recorded here has in the documented tables, as somebody with psql sees them.
fn check_run(database: &Database, jobs: &Jobs, name: &str) -> Result<()> {
    assert_eq!(jobs.spooled(), 0);
    let of = format!("(SELECT id FROM executions WHERE name = '{name}')");
    let seen = database.ask(&format!(
        "SELECT status, exit_code, error_message, command ->> 0, environment, tags, total_steps, completed_steps, metadata,
            pg_typeof(created_at), created_at <= started_at AND started_at <= completed_at, current_step_index IS NULL
         FROM executions WHERE name = '{name}'"
    ))?;
    assert_eq!(
        seen,
        [r#"failed|3|the command ended with 3|sh|{}|{"team":"search"}|2|2|{"rows":"7"}|timestamp with time zone|t|t"#]
    );
    let seen = database.ask(&format!(
        "SELECT step_index, name, status, parameters, stop_on_error, error_message, duration_ms >= 0
         FROM steps WHERE execution_id = {of} ORDER BY step_index"
    ))?;
    assert_eq!(seen, [r#"0|build|completed|{"jobs":4}|f||t"#, "1|test|failed|{}|f|one failed|t"]);
    let seen = database.ask(&format!(
        "SELECT path, description, kind, size, mime_type, stored = sha256 FROM artifacts WHERE execution_id = {of}"
    ))?;
    assert_eq!(seen, ["out.txt|What was made|file|5|text/plain; charset=utf-8|t"]);
    let seen = database.ask(&format!("SELECT level, message FROM annotations WHERE execution_id = {of}"))?;
    assert_eq!(seen, ["warning|old"]);
    Ok(())
}

const JOB: &str = "echo 'STEP_START:build {jobs:4}'; echo made > out.txt; echo ARTIFACT:out.txt:What was made
    echo META:rows:7; echo STEP_COMPLETE:build; echo STEP_START:test; echo STEP_ERROR:one failed; echo ::warning::old; exit 3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_recorded_in_postgresql_without_a_server_and_beside_one() -> Result<()> {
    let database = Database::new()?;
    let setup = on(&database.url())?;
    let jobs = Jobs::beside(&setup)?;
    let run = |name: &str| -> Result<()> {
        let mut command = jobs.command(&["--name", name, "--tag", "team=search"], JOB)?;
        let output = command.env("USE_DB", "postgres").env("DATABASE_URL", database.url()).output()?;
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), complaint.as_str()), (Some(3), ""));
        check_run(&database, &jobs, name)
    };
    run("alone")?;

    let server = setup.start().await?;
    run("beside")?;
    let list = server.list("executions?total=true").await?;
    let names: Vec<_> = list.iter().map(|execution| &execution["name"]).collect();
    assert_eq!(names, ["beside", "alone"]);
    let id = list[1]["id"].as_str().context("no id")?;
    let lines = server.api(&format!("executions/{id}/logs?search=STEP_ERROR")).await?;
    assert_eq!(lines["data"][0]["text"], "STEP_ERROR:one failed");

    // Live, and cancelled over the API of a server that did not start it.
    let mut command = jobs.command(&["--name", "live"], "echo begun; sleep 300")?;
    let mut child = command.env("USE_DB", "postgres").env("DATABASE_URL", database.url()).spawn()?;
    let live = async || server.api("executions?name=live").await;
    until("a run that goes on", async || Ok(live().await?["data"][0]["status"] == "running")).await?;
    let id = live().await?["data"][0]["id"].as_str().context("no id")?.to_owned();
    let headers = [("content-type", "application/json")];
    assert_eq!(server.post_to_api(&format!("executions/{id}/cancel"), &headers, "{}").await?.status, 202);
    assert_eq!(child.wait()?.code(), Some(143));
    assert_eq!(database.ask("SELECT status FROM executions WHERE name = 'live'")?, ["cancelled"]);
    server.stop().await
}
