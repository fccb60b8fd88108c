//! Commands of the binary that come to an end by themselves.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::setup::Setup;

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Setup {
    /// A command of the binary with this setup's folders, which is killed when it is dropped.
    ///
    /// # Errors
    /// When the binary is not there.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(crate::tools::tallybook()?);
        command
            .args(arguments)
            .current_dir(self.home())
            .env_clear()
            .env("DATA_DIR", self.data_dir())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn run(&self, arguments: &[&str]) -> Result<Said> {
        let output = self.command(arguments)?.output().await.with_context(|| format!("cannot run {arguments:?}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }
}

impl Said {
    /// Its standard output, if it ended with this code.
    ///
    /// # Errors
    /// All it said otherwise.
    pub fn ended_with(self, code: i32) -> Result<String> {
        ensure!(self.code == Some(code), "it ended with {:?} and said:\n{}\n{}", self.code, self.out, self.err);
        Ok(self.out)
    }

    /// Its standard output as JSON, if it ended with this code.
    ///
    /// # Errors
    /// All it said otherwise.
    pub fn json(self, code: i32) -> Result<Value> {
        let out = self.ended_with(code)?;
        serde_json::from_str(&out).with_context(|| format!("not JSON: {out}"))
    }
}
