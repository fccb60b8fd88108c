//! Commands that the settings name, started over HTTP: each by a `tallybook run` of its own, whose spool the server drains.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde::Deserialize;
use tallybook_core::SourceId;
use tallybook_runner::Spool;
use tallybook_server::{Commands, NamedCommand, NotStarted};
use tokio::process::Command;
use tracing::warn;

use crate::settings::{self, Settings};

/// The section of the settings file.
pub(crate) const SECTION: &str = "commands";
/// Characters of a name.
const MAX_NAME: usize = 64;
/// The time between two looks at commands that are to end.
const STOP_LOOK: Duration = Duration::from_millis(10);
/// How long a stop waits for the last events once the commands have ended; the next start would find them.
const LAST_EVENTS_MAX: Duration = Duration::from_secs(2);

/// `[commands.NAME]` of the settings file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandSettings {
    /// The program and its arguments; no shell reads them.
    command: Vec<String>,
    description: Option<String>,
    /// How long it may run, such as `2h`.
    timeout: Option<String>,
    /// Where it runs; the folder of the server where it is not said.
    cwd: Option<PathBuf>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    env_allow: Vec<String>,
}

/// Starts what the settings file names. Clones share what runs.
#[derive(Clone, Debug)]
pub(crate) struct Starter {
    named: BTreeMap<String, CommandSettings>,
    /// This program with what every run of it is told.
    tallybook: PathBuf,
    file: Option<PathBuf>,
    data_dir: PathBuf,
    at_once: usize,
    running: Arc<Mutex<Running>>,
}

#[derive(Debug, Default)]
struct Running {
    executions: HashSet<String>,
    stopping: bool,
}

impl CommandSettings {
    /// The program, without its arguments, which may hold secrets.
    pub(crate) fn program(&self) -> Option<&str> {
        self.command.first().map(String::as_str)
    }

    /// What is wrong with it.
    fn check(&self, name: &str) -> Result<()> {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        let is_name = (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_part);
        ensure!(is_name, "a name is up to {MAX_NAME} letters, digits, `-`, `_` and `.`");
        ensure!(self.command.first().is_some_and(|program| !program.is_empty()), "`command` names no program");
        if let Some(cwd) = self.cwd.as_deref().filter(|cwd| !cwd.is_dir()) {
            bail!("`cwd` {} is no folder", cwd.display());
        }
        if let Some(timeout) = &self.timeout
            && !humantime::parse_duration(timeout).is_ok_and(|timeout| !timeout.is_zero())
        {
            bail!("`timeout` is {timeout}, and not a time such as 2h");
        }
        ensure!(self.tags.keys().all(|key| !key.is_empty() && !key.contains('=')), "a tag needs a name without `=`");
        Ok(())
    }
}

/// What the settings file names.
///
/// # Errors
/// One sentence that names the file and the command.
pub(crate) fn read(file: Option<&Path>) -> Result<BTreeMap<String, CommandSettings>> {
    let shown = file.unwrap_or(Path::new(settings::DEFAULT_FILE)).display();
    let section = match settings::read_file(file)?.remove(SECTION) {
        None => return Ok(BTreeMap::new()),
        Some(toml::Value::Table(section)) => section,
        Some(_) => bail!("{shown}: `{SECTION}` must be tables, such as [{SECTION}.backup]"),
    };
    let command = |(name, value): (String, toml::Value)| {
        let read = CommandSettings::deserialize(value).map_err(|error| anyhow::anyhow!("{}", error.message()));
        match read.and_then(|command| command.check(&name).map(|()| command)) {
            Ok(command) => Ok((name, command)),
            Err(why) => bail!("{shown}: [{SECTION}.{name}]: {why}"),
        }
    };
    section.into_iter().map(command).collect()
}

