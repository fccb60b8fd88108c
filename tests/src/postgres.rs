//! Databases in the cluster that `cargo xtask test` starts.

use std::env;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail, ensure};

/// A new, empty database in the shared cluster; dropped with this.
#[derive(Debug)]
pub struct Database {
    cluster: String,
    name: String,
}

impl Database {
    /// Makes it.
    ///
    /// # Errors
    /// When `cargo xtask test` has not started a cluster.
    pub fn new() -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let Ok(cluster) = env::var("TALLYBOOK_POSTGRES_URL") else {
            bail!("TALLYBOOK_POSTGRES_URL is not set; run `cargo xtask test`, which starts a PostgreSQL of its own");
        };
        let name = format!("whole_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        psql(&format!("{cluster}/postgres"), &format!("CREATE DATABASE {name}"))?;
        Ok(Self { cluster, name })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("{}/{}", self.cluster, self.name)
    }

    /// What a query answers, a line a row.
    ///
    /// # Errors
    /// When the database complains.
    pub fn ask(&self, sql: &str) -> Result<Vec<String>> {
        psql(&self.url(), sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(error) = psql(&format!("{}/postgres", self.cluster), &drop) {
            eprintln!("a test database stays: {error:#}");
        }
    }
}

/// What a query of a database answers, a line a row.
///
/// # Errors
/// When the database complains.
pub fn psql(url: &str, sql: &str) -> Result<Vec<String>> {
    let output = Command::new("psql")
        .args(["--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command", sql, url])
        .stdin(Stdio::null())
        .output()
        .context("cannot run psql; `cargo xtask setup` installs it")?;
    ensure!(output.status.success(), "psql on `{sql}`: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}
