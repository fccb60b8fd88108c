//! The programs that the tests run: the binary under test, Python, and the `sqlite3` command line tool.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// The binary under test: `TALLYBOOK_BIN`, or the one that the same cargo built.
///
/// # Errors
/// When it is not there.
pub fn tallybook() -> Result<PathBuf> {
    if let Some(path) = env::var_os("TALLYBOOK_BIN") {
        return Ok(path.into());
    }
    let test = env::current_exe()?;
    // The test is target/<profile>/deps/<name>.
    let folder = test.ancestors().nth(2).context("the test runs outside cargo's folders")?;
    let path = folder.join("tallybook");
    ensure!(path.exists(), "{} is not there; `cargo build` makes it, or set TALLYBOOK_BIN", path.display());
    Ok(path)
}

/// A command that runs Python with the packages of the tests.
///
/// # Errors
/// When `TALLYBOOK_PYTHON` is not set, which `cargo xtask setup` tells.
pub fn python() -> Result<tokio::process::Command> {
    let Some(path) = env::var_os("TALLYBOOK_PYTHON") else {
        bail!("TALLYBOOK_PYTHON is not set; `cargo xtask setup` installs Python's packages and prints it");
    };
    let mut command = tokio::process::Command::new(path);
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// Runs a command to its end; gives its standard output.
///
/// # Errors
/// When it fails; the error holds all it said.
pub async fn run(mut command: tokio::process::Command) -> Result<String> {
    let output = command.output().await.with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?} ended with {}:\n{said}\n{complained}", command.as_std(), output.status);
    Ok(said)
}

/// What the `sqlite3` tool answers, row by row.
///
/// # Errors
/// When the tool is missing or complains.
pub fn sqlite3(database: &Path, sql: &str) -> Result<Vec<Value>> {
    let output = Command::new("sqlite3")
        .args(["-readonly", "-json", "-cmd", ".timeout 5000"])
        .arg(database)
        .arg(sql)
        .stdin(Stdio::null())
        .output()
        .context("cannot run sqlite3; `cargo xtask setup` installs it")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && complaint.is_empty(), "sqlite3 on `{sql}`: {complaint}");
    if output.stdout.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&output.stdout).context("sqlite3 did not answer in JSON")
}

/// Fails unless SQLite finds the file whole.
///
/// # Errors
/// What SQLite found.
pub fn check_integrity(database: &Path) -> Result<()> {
    let rows = sqlite3(database, "PRAGMA integrity_check")?;
    ensure!(rows == [serde_json::json!({ "integrity_check": "ok" })], "{} is damaged: {rows:?}", database.display());
    Ok(())
}
