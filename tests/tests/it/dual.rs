//! Daily JSON files beside the store: whatever happens, they hold what the store holds, and the store never waits for them.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;
use tallybook_tests::PATIENCE;
use tallybook_tests::server::{Client, Server};
use tallybook_tests::setup::Setup;

/// Sends ticks numbered from `first` on, on two days; gives how many were new.
async fn send(server: &Client, first: u64, count: u64) -> Result<u64> {
    let line = |seq: u64| {
        let day = 2 + seq % 2;
        let second = seq % 60;
        format!(
            "{{\"symbol\":\"S{}\",\"timestamp\":\"2026-11-0{day}T00:00:{second:02}.000000{:03}Z\",\"bid\":\"1.{seq}0\",\"ask\":\"2.50\",\"lp\":\"x\",\"seq\":{seq}}}\n",
            seq % 3,
            seq % 1_000,
        )
    };
    let body: String = (first..first + count).map(line).collect();
    let url = format!("http://{}/api/v1/ticks", server.addresses.api);
    let request = reqwest::Client::new().post(url).header("content-type", "application/x-ndjson").body(body);
    let answer = request.send().await?;
    ensure!(answer.status() == 200, "{}", answer.text().await?);
    let answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
    Ok(answer["accepted"].as_u64().unwrap_or(0))
}

/// Waits until the files say what they are to say.
async fn wait(server: &Server, what: &str, done: impl Fn(&Value) -> bool) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let stats = server.api("stats").await?["daily_files"].take();
        if done(&stats) {
            return Ok(stats);
        }
        ensure!(begun.elapsed() < PATIENCE, "{what}: {stats}\n{}", server.log()?);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn all_written(stats: &Value) -> bool {
    stats["queued"] == 0 && stats["days_behind"] == 0
}

async fn same(setup: &Setup) -> Result<()> {
    let said = setup.run(&["verify", "dual"]).await?.ended_with(0)?;
    ensure!(said.contains("hold the same"), "{said}");
    Ok(())
}

#[tokio::test]
async fn every_tick_is_in_the_file_of_its_day_through_repeats_and_restarts() -> Result<()> {
    let setup = Setup::new()?.with("DUAL_JSON_DIR", "dual").with("DUAL_JSON_BROKER_ID", "b1");
    let server = setup.start().await?;
    assert_eq!(send(&server, 0, 1_000).await?, 1_000);
    assert_eq!(send(&server, 500, 1_000).await?, 500, "half of them were there");
    assert_eq!(send(&server, 0, 1_500).await?, 0);
    let stats = wait(&server, "all are written", |stats| stats["written"] == 1_500 && all_written(stats)).await?;
    assert_eq!(stats["missed"], 0, "{stats}");
    same(&setup).await?;
    let text = fs::read_to_string(setup.home().join("dual/ticks_2026-11-02.json"))?;
    let array: Vec<Value> = serde_json::from_str(&text)?;
    assert_eq!((array.len(), &array[0]["broker_id"]), (750, &Value::from("b1")));

    // What was on its way is missing in a file, or in the middle of it.
    send(&server, 2_000, 1_000).await?;
    server.kill().await?;
    let day = setup.home().join("dual/ticks_2026-11-02.json");
    let text = fs::read_to_string(&day)?;
    fs::write(&day, &text[..text.len() - 50])?;
    let server = setup.start().await?;
    assert_eq!(server.api("stats").await?["daily_files"]["days_rewritten"], 2);
    same(&setup).await?;
    send(&server, 4_000, 1_000).await?;
    server.stop().await?;
    same(&setup).await?;
    // A clean end leaves nothing to do.
    let server = setup.start().await?;
    assert_eq!(server.api("stats").await?["daily_files"]["days_rewritten"], 0);
    server.stop().await
}

#[tokio::test]
async fn a_file_that_cannot_be_written_harms_nobody_and_is_made_whole_later() -> Result<()> {
    let setup = Setup::new()?.with("DUAL_JSON_DIR", "dual").with("DUAL_JSON_FORMAT", "ndjson");
    let server = setup.start().await?;
    let in_the_way = setup.home().join("dual/ticks_2026-11-03.ndjson");
    fs::create_dir(&in_the_way)?;
    assert_eq!(send(&server, 0, 1_000).await?, 1_000);
    let behind = |stats: &Value| stats["days_behind"] == 1 && stats["missed"] == 500;
    let stats = wait(&server, "a day falls behind", behind).await?;
    assert!(stats["last_error"].is_string(), "{stats}");
    let metrics = server.get("/metrics").await?.text();
    assert!(metrics.contains("tallybook_daily_files_days_behind 1"), "{metrics}");
    assert_eq!(send(&server, 1_000, 1_000).await?, 1_000, "the store takes ticks all the same");
    fs::remove_dir(&in_the_way)?;
    wait(&server, "the day is made whole", |stats| stats["days_rewritten"] == 1 && all_written(stats)).await?;
    assert_eq!(send(&server, 2_000, 1_000).await?, 1_000);
    server.stop().await?;
    same(&setup).await
}

#[tokio::test]
async fn a_store_that_forgets_is_no_ground_for_files() -> Result<()> {
    let setup = Setup::new()?.with("DUAL_JSON_DIR", "dual").with("USE_DB", "memory");
    setup.start_refused().await?.says(&["DUAL_JSON_DIR", "USE_DB=memory"])
}
