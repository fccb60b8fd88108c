//! One run of a command, from its start to its end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tallybook_core::{EventError, ExecutionEvent, ExecutionEventKind, NewExecution, Stream, Timestamp, Tracker};
use uuid::Uuid;

use crate::artifacts::{ArtifactLimits, Artifacts, Root};
use crate::clock::Clock;
use crate::process::{self, Ended, Event, Exit, Limits, Watch};
use crate::pump::pump;
use crate::recorder::{Keeper, Lost, MAX_ARTIFACTS_WAITING, Message, Recorder, Wanted};
use crate::secrets::Secrets;
use crate::signals;
use crate::spool::{Spool, SpoolWriter};
use crate::terminal::Terminal;

/// Reads of output that wait to be recorded; past that the command waits.
const MAX_MESSAGES: usize = 64;
/// The longest command that is recorded whole, in bytes; of a longer one the beginning is.
const MAX_COMMAND_BYTES: usize = 32 * 1024;
/// The exit code of a command that is not there, and of one that cannot be run.
const NOT_FOUND: i32 = 127;
const CANNOT_RUN: i32 = 126;

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The execution it is recorded as, a UUID; a new one where it is not said.
    pub id: Option<String>,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// What people call it; the name of the program where it is not said.
    pub name: Option<String>,
    /// What people sort it by.
    pub tags: BTreeMap<String, String>,
    /// Names of variables whose values are recorded; one that ends with `*` stands for all that begin so.
    pub env_allow: Vec<String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Where artifacts may come from; the working directory where it is not said.
    pub artifact_root: Option<PathBuf>,
    /// How long the execution is kept once it has begun; as the server keeps all where it is not said.
    pub keep: Option<Duration>,
    /// How long its artifacts are kept; as long as the execution where it is not said.
    pub keep_artifacts: Option<Duration>,
    /// Time limits.
    pub limits: Limits,
    /// What artifacts may be.
    pub artifact_limits: ArtifactLimits,
    /// Where events are spooled and artifacts are kept.
    pub data_dir: PathBuf,
    /// The server the events are for; without it, the store of the data folder.
    pub server: Option<String>,
    /// Nothing is started that cannot be recorded: whoever asked for the run knows it by its record only.
    pub only_recorded: bool,
}

/// Why a command was not started, before anything was done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What is to be recorded cannot be.
    #[error("the run cannot be recorded: {0}")]
    Defect(#[from] EventError),
    /// The folder artifacts may come from is not there.
    #[error("the folder {path} cannot be used: {error}")]
    Folder {
        /// Which folder.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// Nothing of it could be spooled, and it was to be recorded or not to run.
    #[error("nothing of the run can be recorded: {0}")]
    NotSpooled(io::Error),
    /// The runner could not be set up.
    #[error("signals cannot be passed on: {0}")]
    Signals(io::Error),
}

/// How a run ended.
#[derive(Debug)]
pub struct RunOutcome {
    /// The execution.
    pub id: String,
    /// Of the command: 128 and the number of the signal where one ended it.
    pub exit_code: i32,
    /// What could not be recorded.
    pub lost: Lost,
    /// Why the command could not be started.
    pub not_started: Option<String>,
    /// Why nothing at all is recorded.
    pub not_spooled: Option<io::Error>,
    spool: Option<SpoolWriter>,
}

impl RunOutcome {
    /// Puts on disk what nobody has taken over yet.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn sync(&mut self) -> io::Result<()> {
        self.spool.as_mut().map_or(Ok(()), SpoolWriter::sync)
    }
}

/// Runs a command to its end. `spooled` is called with the id once events are there to be taken over.
///
/// A command whose events cannot be spooled runs all the same, unless the options say otherwise: its work is worth more than the
/// record of it.
///
/// # Errors
/// When nothing was started.
pub fn run(options: &RunOptions, spooled: impl FnOnce(&str)) -> Result<RunOutcome, RunError> {
    let clock = Clock::start();
    let secrets = Secrets::of_environment();
    let id = options.id.clone().unwrap_or_else(|| Uuid::now_v7().hyphenated().to_string());
    let root = root(options)?;
    let expires_at = options.keep.map(|keep| later(clock.now(), keep));
    let created = ExecutionEventKind::Created(NewExecution { expires_at, ..describe(options, &secrets) });
    let created = ExecutionEvent { number: 1, at: clock.now(), kind: created };
    let tracker = Tracker::create(&id, created.clone())?;

    let (watch, events) = channel();
    signals::forward(watch.clone()).map_err(RunError::Signals)?;
    let spool = SpoolWriter::create(&Spool::of(&options.data_dir), &id, options.server.as_deref()).map(|mut spool| {
        spool.event(&created);
        spool
    });
    let (messages, received) = sync_channel(MAX_MESSAGES);
    let (recording, not_spooled) = match spool {
        Ok(spool) => {
            let artifacts = keep_artifacts(options, root, messages.clone());
            let artifacts = Keeper { wanted: artifacts, keep: options.keep_artifacts };
            let recorder = Recorder::new(tracker, spool, secrets, clock, artifacts, watch.clone());
            spooled(&id);
            (Some(thread::spawn(move || recorder.run(&received))), None)
        }
        Err(error) if options.only_recorded => return Err(RunError::NotSpooled(error)),
        Err(error) => {
            drop(received);
            (None, Some(error))
        }
    };

    let started = process::spawn(&options.command, &options.cwd, &id);
    let (ended, not_started) = match started {
        Ok(mut child) => {
            // Without a recorder nobody receives, and the output goes on.
            let _ = messages.send(Message::Started(clock.now()));
            let terminal = Terminal::of_input();
            let streams = pumps(&mut child, clock, &messages, &watch);
            (Watch::new(&child, streams, options.limits, &terminal).run(&events), None)
        }
        Err(error) => {
            let (exit, why) = refusal(options, &error);
            (Ended { exit, why: None, output_left_open: false }, Some(why))
        }
    };
    let exit_code = ended.exit.code();
    let _ = messages.send(Message::Ended(ended, not_started.clone()));
    let (spool, lost) = match recording.map(JoinHandle::join) {
        Some(Ok((spool, lost))) => (Some(spool), lost),
        // It panicked, which was printed: what it had spooled is there.
        Some(Err(_)) | None => (None, Lost::default()),
    };
    if let Some(spool) = &spool {
        spool.knock();
    }
    Ok(RunOutcome { id, exit_code, lost, not_started, not_spooled, spool })
}

