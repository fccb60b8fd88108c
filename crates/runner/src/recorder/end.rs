//! The end of a run, as it is recorded.

use tallybook_core::{AnnotationLevel, ExecutionEventKind, ExecutionStatus};

use super::Recorder;
use crate::process::{Ended, Exit, Why};

impl Recorder {
    pub(super) fn finish(&mut self, ended: &Ended, not_started: Option<String>) {
        let now = self.clock.now();
        self.lines_event();
        if ended.output_left_open {
            let message =
                "something that the command left behind kept its output open; what it still prints is not recorded";
            let level = AnnotationLevel::Warning;
            self.event(now, ExecutionEventKind::Annotation { level, message: message.into() });
        }
        if self.lost.lines > 0 {
            self.lost.error = self.spool.error.as_ref().map(ToString::to_string);
            let why = self.lost.error.as_deref().unwrap_or("they could not be written");
            let message = format!("{} lines are not recorded: {why}", self.lost.lines);
            let level = AnnotationLevel::Error;
            self.event(now, ExecutionEventKind::Annotation { level, message: message.into() });
        }
        let (status, error) = match not_started {
            Some(why) => (ExecutionStatus::Failed, Some(why)),
            None => outcome(ended),
        };
        let exit_code = Some(i64::from(ended.exit.code()));
        self.event(now, ExecutionEventKind::Finished { status, exit_code, error: error.map(Into::into) });
    }
}

/// How the execution ended, and why it did not end well.
fn outcome(ended: &Ended) -> (ExecutionStatus, Option<String>) {
    let how = match ended.exit {
        Exit::Code(0) => None,
        Exit::Code(code) => Some(format!("the command ended with {code}")),
        Exit::Signal(signal) => Some(format!("the command was ended by {signal}")),
    };
    match (&ended.why, ended.exit) {
        (Some(Why::TimedOut(limit)), _) => {
            let limit = humantime::format_duration(*limit);
            (ExecutionStatus::TimedOut, Some(format!("it ran longer than {limit}")))
        }
        (Some(Why::Cancelled), _) => (ExecutionStatus::Cancelled, Some("it was cancelled".to_owned())),
        (Some(Why::StepFailed(step)), _) => (ExecutionStatus::Failed, Some(format!("the step `{step}` failed"))),
        (_, Exit::Code(0)) => (ExecutionStatus::Completed, None),
        (Some(Why::Signal(signal)), _) => (ExecutionStatus::Cancelled, Some(format!("its runner got {signal}"))),
        // Ctrl-C goes to the command itself where it has the terminal.
        (None, Exit::Signal(nix::sys::signal::Signal::SIGINT)) => (ExecutionStatus::Cancelled, how),
        (None, _) => (ExecutionStatus::Failed, how),
    }
}
