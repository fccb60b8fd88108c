//! A store that is followed by another one, through restarts; and moves from one store to another, on the whole binary.

use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tallybook_testing::{ClickHouse, SmallDisk};
use tallybook_tests::PATIENCE;
use tallybook_tests::jobs::until;
use tallybook_tests::load::Load;
use tallybook_tests::otlp::{log, logs};
use tallybook_tests::postgres::Database;
use tallybook_tests::server::Client;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::tallybook;
use tokio::process::Command;

const BATCH: u64 = 20;
/// Room for a ClickHouse and for what the test brings into it.
const DISK_MIB: u32 = 256;

/// Runs a command of the binary and gives what it said.
pub(crate) async fn run(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(tallybook()?).args(arguments).env_clear().output().await?)
}

pub(crate) fn load(client: &Client) -> Load {
    Load::start(client, 2, Duration::from_millis(5), move |request| {
        (logs("shop", (0..BATCH).map(|at| log(format!("user {request} paid order {at}"))).collect()), BATCH)
    })
}

pub(crate) async fn wait_until_followed(client: &Client) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let mirror = client.api("mirror").await?;
        if mirror["state"] == "following" && mirror["lag_records"] == 0 {
            return Ok(mirror);
        }
        ensure!(begun.elapsed() < PATIENCE, "it does not catch up: {mirror}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Compares with `tallybook verify`, which must find both the same.
pub(crate) async fn assert_same(from: &str, to: &str) -> Result<()> {
    let output = run(&["verify", "--from", from, "--to", to, "--json"]).await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "they differ: {said}\n{}", String::from_utf8_lossy(&output.stderr));
    let comparison: Value = serde_json::from_str(&said)?;
    let tables = comparison["tables"].as_array().context("no tables")?;
    let days = tables.iter().filter_map(|table| table["days"].as_array()).flatten();
    let records: u64 = days.filter_map(|day| day["from"]["records"].as_u64()).sum();
    ensure!(records > 0, "nothing was compared");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_while_it_is_followed_loses_and_doubles_nothing_in_the_mirror() -> Result<()> {
    let database = Database::new()?;
    let setup = Setup::new()?.with("MIRROR_URL", &format!("{}?sslmode=disable", database.url()));
    for _ in 0..3 {
        let server = setup.start().await?;
        let load = load(&server);
        tokio::time::sleep(Duration::from_secs(2)).await;
        load.stop().await?;
        server.kill().await?;
    }
    let server = setup.start().await?;
    let mirror = wait_until_followed(&server).await?;
    ensure!(mirror["target"].as_str().is_some_and(|target| target.contains("PostgreSQL")), "{mirror}");
    let ready = server.api("ready").await?;
    ensure!(ready["status"] == "ok", "{ready}");
    let metrics = server.get("/metrics").await?.text();
    for line in ["tallybook_mirror_lag_records 0", "tallybook_mirror_state{state=\"following\"} 1"] {
        ensure!(metrics.contains(line), "`{line}` is not in the metrics");
    }
    ensure!(server.api("stats").await?["mirror"]["state"] == "following", "stats tell of the mirror");
    server.stop().await?;
    let folder = format!("sqlite:{}", setup.data_dir().display());
    assert_same(&folder, &database.url()).await?;

    // From here on the database is the primary: every list goes on as it was, and the old one is not followed any more.
    let switched = Setup::new()?.with("USE_DB", "postgres").with("DATABASE_URL", &database.url());
    let server = switched.start().await?;
    let services = server.list("services").await?;
    ensure!(services.iter().any(|service| service["name"] == "shop"), "{services:?}");
    server.send(&logs("after", vec![log("hello".to_owned())])).await?;
    server.stop().await?;
    let server = setup.start().await?;
    let begun = Instant::now();
    loop {
        let ready = server.api("ready").await?;
        if ready["status"] == "degraded" {
            ensure!(ready["reason"].as_str().is_some_and(|reason| reason.contains("rebuild")), "{ready}");
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "it does not notice: {ready}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_whose_disk_is_full_disturbs_nobody_and_catches_up_with_nothing_doubled() -> Result<()> {
    let disk = SmallDisk::new(DISK_MIB)?;
    let clickhouse = ClickHouse::start(Some(disk.path()))?;
    let setup = Setup::new()?.with("MIRROR_URL", &clickhouse.url());
    let server = setup.start().await?;
    // Where a little room is left, a part of a page is kept, and kept again with each attempt.
    for room_kib in [0, 256, 1024] {
        let load = load(&server);
        load.wait_for(10 * BATCH, PATIENCE).await?;
        disk.fill_but(room_kib)?;
        until("a failure of the mirror", async || {
            let (stats, ready) = (server.api("stats").await?, server.api("ready").await?);
            let reason = ready["reason"].as_str().unwrap_or_default();
            let says_why = ready["status"] == "degraded" && reason.contains("No space left on device");
            Ok(stats["mirror"]["state"] == "failing" && says_why)
        })
        .await?;
        // The primary goes on meanwhile.
        load.wait_for(10 * BATCH, PATIENCE).await?;
        let tally = load.stop().await?;
        ensure!(tally.put_off == 0 && tally.refusals.is_empty(), "the primary was disturbed: {tally:?}");
        server.send(&logs(&format!("late {room_kib}"), vec![log("hello".to_owned())])).await?;
        disk.free()?;
        wait_until_followed(&server).await?;
        ensure!(server.api("ready").await?["status"] == "ok", "it has recovered");
    }
    server.stop().await?;
    assert_same(&format!("sqlite:{}", setup.data_dir().display()), &clickhouse.url()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mirror_takes_orders_from_the_command_line() -> Result<()> {
    let target = tempfile::tempdir()?;
    let place = format!("sqlite:{}", target.path().join("mirror").display());
    let setup = Setup::new()?.with("MIRROR_URL", &place);
    let server = setup.start().await?;
    server.send(&logs("shop", vec![log("hello".to_owned())])).await?;
    wait_until_followed(&server).await?;
    let api = format!("http://{}", server.addresses.api);
    let order = async |order: &[&str]| -> Result<Value> {
        let mut arguments = vec!["mirror"];
        arguments.extend(order);
        arguments.extend(["--json", "--server", &api]);
        let output = run(&arguments).await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    order(&["pause"]).await?;
    let begun = Instant::now();
    while order(&["status"]).await?["state"] != "paused" {
        ensure!(begun.elapsed() < PATIENCE, "it does not rest");
    }
    server.send(&logs("late", vec![log("hello".to_owned())])).await?;
    order(&["rebuild", "--yes"]).await?;
    let begun = Instant::now();
    while order(&["status"]).await?["rows"].as_u64().unwrap_or_default() == 0 {
        ensure!(begun.elapsed() < PATIENCE, "it does not begin anew");
    }
    wait_until_followed(&server).await?;
    server.stop().await?;
    assert_same(&format!("sqlite:{}", setup.data_dir().display()), &place).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_from_sqlite_to_postgres_and_back() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let load = load(&server);
    tokio::time::sleep(Duration::from_secs(1)).await;
    load.stop().await?;
    server.stop().await?;
    let database = Database::new()?;
    let target = tempfile::tempdir()?;
    let first = format!("sqlite:{}", setup.data_dir().display());
    let back = format!("sqlite:{}", target.path().join("back").display());
    for (from, to) in [(first.as_str(), database.url()), (&database.url(), back.clone())] {
        let output = run(&["migrate", "--from", from, "--to", &to, "--verify"]).await?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        ensure!(said.contains("rows and") && said.contains("both hold the same"), "{said}");
        // Once more there is nothing left to do.
        let again = run(&["migrate", "--from", from, "--to", &to]).await?;
        let said = String::from_utf8_lossy(&again.stdout);
        ensure!(again.status.success() && said.contains("holds everything already"), "{said}");
    }
    assert_same(&first, &back).await?;

    // The copy goes its own way: that is told with an exit code, and it is not overwritten.
    let moved = Setup::new()?.data_in(&target.path().join("back"));
    let server = moved.start().await?;
    server.send(&logs("another", vec![log("hello".to_owned())])).await?;
    server.stop().await?;
    let output = run(&["verify", "--from", &first, "--to", &back]).await?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.code() == Some(1) && said.contains("another"), "{said}");
    let output = run(&["migrate", "--from", &database.url(), "--to", &back]).await?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && complaint.contains("records of its own"), "{complaint}");
    let output = run(&["migrate", "--from", &database.url(), "--to", &back, "--start-over"]).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same(&first, &back).await
}

#[tokio::test]
async fn a_mirror_that_cannot_be_is_one_sentence() -> Result<()> {
    let refusal = |url: &str| Setup::new().map(|setup| setup.with("MIRROR_URL", url));
    refusal("mongo://host/db")?.start_refused().await?.says(&["there is no kind of place `mongo`"])?;
    refusal("memory:")?.start_refused().await?.says(&["memory"])?;
    Ok(())
}
