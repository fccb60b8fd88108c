//! The clock of the machine is set while a command or a server runs: nothing that is recorded goes back or is lost.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tallybook_core::Timestamp;
use tallybook_tests::clock::Clock;
use tallybook_tests::jobs::{Jobs, until};
use tallybook_tests::server::Server;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::sqlite3;

const HOURS: i64 = 3_600;
const SECOND: i64 = 1_000_000_000;

/// Says the time, and goes on when the clock has been set.
const SCRIPT: &str = "echo STEP_START:one; echo before; date +%s > t; mv t before
    until [ -e back ]; do sleep 0.02; done
    date +%s > t; mv t behind; echo behind; echo STEP_COMPLETE:one; echo STEP_START:two
    until [ -e forth ]; do sleep 0.02; done
    date +%s > t; mv t ahead; echo ahead; sleep 0.2; echo STEP_COMPLETE:two; sleep 0.2; echo last";

fn moment(value: &Value) -> Result<i64> {
    let text = value.as_str().with_context(|| format!("{value} is no time"))?;
    Ok(Timestamp::parse(text).with_context(|| format!("{text} is no time"))?.0)
}

/// Checks that these moments are there, in this order.
fn in_order<'a>(times: impl IntoIterator<Item = &'a Value>) -> Result<Vec<i64>> {
    let times: Vec<i64> = times.into_iter().map(moment).collect::<Result<_>>()?;
    assert!(times.is_sorted(), "{times:?}");
    Ok(times)
}

async fn check(server: &Server, jobs: &Jobs) -> Result<()> {
    let time = |name| -> Result<i64> { Ok(fs::read_to_string(jobs.home().join(name))?.trim().parse()?) };
    let (before, behind, ahead) = (time("before")?, time("behind")?, time("ahead")?);
    assert!(before - behind > HOURS && ahead - behind > 3 * HOURS, "the clock was not set");

    let executions = server.api("executions?name=clocks").await?;
    let execution = &executions["data"][0];
    assert_eq!(execution["status"], "completed");
    let id = execution["id"].as_str().context("no id")?;
    let times = in_order([&execution["created_at"], &execution["started_at"], &execution["completed_at"]])?;
    assert!(times[2] - times[0] < 60 * SECOND, "a clock that was set is no time that passed");
    let steps = server.api(&format!("executions/{id}/steps")).await?;
    for step in steps["data"].as_array().context("no steps")? {
        let times = in_order([&step["started_at"], &step["completed_at"]])?;
        assert!(times[1] - times[0] < 60 * SECOND && step["duration_ms"].as_f64().is_some(), "{step}");
    }
    let second = moment(&steps["data"][1]["started_at"])?;
    assert!(second >= moment(&steps["data"][0]["completed_at"])?, "{steps}");
    let lines = server.api(&format!("executions/{id}/logs")).await?;
    let lines = lines["data"].as_array().context("no lines")?;
    in_order(lines.iter().map(|line| &line["time"]))?;
    let texts: Vec<&Value> =
        lines.iter().map(|line| &line["text"]).filter(|text| !text.to_string().contains("STEP")).collect();
    assert_eq!(texts, ["before", "behind", "ahead", "last"]);
    Ok(())
}

