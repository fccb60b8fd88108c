//! `tallybook run`: runs a command, passes its output through, and records what it does.

mod clean;
mod destination;
mod drain;
mod home;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use tallybook_runner::{ArtifactLimits, Limits, RunOptions, RunOutcome};

use crate::settings::Settings;
pub(crate) use clean::{clean, keep_clean};
pub(crate) use destination::StoreDestination;
pub(crate) use drain::drain;
use home::{Home, Undelivered};

/// The exit code when nothing was started: that of `env`, `timeout` and `docker run`.
const CANNOT_BEGIN: u8 = 125;

/// What `run` runs, and where it is recorded.
#[derive(Args)]
pub(crate) struct Options {
    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "deliver"
    )]
    command: Vec<OsString>,
    /// What people call it; runs of one name are compared. The name of the program by default
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Sort it by this; may be given more than once
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = read_tag)]
    tags: Vec<(String, String)>,
    /// Record these variables of the environment; a name that ends with * stands for all that begin so
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    env_allow: Vec<String>,
    /// End the command after this time: TERM to its process group, and KILL after the grace
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// The time from TERM to KILL
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    grace: Duration,
    /// Run the command in this folder
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Artifacts may come from this folder; by default from the one the command runs in
    #[arg(long, value_name = "DIR")]
    artifact_root: Option<PathBuf>,
    /// How long the execution is kept; as the setting KEEP_EXECUTIONS has it by default
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    keep: Option<Duration>,
    /// How long its artifacts are kept; as long as the execution by default
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    keep_artifacts: Option<Duration>,
    /// Record with the server at this address, and not in the store of the settings
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The server's token
    #[arg(long, env = "API_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Run nothing: deliver what earlier runs could not, and mark those that died as interrupted
    #[arg(long, conflicts_with = "command")]
    deliver: bool,
    /// Record as this execution in the spool; whoever gave the id, a server, takes it from there
    #[arg(long, hide = true, value_name = "ID", conflicts_with_all = ["server", "deliver"])]
    execution_id: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

fn read_tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a tag is KEY=VALUE".to_owned()),
    }
}

/// Runs the command; the exit code is its own.
///
/// # Errors
/// One sentence when nothing was started.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.execution_id.is_some() {
        return run_for_server(options);
    }
    let home = Home::new(&options.settings, options.server.as_deref(), options.token.as_deref());
    if options.deliver {
        return deliver(&home?);
    }
    let outcome = home.and_then(|home| run_command(options, &home));
    match outcome {
        Ok(code) => Ok(code),
        Err(error) => {
            eprintln!("tallybook: {error:#}");
            Ok(CANNOT_BEGIN.into())
        }
    }
}

/// Runs a command for a server, which takes what is recorded from the spool and hears nothing else.
fn run_for_server(options: &Options) -> Result<ExitCode> {
    let outcome = tallybook_runner::run(&options.run_options(None)?, |_| ())?;
    Ok(u8::try_from(outcome.exit_code).unwrap_or(u8::MAX).into())
}

fn deliver(home: &Home) -> Result<ExitCode> {
    let done = home.deliver_all()?;
    println!("{} delivered, {} still running", counted(done.whole, "execution"), done.live);
    for (id, why) in &done.failed {
        eprintln!("tallybook: {id} is not delivered: {why}");
    }
    Ok(if done.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_command(options: &Options, home: &Home) -> Result<ExitCode> {
    let run_options = options.run_options(home.server())?;
    let mut background = None;
    let mut outcome = tallybook_runner::run(&run_options, |_| background = Some(home.start_courier()))?;
    let code = u8::try_from(outcome.exit_code).unwrap_or(u8::MAX);
    let undelivered = match background {
        Some(background) => home.deliver_last(background, &outcome.id),
        None => None,
    };
    tell(&mut outcome, undelivered);
    Ok(code.into())
}

/// Says what a user has to know, and nothing when all is well.
fn tell(outcome: &mut RunOutcome, undelivered: Option<Undelivered>) {
    if let Some(why) = &outcome.not_started {
        eprintln!("tallybook: {why}");
    }
    if let Some(error) = &outcome.not_spooled {
        eprintln!("tallybook: nothing of this run is recorded: {error}");
    }
    if outcome.lost.lines + outcome.lost.events > 0 {
        let why = outcome.lost.error.as_deref().unwrap_or("they could not be written");
        let lines = counted(usize::try_from(outcome.lost.lines).unwrap_or(usize::MAX), "line");
        eprintln!("tallybook: {lines} and {} other events are not recorded: {why}", outcome.lost.events);
    }
    let Some(Undelivered { why, path, is_for_now }) = undelivered else { return };
    let path = path.display();
    let kept = match outcome.sync() {
        Ok(()) if is_for_now => {
            format!("it is kept in {path} and delivered by the next run, or by `tallybook run --deliver`")
        }
        Ok(()) => format!("it is kept in {path}"),
        Err(error) => format!("it may be lost, as {path} cannot be written to: {error}"),
    };
    let yet = if is_for_now { " yet" } else { "" };
    eprintln!("tallybook: the record of this run is not delivered{yet}: {why}; {kept}");
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Options {
    fn run_options(&self, server: Option<&str>) -> Result<RunOptions> {
        let here = std::env::current_dir()?;
        let cwd = self.cwd.as_ref().map_or(here.clone(), |cwd| here.join(cwd));
        if !cwd.is_dir() {
            bail!("--cwd {} is no folder", cwd.display());
        }
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            bail!("--timeout must be above 0");
        }
        let mut tags = BTreeMap::new();
        for (key, value) in &self.tags {
            if tags.insert(key.clone(), value.clone()).is_some() {
                bail!("the tag {key} is given twice");
            }
        }
        Ok(RunOptions {
            id: self.execution_id.clone(),
            command: self.command.clone(),
            name: self.name.clone(),
            tags,
            env_allow: self.env_allow.clone(),
            cwd,
            artifact_root: self.artifact_root.clone(),
            keep: self.keep,
            keep_artifacts: self.keep_artifacts,
            limits: Limits { timeout: self.timeout, grace: self.grace, ..Limits::default() },
            artifact_limits: ArtifactLimits::default(),
            data_dir: self.settings.store.data_dir.clone(),
            server: server.map(ToOwned::to_owned),
            only_recorded: self.execution_id.is_some(),
        })
    }
}
