//! Commands that are started over HTTP: only those that the settings name, only with a token, recorded as every other run.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tallybook_testing::SmallDisk;
use tallybook_tests::answer::Answer;
use tallybook_tests::jobs::{Jobs, Recorded, is_alive, until};
use tallybook_tests::server::Server;
use tallybook_tests::setup::Setup;

const TOKEN: &str = "letmein";

fn named(commands: &str) -> Result<Setup> {
    let setup = Setup::new()?.with("API_TOKEN", TOKEN);
    fs::write(setup.home().join("tallybook.toml"), commands)?;
    Ok(setup)
}

async fn run(server: &Server, name: &str) -> Result<Answer> {
    let token = format!("Bearer {TOKEN}");
    server.post_to_api(&format!("commands/{name}/run"), &[("authorization", &token)], "").await
}

/// Starts one that has to start; gives the id of its execution.
async fn started(server: &Server, name: &str) -> Result<String> {
    let answer = run(server, name).await?;
    ensure!(answer.status == 202, "{name}: {} {}", answer.status, answer.text());
    let id = answer.json()?["id"].as_str().context("no id")?.to_owned();
    let location = answer.header("location").context("no location")?;
    assert_eq!(location, format!("/api/v1/executions/{id}"));
    assert_eq!(server.get_as(TOKEN, location).await?.status, 200, "it is there when it is answered");
    Ok(id)
}

async fn execution(server: &Server, id: &str) -> Result<Value> {
    server.get_as(TOKEN, &format!("/api/v1/executions/{id}")).await?.json()
}

