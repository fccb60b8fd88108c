//! The command as a process group of its own: signals, time limits, and its end.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::terminal::Terminal;

/// How often a group that is to end is looked at once its first process has ended.
const GROUP_LOOK: Duration = Duration::from_millis(20);

/// Time limits of a command.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long the command may run.
    pub timeout: Option<Duration>,
    /// The time from TERM to KILL.
    pub grace: Duration,
    /// How long the output is waited for when the command has ended and something it left behind keeps the output open.
    pub output_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: None, grace: Duration::from_secs(10), output_grace: Duration::from_secs(2) }
    }
}

/// What the watcher is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// A signal came to the runner.
    Signal(Signal),
    /// One of the two outputs has ended.
    StreamEnded,
    /// The command is to end.
    Stop(Why),
}

/// Why a command was made to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    TimedOut(Duration),
    Cancelled,
    /// A step with `stop_on_error` failed.
    StepFailed(String),
    /// The runner got a signal and passed it on.
    Signal(Signal),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(Signal),
}

impl Exit {
    /// As a shell has it.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal as i32,
        }
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) why: Option<Why>,
    /// Whether something it left behind kept the output open.
    pub(crate) output_left_open: bool,
}

/// Starts `command` with the runner's own input; its outputs are pipes.
pub(crate) fn spawn(command: &[OsString], cwd: &Path, id: &str) -> std::io::Result<Child> {
    use std::os::unix::process::CommandExt as _;
    let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    Command::new(program)
        .args(arguments)
        .current_dir(cwd)
        .env("TALLYBOOK_EXECUTION_ID", id)
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// Watches a process group until its first process has ended and its outputs have.
pub(crate) struct Watch<'a> {
    group: Pid,
    limits: Limits,
    terminal: &'a Terminal,
    started: Instant,
    exit: Option<Exit>,
    why: Option<Why>,
    /// When the group is killed.
    kill_at: Option<Instant>,
    /// Whether the group was told to end, by whom ever; until it has, its end is waited for.
    ending: bool,
    streams: usize,
    output_until: Option<Instant>,
}

impl<'a> Watch<'a> {
    /// `streams` outputs will be said to end.
    pub(crate) fn new(child: &Child, streams: usize, limits: Limits, terminal: &'a Terminal) -> Self {
        let group = Pid::from_raw(i32::try_from(child.id()).expect("a process id fits"));
        terminal.give_to(group);
        Self {
            group,
            limits,
            terminal,
            started: Instant::now(),
            exit: None,
            why: None,
            kill_at: None,
            ending: false,
            streams,
            output_until: None,
        }
    }

    /// Until the end.
    pub(crate) fn run(mut self, events: &Receiver<Event>) -> Ended {
        loop {
            self.reap();
            let now = Instant::now();
            self.keep_limits(now);
            if let Some(exit) = self.exit
                && !self.group_is_to_end()
                && (self.streams == 0 || self.output_until.is_some_and(|until| until <= now))
            {
                self.terminal.take_back();
                return Ended { exit, why: self.why, output_left_open: self.streams > 0 };
            }
            let event = match self.next_look(now) {
                Some(wait) => events.recv_timeout(wait),
                None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody tells of signals any more: looking is left.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(GROUP_LOOK),
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Signal(Signal::SIGCHLD) => {}
            Event::Signal(signal) => {
                self.send(signal);
                let ends = matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP | Signal::SIGQUIT);
                if ends {
                    self.why.get_or_insert(Why::Signal(signal));
                    // Whoever asks to end does not wait for what was left behind.
                    self.output_until = self.output_until.map(|until| until.min(Instant::now()));
                }
            }
            Event::StreamEnded => self.streams = self.streams.saturating_sub(1),
            Event::Stop(why) => self.end(why),
        }
    }

    /// TERM now and KILL after the grace; the first reason counts.
    fn end(&mut self, why: Why) {
        if self.ending || self.exit.is_some() {
            return;
        }
        self.ending = true;
        self.why = Some(why);
        self.send(Signal::SIGTERM);
        // A process that is stopped could not end.
        self.send(Signal::SIGCONT);
        self.kill_at = Some(Instant::now() + self.limits.grace);
    }

    fn keep_limits(&mut self, now: Instant) {
        if let Some(timeout) = self.limits.timeout
            && now.duration_since(self.started) >= timeout
        {
            self.end(Why::TimedOut(timeout));
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            self.ending = false;
            self.send(Signal::SIGKILL);
        }
    }

    /// Whether something of the group still has its time to end.
    fn group_is_to_end(&self) -> bool {
        self.ending && killpg(self.group, None).is_ok()
    }

    /// How long nothing can happen without an event.
    fn next_look(&self, now: Instant) -> Option<Duration> {
        let timeout = self.limits.timeout.filter(|_| self.why.is_none() && self.exit.is_none());
        let look = (self.exit.is_some() && self.ending).then(|| now + GROUP_LOOK);
        let all = [timeout.map(|timeout| self.started + timeout), self.kill_at, self.output_until, look];
        all.into_iter().flatten().min().map(|at| at.saturating_duration_since(now))
    }

    /// To the group; a group that is gone needs no signal.
    fn send(&self, signal: Signal) {
        let _ = killpg(self.group, signal);
    }

    fn reap(&mut self) {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
        while self.exit.is_none() {
            self.exit = match waitpid(self.group, Some(flags)) {
                Ok(WaitStatus::Exited(_, code)) => Some(Exit::Code(code)),
                Ok(WaitStatus::Signaled(_, signal, _)) => Some(Exit::Signal(signal)),
                Ok(WaitStatus::Stopped(..)) if self.terminal.is_ours() => {
                    self.stop_too();
                    continue;
                }
                Ok(WaitStatus::Stopped(..)) => continue,
                _ => return,
            };
            self.output_until = Some(Instant::now() + self.limits.output_grace);
        }
    }

    /// Ctrl-Z stopped the command: the shell behind the runner gets its terminal until it continues the job.
    fn stop_too(&self) {
        self.terminal.take_back();
        let _ = raise(Signal::SIGSTOP);
        self.terminal.give_to(self.group);
        self.send(Signal::SIGCONT);
    }
}
