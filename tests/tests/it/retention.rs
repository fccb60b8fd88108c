//! Executions and artifacts leave when their time is over; a dry run says the same and removes nothing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tallybook_tests::jobs::Jobs;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::sqlite3;

const DAY: Duration = Duration::from_secs(86_400);

fn prune(jobs: &Jobs, options: &[&str]) -> Result<Value> {
    let output = jobs.tallybook(&[&["prune", "--json"], options].concat())?.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Rows of executions that went or would.
fn executions(pruned: &Value) -> Result<u64> {
    let rows = pruned["rows"].as_array().context("no rows")?;
    Ok(rows.iter().filter(|old| old["table"] == "execution").filter_map(|old| old["rows"].as_u64()).sum())
}

fn contents(data_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for shelf in fs::read_dir(data_dir.join("artifacts"))? {
        let shelf = shelf?.path();
        if shelf.is_dir() {
            found.extend(
                fs::read_dir(shelf)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?,
            );
        }
    }
    Ok(found)
}

#[test]
fn executions_and_artifacts_go_when_their_time_is_over_and_a_dry_run_says_which() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let keeping = |name: &str, options: &[&str]| -> Result<()> {
        let script = format!("echo {name} > {name}; echo STEP_START:one; echo ARTIFACT:{name}:; echo ::warning::w");
        let output = jobs.run(&[&["--name", name], options].concat(), &script)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    keeping("expired", &["--keep", "1ms"])?;
    keeping("without", &["--keep-artifacts", "1ms"])?;
    keeping("kept", &["--keep", "1h", "--keep-artifacts", "1h"])?;
    // Young contents stay: their executions may not be there yet.
    let young = prune(&jobs, &["--dry-run"])?;
    assert_eq!((executions(&young)?, &young["contents"]["artifacts"]), (1, &json!(0)));
    for content in contents(setup.data_dir())? {
        File::options().write(true).open(content)?.set_modified(SystemTime::now() - 2 * DAY)?;
    }

    let names = || sqlite3(&setup.database(), "SELECT name FROM executions ORDER BY name");
    let before = names()?;
    let dry = prune(&jobs, &["--dry-run"])?;
    assert_eq!((executions(&dry)?, &dry["contents"]["artifacts"]), (1, &json!(2)));
    assert_eq!((names()?, contents(setup.data_dir())?.len()), (before, 3), "a dry run removes nothing");

    let wet = prune(&jobs, &[])?;
    assert_eq!((executions(&wet)?, &wet["contents"]), (1, &dry["contents"]), "as the dry run said");
    assert_eq!(names()?, [json!({"name": "kept"}), json!({"name": "without"})]);
    assert_eq!(contents(setup.data_dir())?.len(), 1);
    let left = sqlite3(
        &setup.database(),
        "SELECT name, stored IS NOT NULL AS stored FROM artifacts JOIN executions ON id = execution_id ORDER BY name",
    )?;
    assert_eq!(left, [json!({"name": "kept", "stored": 1}), json!({"name": "without", "stored": 0})]);
    for table in ["step", "annotation", "log_chunk"] {
        let left = sqlite3(&setup.database(), &format!("SELECT count(DISTINCT execution) AS executions FROM {table}"))?;
        assert_eq!(left, [json!({"executions": 2})], "what belongs to it goes with it: {table}");
    }
    // The setting holds beside their own time.
    let rest = jobs.tallybook(&["prune", "--json"])?.env("KEEP_EXECUTIONS", "0s").output()?;
    assert_eq!(executions(&serde_json::from_slice(&rest.stdout)?)?, 2);
    assert_eq!((names()?, contents(setup.data_dir())?.len()), (vec![], 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_says_which_executions_the_next_round_removes() -> Result<()> {
    let setup = Setup::new()?.with("KEEP_EXECUTIONS", "1h");
    let server = setup.start().await?;
    let jobs = Jobs::beside(&setup)?;
    jobs.run(&["--name", "expired", "--keep", "1ms"], "true")?;
    jobs.run(&["--name", "kept"], "true")?;
    assert_eq!(executions(&server.api("retention").await?)?, 1);
    server.stop().await
}