async fn ended(server: &Server, id: &str) -> Result<Value> {
    until("the end of a command", async || {
        let status = execution(server, id).await?["status"].clone();
        Ok(status != "running" && status != "pending")
    })
    .await?;
    execution(server, id).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_started_without_a_token_or_a_name_in_the_settings() -> Result<()> {
    let setup = Setup::new()?;
    fs::write(setup.home().join("tallybook.toml"), "[commands.touch]\ncommand = [\"touch\", \"touched\"]")?;
    let server = setup.start().await?;
    for answer in [
        server.post_to_api("commands/touch/run", &[], "").await?,
        server.get("/api/v1/commands").await?,
        run(&server, "touch").await?,
    ] {
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(answer.text().contains("API_TOKEN"), "{}", answer.text());
    }
    server.stop().await?;

    let setup = setup.with("API_TOKEN", TOKEN);
    let server = setup.start().await?;
    assert_eq!(server.post_to_api("commands/touch/run", &[], "").await?.status, 401);
    assert_eq!(run(&server, "tou").await?.status, 404);
    server.stop().await?;

    let without = named("")?;
    let server = without.start().await?;
    assert_eq!(run(&server, "touch").await?.status, 404);
    assert_eq!(server.get_as(TOKEN, "/api/v1/commands").await?.json()?, json!({"data": []}));
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_command_runs_as_the_settings_have_it_and_is_recorded() -> Result<()> {
    let (work, mirror) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let setup = named(&format!(
        r#"[commands.nightly]
command = ["sh", "-c", "echo STEP_START:copy; pwd; env >&2; echo \"$SHOWN $1\" >&2; echo STEP_ERROR:no room; exit 3", "sh", "$(id) --all"]
description = "Copies everything"
timeout = "1h"
cwd = '{}'
tags = {{ team = "ops" }}
env_allow = ["SHOWN"]"#,
        work.path().display()
    ))?
    .with("SHOWN", "seen")
    .with("DATABASE_URL", "postgres://nobody:hunter2@127.0.0.1/none")
    .with("AWS_SECRET_ACCESS_KEY", "hunter2")
    .with("MIRROR_URL", &format!("sqlite:{}", mirror.path().display()));
    let server = setup.start().await?;
    let all = server.get_as(TOKEN, "/api/v1/commands").await?;
    assert_eq!(all.json()?, json!({"data": [{"name": "nightly", "description": "Copies everything"}]}));
    let token = format!("Bearer {TOKEN}");
    let with_body = server.post_to_api("commands/nightly/run", &[("authorization", &token)], "{}").await?;
    assert_eq!(with_body.status, 400, "{}", with_body.text());
    let id = started(&server, "nightly").await?;
    let execution = ended(&server, &id).await?;
    assert_eq!((&execution["name"], &execution["status"]), (&json!("nightly"), &json!("failed")));
    assert_eq!((&execution["exit_code"], &execution["tags"]), (&json!(3), &json!({"team": "ops"})));
    assert_eq!(execution["environment"], json!({"SHOWN": "seen"}));
    server.stop().await?;
    let recorded = Recorded::only(&setup.database())?;
    assert_eq!((&recorded.steps[0]["name"], &recorded.steps[0]["status"]), (&json!("copy"), &json!("failed")));
    let texts = recorded.texts();
    assert!(texts.contains(&"seen $(id) --all"), "no shell reads the command: {texts:?}");
    assert!(texts.contains(&"SHOWN=seen"), "it has the environment of the server: {texts:?}");
    for secret in ["API_TOKEN=", "DATABASE_URL=", "MIRROR_URL=", "AWS_SECRET_ACCESS_KEY="] {
        assert!(!texts.iter().any(|text| text.starts_with(secret)), "it has a secret of the server: {texts:?}");
    }
    assert!(texts.contains(&&*fs::canonicalize(work.path())?.to_string_lossy()), "{texts:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_run_at_once_as_may_and_one_is_cancelled() -> Result<()> {
    let setup = named("[commands.wait]\ncommand = [\"sleep\", \"300\"]")?.with("MAX_COMMANDS", "2");
    // A store that no other process can open: the server alone brings what they do.
    let setup = setup.with("USE_DB", "memory");
    let server = setup.start().await?;
    let ids = [started(&server, "wait").await?, started(&server, "wait").await?];
    let refused = run(&server, "wait").await?;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
    let cancel = format!("executions/{}/cancel", ids[0]);
    let token = format!("Bearer {TOKEN}");
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    assert_eq!(server.post_to_api(&cancel, &headers, "{}").await?.status, 202);
    assert_eq!(ended(&server, &ids[0]).await?["status"], "cancelled");
    until("room for another", async || Ok(run(&server, "wait").await?.status == 202)).await?;
    assert_eq!(execution(&server, &ids[1]).await?["status"], "running");
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_ends_its_commands_and_records_that() -> Result<()> {
    let setup = named(
        "[commands.wait]\ncommand = [\"sh\", \"-c\", \"trap 'echo told; exit 0' TERM; sleep 300 & echo $! > child; wait\"]",
    )?;
    let server = setup.start().await?;
    started(&server, "wait").await?;
    let child = setup.home().join("child");
    until("the start", async || Ok(fs::read_to_string(&child).is_ok_and(|pid| pid.ends_with('\n')))).await?;
    server.stop().await?;
    let recorded = Recorded::only(&setup.database())?;
    assert_eq!((recorded.status(), recorded.texts()), ("cancelled", vec!["told"]));
    assert_eq!(fs::read_dir(setup.data_dir().join("spool"))?.count(), 0);
    let child = fs::read_to_string(child)?;
    assert!(!is_alive(child.trim()), "what it started outlived the server");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_outlives_a_server_that_dies_and_its_end_is_recorded() -> Result<()> {
    let setup =
        named("[commands.wait]\ncommand = [\"sh\", \"-c\", \"until [ -e go ]; do sleep 0.05; done; echo went\"]")?;
    let server = setup.start().await?;
    let id = started(&server, "wait").await?;
    server.kill().await?;
    fs::write(setup.home().join("go"), "")?;
    let server = setup.start().await?;
    assert_eq!(ended(&server, &id).await?["status"], "completed");
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_cannot_be_recorded_is_not_started() -> Result<()> {
    let disk = SmallDisk::new(64)?;
    let setup = named("[commands.touch]\ncommand = [\"touch\", \"touched\"]")?.data_in(disk.path());
    let server = setup.start().await?;
    disk.fill()?;
    let answer = run(&server, "touch").await?;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("No space left on device"), "{}", answer.text());
    // A disk that has become full since the server looked.
    let runner = Jobs::beside(&setup)?;
    let output = runner.run(&["--execution-id", "0199c0de-0000-7000-8000-000000000001"], "touch touched")?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("No space left on device"), "{said}");
    for home in [setup.home(), runner.home()] {
        assert!(!home.join("touched").exists(), "it was started");
    }
    disk.free()?;
    let id = started(&server, "touch").await?;
    assert_eq!(ended(&server, &id).await?["status"], "completed");
    server.stop().await
}

#[tokio::test]
async fn a_command_that_cannot_be_is_refused_before_the_start() -> Result<()> {
    let setup = named("[commands.backup]\ncommand = \"pg_dump all\"")?;
    setup.start_refused().await?.says(&["tallybook.toml", "[commands.backup]", "expected a sequence"])
}
