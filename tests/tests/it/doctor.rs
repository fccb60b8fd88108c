//! The doctor says what is wrong with PostgreSQL and with the mirror, and what mends it.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tallybook_tests::jobs::until;
use tallybook_tests::postgres::Database;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::tallybook;
use tokio::process::Command;

/// The exit code of `tallybook doctor`, and what it found.
async fn doctor(setup: &Setup, settings: &[(&str, &str)]) -> Result<(i32, Value)> {
    let mut command = Command::new(tallybook()?);
    command.args(["doctor", "--json"]).current_dir(setup.home()).env_clear().env("DATA_DIR", setup.data_dir());
    let output = command.envs(settings.iter().copied()).stdin(Stdio::null()).output().await?;
    let found = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no report: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((output.status.code().unwrap_or(-1), found))
}

/// The findings of one check.
fn of<'r>(report: &'r Value, check: &str) -> Vec<&'r Value> {
    report["findings"].as_array().into_iter().flatten().filter(|finding| finding["check"] == check).collect()
}

fn only<'r>(report: &'r Value, check: &str) -> Result<&'r Value> {
    let found = of(report, check);
    ensure!(found.len() == 1, "`{check}` has {} findings: {report}", found.len());
    Ok(found[0])
}

#[tokio::test]
async fn the_doctor_looks_at_postgresql_changes_nothing_and_says_what_mends_it() -> Result<()> {
    let database = Database::new()?;
    let url = database.url();
    let settings = [("USE_DB", "postgres"), ("DATABASE_URL", url.as_str())];
    let setup = Setup::new()?.with("USE_DB", "postgres").with("DATABASE_URL", &url);
    let (code, report) = doctor(&setup, &settings).await?;
    assert_eq!(code, 1, "{report}");
    assert_eq!(only(&report, "schema")?["found"], "there is none");
    assert_eq!(database.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")?, ["0"]);

    let server = setup.start().await?;
    let (code, report) = doctor(&setup, &settings).await?;
    assert_eq!(code, 0, "{report}");
    for check in ["database", "schema", "indexes", "connections", "long transactions", "dead rows", "replication"] {
        assert_eq!(only(&report, check)?["severity"], "ok");
    }
    database.ask("DROP INDEX execution_by_name")?;
    let (code, report) = doctor(&setup, &settings).await?;
    assert_eq!(code, 1);
    let index = only(&report, "indexes")?;
    assert_eq!(index["found"], "execution_by_name is not there");
    let fix = index["fix"].as_str().context("a fix")?;
    let mended = Command::new("sh").args(["-c", fix]).env("DATABASE_URL", &url).output().await?;
    ensure!(mended.status.success(), "{fix}: {}", String::from_utf8_lossy(&mended.stderr));
    assert_eq!(doctor(&setup, &settings).await?.0, 0);

    // The server says the same, but for what only the command line knows.
    let mut served = server.api("doctor").await?;
    let mut said = doctor(&setup, &settings).await?.1;
    for report in [&mut served, &mut said] {
        let findings = report["findings"].as_array_mut().context("findings")?;
        findings.retain(|finding| {
            !["database", "connections", "dead rows", "settings"]
                .contains(&finding["check"].as_str().unwrap_or_default())
        });
    }
    assert_eq!(served, said);
    server.stop().await?;

    let away = [("USE_DB", "postgres"), ("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/none")];
    let (code, report) = doctor(&setup, &away).await?;
    assert_eq!((code, &only(&report, "database")?["severity"]), (2, &Value::from("critical")));
    assert!(!report.to_string().contains("hunter2"));
    Ok(())
}

#[tokio::test]
async fn the_doctor_asks_the_server_how_far_behind_its_mirror_is() -> Result<()> {
    let setup = Setup::new()?;
    let mirror = format!("sqlite:{}", setup.home().join("mirror").display());
    let alone = doctor(&setup, &[]).await?.1;
    assert!(of(&alone, "mirror").is_empty(), "nobody asked for one: {alone}");
    let wanted = [("MIRROR_URL", mirror.as_str())];
    let missing = doctor(&setup, &wanted).await?.1;
    assert_eq!(only(&missing, "mirror")?["found"], "no server runs");

    let setup = setup.with("MIRROR_URL", &mirror);
    let server = setup.start().await?;
    until("a mirror that follows", async || Ok(server.api("mirror").await?["state"] == "following")).await?;
    for report in [doctor(&setup, &wanted).await?.1, server.api("doctor").await?] {
        let found = only(&report, "mirror")?;
        assert_eq!(found["severity"], "ok");
        assert!(found["found"].as_str().is_some_and(|said| said.contains("is following, 0s behind")), "{found}");
    }
    assert_eq!(server.post_to_api("mirror/pause", &[], "").await?.status, 200);
    until("a mirror that rests", async || Ok(server.api("mirror").await?["state"] == "paused")).await?;
    for report in [doctor(&setup, &[]).await?.1, server.api("doctor").await?] {
        let found = only(&report, "mirror")?;
        assert_eq!((&found["severity"], &found["fix"]), (&"warning".into(), &"tallybook mirror resume".into()));
    }
    server.stop().await
}