/// Never past what a time can say.
pub(crate) fn later(at: Timestamp, after: Duration) -> Timestamp {
    Timestamp(at.0.saturating_add(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)))
}

fn root(options: &RunOptions) -> Result<Root, RunError> {
    let root = options.artifact_root.as_deref().unwrap_or(&options.cwd);
    Root::new(root, &options.cwd).map_err(|error| {
        let path = if options.cwd.is_dir() { root } else { &options.cwd };
        RunError::Folder { path: path.display().to_string(), error }
    })
}

/// Passes both outputs through, each on a thread of its own; says how many there are.
fn pumps(child: &mut Child, clock: Clock, messages: &SyncSender<Message>, watch: &Sender<Event>) -> usize {
    fn start<R: Read + AsFd + Send + 'static>(
        from: R,
        to: io::Result<OwnedFd>,
        stream: Stream,
        clock: Clock,
        messages: &SyncSender<Message>,
        watch: &Sender<Event>,
    ) {
        let (messages, watch) = (messages.clone(), watch.clone());
        thread::spawn(move || {
            // Where the runner has no output of its own, the command gets a broken pipe.
            if let Ok(to) = to {
                pump(from, File::from(to), stream, clock, &messages);
            }
            let _ = messages.send(Message::StreamEnded(stream));
            let _ = watch.send(Event::StreamEnded);
        });
    }
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let streams = usize::from(stdout.is_some()) + usize::from(stderr.is_some());
    if let Some(stdout) = stdout {
        start(stdout, io::stdout().as_fd().try_clone_to_owned(), Stream::Stdout, clock, messages, watch);
    }
    if let Some(stderr) = stderr {
        start(stderr, io::stderr().as_fd().try_clone_to_owned(), Stream::Stderr, clock, messages, watch);
    }
    streams
}

/// Copies artifacts while the command goes on.
fn keep_artifacts(options: &RunOptions, root: Root, messages: SyncSender<Message>) -> SyncSender<Wanted> {
    let (sender, wanted) = sync_channel::<Wanted>(MAX_ARTIFACTS_WAITING);
    let artifacts = Artifacts::of(&options.data_dir, options.artifact_limits);
    thread::spawn(move || {
        for wanted in wanted {
            let kept = artifacts.keep(&root, &wanted.path);
            if messages.send(Message::Artifact(wanted, kept)).is_err() {
                return;
            }
        }
    });
    sender
}

/// As a shell has it, and why.
fn refusal(options: &RunOptions, error: &io::Error) -> (Exit, String) {
    let program = program(options);
    match error.kind() {
        io::ErrorKind::NotFound => (Exit::Code(NOT_FOUND), format!("there is no command `{program}`")),
        _ => (Exit::Code(CANNOT_RUN), format!("the command `{program}` cannot be run: {error}")),
    }
}

fn program(options: &RunOptions) -> String {
    options.command.first().map_or(String::new(), |program| program.to_string_lossy().into_owned())
}

fn describe(options: &RunOptions, secrets: &Secrets) -> NewExecution {
    let program = program(options);
    let name = Path::new(&program).file_name().map_or(program.clone(), |name| name.to_string_lossy().into_owned());
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    NewExecution {
        name: options.name.as_deref().unwrap_or(&name).into(),
        command: recorded_command(&options.command, secrets),
        working_directory: Some(options.cwd.display().to_string().into()),
        environment: environment(&options.env_allow, secrets),
        user_name: variable("USER").or_else(|| variable("LOGNAME")).map(Into::into),
        runner: Some(format!("process {} on {host}", std::process::id()).into()),
        host: Some(host.into()),
        tags: options.tags.clone(),
        ..NewExecution::default()
    }
}

fn recorded_command(command: &[OsString], secrets: &Secrets) -> Vec<String> {
    let mut recorded = Vec::new();
    let mut room = MAX_COMMAND_BYTES;
    for argument in command {
        let argument = secrets.mask_str(&argument.to_string_lossy());
        if argument.len() > room {
            recorded.push("…".to_owned());
            break;
        }
        room -= argument.len();
        recorded.push(argument);
    }
    recorded
}

fn environment(allow: &[String], secrets: &Secrets) -> BTreeMap<String, String> {
    let is_allowed = |name: &str| {
        allow.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => name == allowed,
        })
    };
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    variables
        .filter(|(name, _)| is_allowed(name))
        .map(|(name, value)| {
            let value = secrets.mask_str(&value.to_string_lossy());
            (name, value)
        })
        .collect()
}
