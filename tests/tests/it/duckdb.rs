//! DuckDB on the whole binary: the mirror on bad days, and questions to it beside a running server.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tallybook_testing::SmallDisk;
use tallybook_tests::PATIENCE;
use tallybook_tests::otlp::{log, logs};
use tallybook_tests::server::Client;
use tallybook_tests::setup::Setup;

use crate::mirrors::{assert_same, load, wait_until_followed};

/// The n-th tick of a day: the bid rises from 1 by a thousandth.
fn ticks(day: &str, count: u32) -> String {
    let tick = |at: u32| {
        let (minute, second) = (at / 60 % 60, at % 60);
        format!("EURUSD,{day}T10:{minute:02}:{second:02}.000000001Z,1.{at:03},1.{at:03}5,{at},lp\n")
    };
    String::from("symbol,timestamp,bid,ask,seq,lp\n") + &(0..count).map(tick).collect::<String>()
}

async fn send_ticks(client: &Client, day: &str, count: u32) -> Result<()> {
    let answer = client.post_to_api("ticks", &[("content-type", "text/csv")], ticks(day, count)).await?;
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
    Ok(())
}

fn url_of(file: &Path) -> String {
    format!("duckdb://{}", file.display())
}

/// A setup whose mirror is a file in its own folder.
fn mirrored() -> Result<(Setup, PathBuf)> {
    let setup = Setup::new()?;
    let file = setup.home().join("mirror.duckdb");
    let setup = setup.with("MIRROR_URL", &url_of(&file));
    Ok((setup, file))
}

