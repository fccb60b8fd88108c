//! Makes events of what a command prints and does, and spools them.

mod end;
mod lines;
mod markers;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use tallybook_core::{ExecutionEvent, ExecutionEventKind, LogLines, Stream, Timestamp, Tracker};

use self::lines::EVENT_EVERY;
use crate::artifacts::{ArtifactError, Kept};
use crate::clock::Clock;
use crate::lines::Splitter;
use crate::process::{Ended, Event, Why};
use crate::pump::Block;
use crate::secrets::Secrets;
use crate::spool::{SpoolWriter, Stored};

/// How often a request to cancel is looked for.
const CANCEL_LOOK: Duration = Duration::from_millis(200);
/// Artifacts that wait to be copied; more are refused.
pub(crate) const MAX_ARTIFACTS_WAITING: usize = 1_000;

/// What the recorder is told.
pub(crate) enum Message {
    /// Output.
    Block(Block),
    /// An output has ended.
    StreamEnded(Stream),
    /// An artifact was copied, or not.
    Artifact(Wanted, Result<Kept, ArtifactError>),
    /// The command has begun.
    Started(Timestamp),
    /// The command has ended, or could not be started for this reason.
    Ended(Ended, Option<String>),
}

/// An artifact that a marker names.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) path: String,
    pub(crate) description: String,
}

/// Where artifacts are copied, and how long they are kept.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) wanted: SyncSender<Wanted>,
    pub(crate) keep: Option<Duration>,
}

/// What could not be recorded.
#[derive(Debug, Default)]
pub struct Lost {
    /// Lines.
    pub lines: u64,
    /// Steps, artifacts and other events.
    pub events: u64,
    /// Why.
    pub error: Option<String>,
}

/// The recorder of one run.
pub(crate) struct Recorder {
    tracker: Tracker,
    spool: SpoolWriter,
    secrets: Secrets,
    clock: Clock,
    streams: HashMap<Stream, Splitter>,
    lines: LogLines,
    /// When the first line came that is in no file yet.
    unsaved_since: Option<Instant>,
    last_event: Instant,
    /// Groups of GitHub's form that are open.
    groups: Vec<Arc<str>>,
    artifacts: Keeper,
    artifacts_waiting: usize,
    watch: Sender<Event>,
    cancel_looked_at: Instant,
    cancelled: bool,
    lost: Lost,
}

impl Recorder {
    pub(crate) fn new(
        tracker: Tracker,
        spool: SpoolWriter,
        secrets: Secrets,
        clock: Clock,
        artifacts: Keeper,
        watch: Sender<Event>,
    ) -> Self {
        let now = Instant::now();
        Self {
            tracker,
            spool,
            secrets,
            clock,
            streams: HashMap::new(),
            lines: LogLines::default(),
            unsaved_since: None,
            last_event: now.checked_sub(EVENT_EVERY).unwrap_or(now),
            groups: Vec::new(),
            artifacts,
            artifacts_waiting: 0,
            watch,
            cancel_looked_at: now,
            cancelled: false,
            lost: Lost::default(),
        }
    }

    /// Until the command has ended and its last artifact is there.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) -> (SpoolWriter, Lost) {
        let mut ended = None;
        loop {
            if ended.is_some() && self.artifacts_waiting == 0 {
                break;
            }
            match messages.recv_timeout(self.next_look()) {
                Ok(Message::Block(block)) => self.block(&block),
                Ok(Message::StreamEnded(stream)) => self.stream_ended(stream),
                Ok(Message::Artifact(wanted, kept)) => self.artifact(&wanted, kept),
                Ok(Message::Started(at)) => _ = self.event(at, ExecutionEventKind::Started),
                Ok(Message::Ended(how, not_started)) => ended = Some((how, not_started)),
                Err(RecvTimeoutError::Timeout) => {}
                // Whoever would tell the end is gone: so is the command.
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.save();
            self.look_for_cancel();
        }
        if let Some((ended, not_started)) = ended {
            // What was left behind may still print; the outputs end here.
            for stream in [Stream::Stdout, Stream::Stderr] {
                self.stream_ended(stream);
            }
            self.finish(&ended, not_started);
        }
        (self.spool, self.lost)
    }

    /// Spools an event, behind the lines before it; says whether it happened. What cannot happen now (the end of a step that
    /// is not open, a name that is too long) is none: its line is a line like others.
    fn event(&mut self, at: Timestamp, kind: ExecutionEventKind) -> bool {
        if self.tracker.check(&kind).is_err() {
            return false;
        }
        self.lines_event();
        let event = ExecutionEvent { number: self.tracker.last_event() + 1, at, kind };
        if self.spool.event(&event) == Stored::No {
            self.lost.events += 1;
        }
        let applied = self.tracker.apply(event).is_ok();
        self.tracker.take();
        applied
    }

    fn look_for_cancel(&mut self) {
        if !self.cancelled && self.cancel_looked_at.elapsed() >= CANCEL_LOOK {
            self.cancel_looked_at = Instant::now();
            self.cancelled = self.spool.is_asked_to_cancel();
            if self.cancelled {
                let _ = self.watch.send(Event::Stop(Why::Cancelled));
            }
        }
    }
}