impl Starter {
    /// For the commands of `file`.
    ///
    /// # Errors
    /// One sentence when one of them cannot be.
    pub(crate) fn new(settings: &Settings, file: Option<&Path>) -> Result<Self> {
        let named = read(file)?;
        if settings.network.api_token.is_none() && !named.is_empty() {
            warn!("commands are named, but API_TOKEN is not set: nobody can start them over HTTP");
        }
        Ok(Self {
            named,
            tallybook: std::env::current_exe()?,
            file: file.map(Path::to_owned),
            data_dir: settings.store.data_dir.clone(),
            at_once: settings.executions.max_commands,
            running: Arc::default(),
        })
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spool(&self) -> Spool {
        Spool::of(&self.data_dir)
    }

    /// `tallybook run` as the execution `id`, a group of its own: what ends the server must not end it half-way.
    fn run(&self, name: &str, named: &CommandSettings, id: &str) -> Command {
        let mut run = Command::new(&self.tallybook);
        if let Some(file) = &self.file {
            run.arg("--config").arg(file);
        }
        run.args(["run", "--execution-id", id, "--name", name, "--data-dir"]).arg(&self.data_dir);
        if let Some(timeout) = &named.timeout {
            run.args(["--timeout", timeout]);
        }
        if let Some(cwd) = &named.cwd {
            run.arg("--cwd").arg(cwd);
        }
        run.args(named.tags.iter().map(|(key, value)| format!("--tag={key}={value}")));
        run.args(named.env_allow.iter().map(|variable| format!("--env-allow={variable}")));
        run.arg("--").args(&named.command);
        for secret in settings::secret_variables() {
            run.env_remove(secret);
        }
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        run
    }

    /// Starts no more, ends what runs as a cancel does, and waits until that is recorded; past `limit` it goes on by itself.
    pub(crate) async fn stop(&self, limit: Duration) {
        let executions: Vec<String> = {
            let mut running = self.running();
            running.stopping = true;
            running.executions.iter().cloned().collect()
        };
        let (spool, begun) = (self.spool(), Instant::now());
        let mut ended_at = None;
        loop {
            let left: Vec<String> = self.running().executions.iter().cloned().collect();
            for id in left.iter().filter(|id| spool.has(id) && !spool.is_asked_to_cancel(id)) {
                if let Err(error) = spool.ask_to_cancel(id) {
                    warn!(execution = id, %error, "a command could not be asked to end");
                }
            }
            if left.is_empty() {
                let ended_at = *ended_at.get_or_insert_with(Instant::now);
                if !executions.iter().any(|id| spool.has(id)) || ended_at.elapsed() > LAST_EVENTS_MAX {
                    return;
                }
            } else if begun.elapsed() > limit {
                warn!(commands = left.len(), "commands have not ended in time; the next start records how they do");
                return;
            }
            tokio::time::sleep(STOP_LOOK).await;
        }
    }
}

impl Commands for Starter {
    fn list(&self) -> Vec<NamedCommand> {
        let named = |(name, command): (&String, &CommandSettings)| NamedCommand {
            name: name.clone(),
            description: command.description.clone(),
        };
        self.named.iter().map(named).collect()
    }

    fn start(&self, name: &str) -> Result<String, NotStarted> {
        let command = self.named.get(name).ok_or(NotStarted::Unknown)?;
        let id = SourceId::mint().to_string();
        let mut running = self.running();
        if running.stopping {
            return Err(NotStarted::Stopping);
        }
        if running.executions.len() >= self.at_once {
            return Err(NotStarted::TooMany(self.at_once));
        }
        self.spool().try_out(&id).map_err(NotStarted::NotRecorded)?;
        let mut child = self.run(name, command, &id).spawn()?;
        running.executions.insert(id.clone());
        let (running, execution) = (self.running.clone(), id.clone());
        tokio::spawn(async move {
            // How it ended is in its record.
            let _ = child.wait().await;
            running.lock().unwrap_or_else(PoisonError::into_inner).executions.remove(&execution);
        });
        Ok(id)
    }

    fn is_under_way(&self, id: &str) -> bool {
        self.running().executions.contains(id) || self.spool().has(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<BTreeMap<String, CommandSettings>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, text)?;
        read(Some(&path))
    }

    #[test]
    fn a_command_that_cannot_be_is_one_sentence() {
        let cases = [
            ("[commands.a]", "missing field `command`"),
            ("[commands.a]\ncommand = []", "names no program"),
            ("[commands.a]\ncommand = \"ls -l\"", "invalid type: string"),
            ("[commands.a]\ncommand = [\"ls\"]\nshell = true", "unknown field `shell`"),
            ("[commands.a]\ncommand = [\"ls\"]\ntimeout = \"soon\"", "`timeout` is soon"),
            ("[commands.a]\ncommand = [\"ls\"]\ncwd = \"/no/such/folder\"", "is no folder"),
            ("[commands.\"a/b\"]\ncommand = [\"ls\"]", "a name is up to"),
            ("commands = 1", "must be tables"),
        ];
        for (text, why) in cases {
            let said = read_text(text).expect_err(text).to_string();
            assert!(said.contains(why) && said.contains("settings.toml: ") && said.lines().count() == 1, "{said}");
        }
        assert_eq!(read_text("max_services = 5").unwrap().len(), 0);
        assert_eq!(read_text("[commands.a]\ncommand = [\"ls\"]\ntimeout = \"2h\"").unwrap().len(), 1);
    }
}