/// Runs the script, with the server or without it, while the clock is set back and forth.
async fn run(clock: &Clock, jobs: &Jobs) -> Result<()> {
    clock.set(0)?;
    let mut command = jobs.command(&["--name", "clocks"], SCRIPT)?;
    let mut child = command.envs(clock.environment()).spawn()?;
    let there = async |name: &str| until(name, async || Ok(jobs.home().join(name).exists())).await;
    there("before").await?;
    clock.set(-2 * HOURS)?;
    fs::write(jobs.home().join("back"), "")?;
    there("behind").await?;
    clock.set(2 * HOURS)?;
    fs::write(jobs.home().join("forth"), "")?;
    assert_eq!(child.wait()?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_during_a_run_gives_no_step_a_negative_time_and_no_line_another_place() -> Result<()> {
    let clock = Clock::new()?;
    let alone = Setup::new()?;
    let jobs = Jobs::beside(&alone)?;
    run(&clock, &jobs).await?;
    clock.set(0)?;
    let server = alone.start().await?;
    check(&server, &jobs).await?;
    server.stop().await?;

    // The server lives by the same clock.
    let setup = clock.environment().into_iter().fold(Setup::new()?, |setup, (name, value)| setup.with(name, &value));
    let server = setup.start().await?;
    let jobs = Jobs::beside(&setup)?;
    run(&clock, &jobs).await?;
    check(&server, &jobs).await?;
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_does_not_go_back_with_the_clock_of_a_server() -> Result<()> {
    let clock = Clock::new()?;
    let setup = clock.environment().into_iter().fold(Setup::new()?, |setup, (name, value)| setup.with(name, &value));
    let server = setup.start().await?;
    let post = async |path: &str, body: Value| -> Result<Value> {
        let answer = server.post_to_api(path, &[("content-type", "application/json")], body.to_string()).await?;
        assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
        answer.json()
    };
    let id = post("executions", json!({"name": "remote"})).await?["id"].as_str().context("no id")?.to_owned();
    let events = format!("executions/{id}/events");
    let first = json!([{"number": 2, "type": "started"}, {"number": 3, "type": "step_started", "name": "a"},
        {"number": 4, "type": "lines", "lines": ["one"]}]);
    post(&events, first.clone()).await?;
    clock.set(-2 * HOURS)?;
    let then = json!([{"number": 5, "type": "lines", "lines": ["two"]}, {"number": 6, "type": "step_completed"},
        {"number": 7, "type": "finished", "status": "completed", "exit_code": 0}]);
    assert_eq!(post(&events, then).await?["status"], "completed");
    clock.set(2 * HOURS)?;
    let again = post(&events, first).await?;
    assert_eq!((&again["duplicate"], &again["status"]), (&json!(3), &json!("completed")));
    let execution = server.api(&format!("executions/{id}")).await?;
    assert_eq!((&execution["status"], &execution["duration_ms"]), (&json!("completed"), &json!(0.0)));
    let steps = server.api(&format!("executions/{id}/steps")).await?;
    assert_eq!((&steps["data"][0]["status"], &steps["data"][0]["duration_ms"]), (&json!("completed"), &json!(0.0)));
    let lines = server.api(&format!("executions/{id}/logs")).await?;
    assert_eq!((&lines["data"][0]["text"], &lines["data"][1]["text"]), (&json!("one"), &json!("two")));
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_died_after_the_clock_was_set_back_did_not_end_before_it_began() -> Result<()> {
    let clock = Clock::new()?;
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    clock.set(2 * HOURS)?;
    let mut command = jobs.command(&["--name", "victim"], "echo STEP_START:one; sleep 300")?;
    let mut child = command.envs(clock.environment()).spawn()?;
    until("the step", async || Ok(jobs.has_spooled("step_started"))).await?;
    clock.set(0)?;
    child.kill()?;
    child.wait()?;
    assert_eq!(jobs.run(&["--name", "next"], "true")?.status.code(), Some(0));
    let rows = sqlite3(
        &setup.database(),
        "SELECT status, started_at <= completed_at AS in_order FROM execution WHERE name = 'victim'
         UNION ALL SELECT status, started_at <= completed_at FROM step",
    )?;
    let ended = json!({"status": "interrupted", "in_order": 1});
    assert_eq!(rows, [ended.clone(), ended]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_loses_no_tick_and_no_ping_also_over_a_restart() -> Result<()> {
    const CSV: [(&str, &str); 1] = [("content-type", "text/csv")];
    let clock = Clock::new()?;
    let setup = clock.environment().into_iter().fold(Setup::new()?, |setup, (name, value)| setup.with(name, &value));
    let target = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let target = format!("tcp://{}", target.local_addr()?);
    let (mut sent, mut pings) = (0, 0);
    for (round, hours) in [2, 0, -2, -2].into_iter().enumerate() {
        clock.set(hours * HOURS)?;
        let server = setup.start().await?;
        if round == 0 {
            let body = json!({"target": target, "interval_ms": 100}).to_string();
            let answer = server.post_to_api("ping/targets", &[("content-type", "application/json")], body).await?;
            assert_eq!(answer.status, 201, "{}", answer.text());
        }
        // A feed that does not number its ticks, all of one moment of its own clock, and the clock is set back within it.
        for step in 0..4 {
            clock.set(hours * HOURS - step * 60)?;
            let line = |at: u64| format!("EURUSD,2026-03-01T12:00:00Z,1.{:05}\n", sent + at);
            let body: String = std::iter::once("symbol,timestamp,bid\n".to_owned()).chain((0..50).map(line)).collect();
            let answer = server.post_to_api("ticks", &CSV, body).await?.json()?;
            assert_eq!((&answer["accepted"], &answer["duplicate"]), (&json!(50), &json!(0)), "{answer}");
            sent += 50;
        }
        // The prober goes on whatever the clock says.
        let count = async || {
            let path = format!("pings?target={}&resolution=raw", target.replace('/', "%2F"));
            server.api(&path).await?["total"].as_u64().context("no total")
        };
        until("three more pings", async || Ok(count().await? >= pings + 3)).await?;
        server.stop().await?;
        let rows = sqlite3(&setup.database(), "SELECT count(*) AS n FROM pings")?;
        pings = rows[0]["n"].as_u64().context("a number")?;
    }
    let server = setup.start().await?;
    assert_eq!(server.api("ticks/count?symbol=EURUSD").await?["count"], sent);
    let page = server.api("ticks?symbol=EURUSD&limit=10000").await?;
    let bids: std::collections::BTreeSet<&str> =
        page["data"].as_array().context("ticks")?.iter().filter_map(|tick| tick["bid"].as_str()).collect();
    assert_eq!(bids.len() as u64, sent);
    server.stop().await
}
