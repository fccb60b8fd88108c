//! Databases in the cluster that `cargo xtask test` starts, and clusters that a test may stop.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

/// Who runs a cluster where the tests are root, which PostgreSQL refuses to be.
const USER: &str = "postgres";

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

/// A cluster of its own, for tests that stop it; stopped and removed when dropped.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes and starts it.
    ///
    /// # Errors
    /// When PostgreSQL's programs are not there or do not work.
    pub fn start() -> Result<Self> {
        let programs = env::var_os("TALLYBOOK_POSTGRES_PROGRAMS")
            .context("TALLYBOOK_POSTGRES_PROGRAMS is not set; run `cargo xtask test`")?;
        let folder = tempfile::Builder::new().prefix("tallybook-outage-").tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self { folder, programs: programs.into(), port };
        if rustix::process::getuid().is_root() {
            run(Command::new("chown").arg(USER).arg(cluster.folder.path()))?;
        }
        run(cluster.program("initdb").args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync"]))?;
        cluster.resume()?;
        Ok(cluster)
    }

    /// The URL of its one database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// What a query answers, a line a row.
    ///
    /// # Errors
    /// When the database complains.
    pub fn ask(&self, sql: &str) -> Result<Vec<String>> {
        psql(&self.url(), sql)
    }

    /// Stops it in the middle of what it does.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&self) -> Result<()> {
        run(self.program("pg_ctl").args(["--mode=immediate", "--silent", "stop"]))
    }

    /// Starts it again.
    ///
    /// # Errors
    /// When it does not start; its log says why.
    pub fn resume(&self) -> Result<()> {
        let folder = self.folder.path();
        let options = format!("-p {} -k {} -c listen_addresses=127.0.0.1", self.port, folder.display());
        let log = folder.join("log");
        let started = run(self
            .program("pg_ctl")
            .args(["--wait", "--silent", "--options", &options, "--log"])
            .arg(&log)
            .arg("start"));
        started.with_context(|| fs::read_to_string(log).unwrap_or_default())
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if rustix::process::getuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path()).arg("--pgdata").arg(self.folder.path().join("data"));
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("a test's PostgreSQL may still run: {error:#}");
        }
    }
}

fn psql(url: &str, sql: &str) -> Result<Vec<String>> {
    let output = Command::new("psql")
        .args(["--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command", sql, url])
        .stdin(Stdio::null())
        .output()
        .context("cannot run psql; `cargo xtask setup` installs it")?;
    ensure!(output.status.success(), "psql on `{sql}`: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn run(command: &mut Command) -> Result<()> {
    // A server that is started must not keep a pipe of ours open: it would be waited for.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
