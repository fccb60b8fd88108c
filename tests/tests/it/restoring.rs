//! The restore drill: a backup that is taken beside a busy server is a server's data again.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use tallybook_tests::postgres::Database;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::{check_integrity, tallybook};
use tokio::process::Command;

/// What one says to the program, in the folder of a setup: its exit code, and what it printed.
async fn say(setup: &Setup, arguments: &[&str]) -> Result<(i32, String)> {
    say_with(setup, &[], arguments).await
}

async fn say_with(setup: &Setup, settings: &[(&str, &str)], arguments: &[&str]) -> Result<(i32, String)> {
    let mut command = Command::new(tallybook()?);
    command.args(arguments).current_dir(setup.home()).env_clear().env("DATA_DIR", setup.data_dir());
    command.envs(settings.iter().copied());
    let output = command.stdin(Stdio::null()).output().await?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned()))
}

async fn well(setup: &Setup, arguments: &[&str]) -> Result<String> {
    let (code, said) = say(setup, arguments).await?;
    ensure!(code == 0, "{arguments:?} ended with {code}: {said}");
    Ok(said)
}

#[tokio::test]
async fn a_backup_beside_a_running_server_is_restored_and_served() -> Result<()> {
    let setup = Setup::new()?.with("BACKUP_EVERY", "1s").argument("--demo");
    let server = setup.start().await?;
    server.wait_for_records(500).await?;
    let taken: Value = serde_json::from_str(&well(&setup, &["backup", "--json"]).await?)?;
    ensure!(taken["files"].as_u64().is_some_and(|files| files >= 1), "{taken}");
    // By itself, a server takes some as well.
    let begun = std::time::Instant::now();
    while serde_json::from_str::<Vec<Value>>(&well(&setup, &["backups", "--json"]).await?)?.len() < 3 {
        ensure!(begun.elapsed() < Duration::from_secs(120), "{}", server.log()?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let counted = well(&setup, &["sql", "--csv", "SELECT sum(spans) > 0 FROM service"]).await?;
    ensure!(counted.ends_with("1\r\n"), "{counted}");
    // Where it runs, nothing is restored over it.
    let (code, said) = say(&setup, &["restore"]).await?;
    ensure!(code != 0 && said.contains("uses the data folder"), "{said}");
    server.kill().await?;
    well(&setup, &["backups", "--verify"]).await?;
    let (code, said) = say(&setup, &["restore"]).await?;
    ensure!(code != 0 && said.contains("overwrites nothing"), "{said}");

    let restored = setup.home().join("restored");
    let name = taken["name"].as_str().unwrap_or_default();
    well(&setup, &["restore", name, "--to", &restored.display().to_string()]).await?;
    check_integrity(&restored.join("tallybook.db"))?;
    let setup = Setup::new()?.data_in(&restored);
    let server = setup.start().await?;
    ensure!(server.list("services").await?.len() >= 3, "the services are back");
    server.stop().await?;
    let (code, said) = say(&setup, &["doctor"]).await?;
    ensure!(code == 1 && said.contains("there is none in"), "no backup there is a warning: {code} {said}");
    well(&setup, &["optimize"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_doctor_says_how_bad_it_is_by_the_exit_code() -> Result<()> {
    let setup = Setup::new()?;
    let (code, said) = say(&setup, &["doctor"]).await?;
    ensure!(code == 2 && said.contains("critical"), "{code} {said}");
    setup.start().await?.stop().await?;
    well(&setup, &["backup"]).await?;
    let (code, said) = say(&setup, &["doctor", "--full", "--json"]).await?;
    let report: Value = serde_json::from_str(&said)?;
    let bad: Vec<&Value> =
        report["findings"].as_array().into_iter().flatten().filter(|f| f["severity"] != "ok").collect();
    // The machine that runs this may be short of room.
    ensure!(code == 0 || bad.iter().all(|finding| finding["check"] == "free disk"), "{code} {bad:?}");
    let mut bytes = std::fs::read(setup.database())?;
    let half = bytes.len() / 2;
    bytes[half..].fill(0xA5);
    std::fs::write(setup.database(), bytes)?;
    let (code, said) = say(&setup, &["doctor"]).await?;
    ensure!(code == 2 && said.contains("the file is damaged") && said.contains("tallybook restore"), "{code} {said}");
    let (code, said) = say(&setup, &["backup"]).await?;
    ensure!(code == 1 && said.contains("damaged"), "{code} {said}");
    Ok(())
}

#[tokio::test]
async fn a_backup_of_postgresql_comes_back_into_an_empty_database_and_into_no_other() -> Result<()> {
    let (from, to) = (Database::new()?, Database::new()?);
    let setup = Setup::new()?.with("USE_DB", "postgres").with("DATABASE_URL", &from.url()).argument("--demo");
    let server = setup.start().await?;
    server.wait_for_records(500).await?;
    let on = |database: &Database| {
        [("USE_DB".to_owned(), "postgres".to_owned()), ("DATABASE_URL".to_owned(), database.url())]
    };
    let say_on = async |database: &Database, arguments: &[&str]| {
        let settings = on(database);
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        say_with(&setup, &settings, arguments).await
    };
    let (code, said) = say_on(&from, &["backup"]).await?;
    ensure!(code == 0, "{said}");
    server.stop().await?;
    let (code, said) = say_on(&from, &["restore"]).await?;
    ensure!(code == 1 && said.contains("overwrites nothing"), "{said}");
    let (code, said) = say_on(&to, &["restore"]).await?;
    ensure!(code == 0, "{said}");
    let setup = Setup::new()?.with("USE_DB", "postgres").with("DATABASE_URL", &to.url());
    let server = setup.start().await?;
    ensure!(server.list("services").await?.len() >= 3, "the services are back");
    server.stop().await
}