/// Waits until the mirror has kept so many ticks since the start of the server, and nothing waits.
async fn wait_for_ticks(client: &Client, count: u64) -> Result<()> {
    let begun = Instant::now();
    while client.api("mirror").await?["ticks"].as_u64().unwrap_or_default() < count {
        ensure!(begun.elapsed() < PATIENCE, "it does not catch up: {}", client.api("mirror").await?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wait_until_followed(client).await.map(drop)
}

/// What `tallybook query` answers, row by row.
async fn query(setup: &Setup, arguments: &[&str]) -> Result<Vec<Value>> {
    let mut all = vec!["query", "--json"];
    all.extend(arguments);
    let said = setup.run(&all).await?.ended_with(0)?;
    said.lines().map(|line| serde_json::from_str(line).context("a row is JSON")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_while_duckdb_follows_loses_and_doubles_nothing() -> Result<()> {
    let (setup, file) = mirrored()?;
    for round in 1..=3 {
        let server = setup.start().await?;
        let load = load(&server);
        send_ticks(&server, &format!("2026-03-0{round}"), 2_000).await?;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        load.stop().await?;
        server.kill().await?;
    }
    let server = setup.start().await?;
    let mirror = wait_until_followed(&server).await?;
    ensure!(mirror["target"].as_str().is_some_and(|target| target.starts_with("DuckDB 1.")), "{mirror}");
    // Beside the server, which has the file.
    let file_name = file.to_string_lossy();
    let sql = "SELECT count(*) AS ticks, count(DISTINCT day) AS days FROM tick";
    assert_eq!(query(&setup, &["--file", &file_name, sql]).await?, [json!({ "ticks": 6_000, "days": 3 })]);
    server.stop().await?;
    assert_same(&format!("sqlite:{}", setup.data_dir().display()), &url_of(&file)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_wiped_or_damaged_is_filled_anew() -> Result<()> {
    let (setup, file) = mirrored()?;
    let server = setup.start().await?;
    let send = async |name: &str| server.send(&logs(name, vec![log("hello".to_owned())])).await;
    send("first").await?;
    wait_until_followed(&server).await?;
    fs::remove_file(&file)?;
    send("second").await?;
    wait_for_services(&setup, &file, 2).await?;

    // Somebody else's file in its place is left alone, and told.
    fs::write(&file, "no database")?;
    send("third").await?;
    let begun = Instant::now();
    loop {
        let ready = server.api("ready").await?;
        if ready["reason"].as_str().is_some_and(|reason| reason.contains("move it away")) {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "it does not say so: {ready}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ensure!(fs::read(&file)? == b"no database", "the file of somebody else was changed");
    fs::remove_file(&file)?;
    let api = format!("http://{}", server.addresses.api);
    setup.run(&["mirror", "rebuild", "--yes", "--server", &api]).await?.ended_with(0)?;
    wait_for_services(&setup, &file, 3).await?;
    server.stop().await?;
    assert_same(&format!("sqlite:{}", setup.data_dir().display()), &url_of(&file)).await
}

/// Waits until the mirror knows so many services.
async fn wait_for_services(setup: &Setup, file: &Path, count: u64) -> Result<()> {
    let begun = Instant::now();
    loop {
        let sql = "SELECT count(*) AS services FROM service WHERE name <> ''";
        let said = setup.run(&["query", "--json", "--file", &file.to_string_lossy(), sql]).await?;
        if serde_json::from_str::<Value>(&said.out).is_ok_and(|row| row["services"] == count) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "it does not catch up: {said:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_the_mirror_harms_nobody_and_heals() -> Result<()> {
    let disk = SmallDisk::new(48)?;
    let file = disk.path().join("mirror.duckdb");
    let setup = Setup::new()?.with("MIRROR_URL", &url_of(&file));
    let server = setup.start().await?;
    send_ticks(&server, "2026-03-01", 500).await?;
    wait_for_ticks(&server, 500).await?;
    disk.fill()?;
    // More than fits into what the file has free.
    for day in 2..=9 {
        send_ticks(&server, &format!("2026-03-0{day}"), 3_600).await?;
    }
    let begun = Instant::now();
    while server.api("mirror").await?["state"] != "failing" {
        ensure!(begun.elapsed() < PATIENCE, "it does not notice: {}", server.api("mirror").await?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ensure!(server.get("/api/v1/ready").await?.status == 200, "the server goes on");
    disk.free()?;
    wait_for_ticks(&server, 500 + 8 * 3_600).await?;
    server.stop().await?;
    assert_same(&format!("sqlite:{}", setup.data_dir().display()), &url_of(&file)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_for_long_is_waited_for_and_stops_nobody() -> Result<()> {
    let (setup, file) = mirrored()?;
    let server = setup.start().await?;
    send_ticks(&server, "2026-03-01", 100).await?;
    wait_for_ticks(&server, 100).await?;
    let slow = "SELECT count(*) AS n FROM range(3000000000) AS a(i) WHERE i % 7 = (SELECT count(*) FROM tick) % 7";
    let mut reader = setup.command(&["query", "--file", &file.to_string_lossy(), "--time-limit", "3s", slow])?;
    let reader = reader.stdout(std::process::Stdio::null()).spawn()?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    send_ticks(&server, "2026-03-02", 100).await?;
    // A second reader does not wait for the first one.
    let rows = query(&setup, &["--file", &file.to_string_lossy(), "SELECT count(*) >= 100 AS there FROM tick"]).await?;
    assert_eq!(rows, [json!({ "there": true })]);
    drop(reader);
    wait_for_ticks(&server, 200).await?;
    let ready = server.api("ready").await?;
    ensure!(ready["status"] == "ok", "{ready}");
    server.stop().await?;
    assert_same(&format!("sqlite:{}", setup.data_dir().display()), &url_of(&file)).await
}

#[tokio::test]
async fn percentiles_and_windows_are_answered_over_the_mirror_and_over_sealed_days() -> Result<()> {
    let (setup, file) = mirrored()?;
    let csv = setup.home().join("feed.csv");
    fs::write(&csv, ticks("2026-03-01", 1_000) + ticks("2026-03-02", 500).split_once('\n').unwrap_or_default().1)?;
    setup.run(&["import", "ticks", &csv.to_string_lossy()]).await?.ended_with(0)?;
    setup.run(&["seal", "--older-than", "1d"]).await?.ended_with(0)?;
    let server = setup.start().await?;
    wait_for_ticks(&server, 1_500).await?;
    let file = file.to_string_lossy().into_owned();
    let ask = async |view: &str| {
        let sql = format!(
            "WITH t AS (SELECT *, bid - lag(bid) OVER (PARTITION BY symbol, day ORDER BY time, seq) AS step FROM {view}) \
             SELECT day, count(*) AS ticks, round(quantile_cont(bid, 0.5), 6) AS median, round(max(step), 6) AS step, \
             max(spread) AS spread, min(time) AS first, count(step) AS steps FROM t WHERE symbol = ? \
             GROUP BY day ORDER BY day"
        );
        query(&setup, &["--file", &file, &sql, "--param", "EURUSD"]).await
    };
    let expected = [
        json!({ "day": "2026-03-01", "ticks": 1_000, "median": 1.4995, "step": 0.001, "spread": 0.0005,
                "first": "2026-03-01T10:00:00Z", "steps": 999 }),
        json!({ "day": "2026-03-02", "ticks": 500, "median": 1.2495, "step": 0.001, "spread": 0.0005,
                "first": "2026-03-02T10:00:00Z", "steps": 499 }),
    ];
    assert_eq!(ask("tick").await?, expected);
    assert_eq!(ask("sealed_ticks").await?, expected);
    let bars = "SELECT bid_open, bid_close, ticks FROM tick_day WHERE day = '2026-03-02'";
    assert_eq!(
        query(&setup, &["--file", &file, bars]).await?,
        [json!({ "bid_open": 1.0, "bid_close": 1.499, "ticks": 500 })]
    );
    let recent = "SELECT count(*) AS n FROM tick WHERE time > now() - INTERVAL 1 DAY";
    assert_eq!(query(&setup, &["--file", &file, recent]).await?, [json!({ "n": 0 })]);

    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/duckdb.md"))?;
    let documented: Vec<&str> = page.split("```sql\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    ensure!(documented.len() >= 4, "questions are documented");
    for sql in documented.iter().flat_map(|block| block.split(';')) {
        query(&setup, &["--file", &file, sql]).await.with_context(|| sql.to_owned())?;
    }

    // The mirror cannot be changed, and what is wrong with a question is told with its place.
    let said = setup.run(&["query", "--file", &file, "DELETE FROM tick_raw"]).await?;
    ensure!(said.code == Some(1) && said.err.contains("read-only"), "{said:?}");
    let said = setup.run(&["query", "--file", &file, "FROM tik"]).await?;
    ensure!(said.code == Some(1) && said.err.contains("Did you mean \"tick\""), "{said:?}");
    let said = setup.run(&["query", "--file", "none.duckdb", "SELECT 1"]).await?;
    ensure!(said.code == Some(1) && said.err.contains("MIRROR_URL=duckdb:"), "{said:?}");
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_is_exported_by_day_and_read_back() -> Result<()> {
    let (setup, file) = mirrored()?;
    let server = setup.start().await?;
    let load = load(&server);
    send_ticks(&server, "2026-03-01", 300).await?;
    send_ticks(&server, "2026-03-02", 200).await?;
    load.wait_for(100, PATIENCE).await?;
    load.stop().await?;
    wait_for_ticks(&server, 500).await?;
    let file = file.to_string_lossy().into_owned();
    let folder = setup.home().join("archive");
    let to = folder.to_string_lossy().into_owned();
    let tables = query(&setup, &["--file", &file, "--export", &to]).await?;
    server.stop().await?;
    let mut checked = 0;
    for table in &tables {
        let (name, rows) = (table["table"].as_str().context("a name")?, table["rows"].as_u64().context("a number")?);
        let known = query(&setup, &["--file", &file, &format!("SELECT count(*) AS n FROM \"{name}\"")]).await?;
        ensure!(known[0]["n"] == rows, "{name}: {rows} exported of {known:?}");
        if rows > 0 {
            let sql = format!("SELECT count(*) AS n FROM read_parquet('{to}/{name}/**/*.parquet')");
            ensure!(query(&setup, &["--file", &file, &sql]).await?[0]["n"] == rows, "{name} is read back");
            checked += 1;
        }
    }
    ensure!(checked > 5, "{tables:?}");
    ensure!(folder.join("tick/day=2026-03-02").is_dir(), "ticks are in folders of days");
    let sql =
        format!("SELECT sum(bid) = (SELECT sum(bid) FROM tick) AS same FROM read_parquet('{to}/tick/*/*.parquet')");
    assert_eq!(query(&setup, &["--file", &file, &sql]).await?, [json!({ "same": true })]);
    let said = setup.run(&["query", "--file", &file, "--export", &to]).await?;
    ensure!(said.code == Some(1) && said.err.contains("not empty"), "{said:?}");
    Ok(())
}
