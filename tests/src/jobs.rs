//! `tallybook run`, as its users start it, and what is recorded of it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tallybook_core::{LogLines, Stream};
use tempfile::TempDir;

use crate::PATIENCE;
use crate::setup::Setup;
use crate::tools::sqlite3;

const LOOK: Duration = Duration::from_millis(10);

/// A place in which commands are run.
#[derive(Debug)]
pub struct Jobs {
    home: TempDir,
    data_dir: PathBuf,
    server: Option<String>,
}

impl Jobs {
    /// With folders of its own.
    ///
    /// # Errors
    /// When no folder can be made.
    pub fn new() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("tallybook-job-").tempdir()?;
        let data_dir = home.path().join("data");
        Ok(Self { home, data_dir, server: None })
    }

    /// With the data folder of a server.
    ///
    /// # Errors
    /// When no folder can be made.
    pub fn beside(setup: &Setup) -> Result<Self> {
        Ok(Self::new()?.data_in(setup.data_dir()))
    }

    /// With its data in this folder.
    pub fn data_in(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.data_dir);
        self
    }

    /// Recorded by the server at this address.
    pub fn recorded_by(mut self, server: &str) -> Self {
        self.server = Some(server.to_owned());
        self
    }

    /// The folder that commands run in.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Spools that lie in the data folder.
    pub fn spooled(&self) -> usize {
        std::fs::read_dir(self.data_dir.join("spool")).map_or(0, Iterator::count)
    }

    /// Whether this is in a spool by now: events are there as JSON, a few lines as they are.
    pub fn has_spooled(&self, text: &str) -> bool {
        let spools = std::fs::read_dir(self.data_dir.join("spool")).into_iter().flatten().flatten();
        let mut contents = spools.filter_map(|spool| std::fs::read(spool.path()).ok());
        contents.any(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
    }

    /// `tallybook` with these arguments, not started yet.
    ///
    /// # Errors
    /// When the binary is not there.
    pub fn tallybook<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Command> {
        let mut command = Command::new(crate::tools::tallybook()?);
        command
            .args(arguments)
            .current_dir(self.home())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATA_DIR", &self.data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    /// `tallybook run OPTIONS -- sh -c SCRIPT`, not started yet.
    ///
    /// # Errors
    /// When the binary is not there.
    pub fn command(&self, options: &[&str], script: &str) -> Result<Command> {
        let server: Vec<&str> = self.server.iter().flat_map(|server| ["--server", server]).collect();
        self.tallybook(&[&["run"], server.as_slice(), options, &["--", "sh", "-c", script]].concat())
    }

    /// Runs a script to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, options: &[&str], script: &str) -> Result<Output> {
        Ok(self.command(options, script)?.output()?)
    }

    /// Starts a script.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, options: &[&str], script: &str) -> Result<Job> {
        Ok(Job(self.command(options, script)?.spawn()?))
    }

    /// Delivers what lies in the spool.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn deliver(&self) -> Result<()> {
        let server: Vec<&str> = self.server.iter().flat_map(|server| ["--server", server]).collect();
        let output = self.tallybook(&[&["run"], server.as_slice(), &["--deliver"]].concat())?.output()?;
        ensure!(output.status.success(), "--deliver: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// `tallybook run` at work; killed when dropped.
#[derive(Debug)]
pub struct Job(Child);

impl Job {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal by its name, such as `TERM`.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()).status()?;
        ensure!(status.success(), "kill -{signal} ended with {status}");
        Ok(())
    }

    /// Kills it without a chance to do anything about it.
    ///
    /// # Errors
    /// When it has ended before.
    pub fn kill(mut self) -> Result<()> {
        ensure!(self.0.try_wait()?.is_none(), "the run had ended by itself");
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn end(mut self) -> Result<std::process::ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(LOOK);
        }
        bail!("the run did not end within {} s", PATIENCE.as_secs())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Only reached alive when a test failed half-way.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a process is there and no zombie.
pub fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// An execution as it lies in the SQLite store.
#[derive(Debug)]
pub struct Recorded {
    /// The execution.
    pub execution: Value,
    /// Its steps.
    pub steps: Vec<Value>,
    /// Its lines: the stream and the text.
    pub lines: Vec<(Stream, String)>,
}

impl Recorded {
    /// The only execution there is.
    ///
    /// # Errors
    /// When there are others, or none.
    pub fn only(database: &Path) -> Result<Self> {
        let mut all = Self::all(database)?;
        ensure!(all.len() == 1, "there are {} executions: {all:?}", all.len());
        all.pop().context("there is one")
    }

    /// All executions, the oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn all(database: &Path) -> Result<Vec<Self>> {
        let executions = sqlite3(database, "SELECT * FROM execution ORDER BY created_at")?;
        executions.into_iter().map(|execution| Self::read(database, execution)).collect()
    }

    fn read(database: &Path, execution: Value) -> Result<Self> {
        let id = execution["id"].as_str().context("an execution has an id")?;
        let of = format!("WHERE execution = '{id}'");
        let steps = sqlite3(database, &format!("SELECT * FROM step {of} ORDER BY step_index"))?;
        let chunks = sqlite3(
            database,
            &format!("SELECT first_line, lines, hex(data) AS data FROM log_chunk {of} ORDER BY first_line"),
        )?;
        let mut lines = Vec::new();
        for chunk in chunks {
            let first = chunk["first_line"].as_u64().context("a chunk has a first line")?;
            ensure!(first == lines.len() as u64 + 1, "line {first} follows line {}", lines.len());
            let data = hex::decode(chunk["data"].as_str().context("a chunk has data")?)?;
            let read = LogLines::decode(&data)?;
            ensure!(
                chunk["lines"].as_u64() == Some(read.len()),
                "a chunk says {} and has {}",
                chunk["lines"],
                read.len()
            );
            lines.extend(read.iter().map(|line| (line.stream, String::from_utf8_lossy(line.text).into_owned())));
        }
        Ok(Self { execution, steps, lines })
    }

    /// Its status.
    pub fn status(&self) -> &str {
        self.execution["status"].as_str().unwrap_or_default()
    }

    /// The text of its lines.
    pub fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|(_, text)| text.as_str()).collect()
    }
}

/// Waits until something is so.
///
/// # Errors
/// When it does not become so in time.
pub async fn until<F: Future<Output = Result<bool>>>(what: &str, mut is_so: impl FnMut() -> F) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if is_so().await? {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("{what} did not happen within {} s", PATIENCE.as_secs())
}
