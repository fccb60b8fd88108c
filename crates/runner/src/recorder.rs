//! Makes events of what a command prints and does, and spools them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use tallybook_core::{
    AnnotationLevel, ArtifactKind, ExecutionEvent, ExecutionEventKind, ExecutionStatus, LineEnd, LogLines, NewArtifact,
    Stream, Timestamp, Tracker,
};

use crate::artifacts::{ArtifactError, Kept};
use crate::clock::Clock;
use crate::lines::{Piece, Splitter};
use crate::marker::Marker;
use crate::process::{Ended, Event, Exit, Why};
use crate::pump::Block;
use crate::run::later;
use crate::secrets::Secrets;
use crate::spool::{SpoolWriter, Stored};

/// A line is in the spool's file after this at the latest.
const SAVE_EVERY: Duration = Duration::from_millis(100);
/// Lines become an event of their own after this at the latest, while there are some.
const EVENT_EVERY: Duration = Duration::from_secs(1);
/// Lines become an event once they have so much text.
const EVENT_TEXT_BYTES: usize = LogLines::MAX_TEXT_BYTES / 4;
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

    fn block(&mut self, block: &Block) {
        let Block { stream, at, bytes } = block;
        // Out of the map while it gives pieces to `self`.
        let mut splitter = self.streams.remove(stream).unwrap_or_default();
        splitter.push(bytes, |piece| self.piece(*at, *stream, piece));
        self.streams.insert(*stream, splitter);
    }

    fn stream_ended(&mut self, stream: Stream) {
        if let Some(mut splitter) = self.streams.remove(&stream) {
            let now = self.clock.now();
            splitter.finish(|piece| self.piece(now, stream, piece));
        }
    }

    fn piece(&mut self, at: Timestamp, stream: Stream, piece: Piece<'_>) {
        match piece {
            Piece::Line { text, begins, end } => {
                match Marker::parse(text).filter(|_| begins && end != LineEnd::Split) {
                    Some(marker) => self.marker(at, stream, text, end, marker),
                    None => self.keep_line(at, stream, text, end),
                }
            }
            Piece::Lines(lines) => {
                // Lines between two markers are kept together.
                let (mut kept, mut begin) = (0, 0);
                for feed in memchr::memchr_iter(b'\n', lines) {
                    let line = &lines[begin..feed];
                    if let Some(marker) = Marker::parse(line) {
                        self.keep_lines(at, stream, &lines[kept..begin]);
                        self.marker(at, stream, line, LineEnd::Newline, marker);
                        kept = feed + 1;
                    }
                    begin = feed + 1;
                }
                self.keep_lines(at, stream, &lines[kept..]);
            }
        }
    }

    fn keep_lines(&mut self, at: Timestamp, stream: Stream, lines: &[u8]) {
        let masked = self.secrets.mask(lines);
        let mut rest = &masked[..];
        // A mask may be longer than what it hides: what goes into one event is bounded here.
        while !rest.is_empty() {
            let room = rest.len().min(EVENT_TEXT_BYTES);
            let end = memchr::memrchr(b'\n', &rest[..room]).or_else(|| memchr::memchr(b'\n', rest));
            let (block, behind) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
            self.lines.push_block(at, stream, block);
            self.kept();
            rest = behind;
        }
    }

    fn keep_line(&mut self, at: Timestamp, stream: Stream, text: &[u8], end: LineEnd) {
        let masked = self.secrets.mask(text);
        self.lines.push_line(at, stream, &masked, end);
        self.kept();
    }

    fn kept(&mut self) {
        self.unsaved_since.get_or_insert_with(Instant::now);
        if self.lines.text_bytes() >= EVENT_TEXT_BYTES {
            self.lines_event();
        }
    }

    /// What begins a step comes before its line, and what ends one behind it: so the lines are those of the step.
    fn marker(&mut self, at: Timestamp, stream: Stream, text: &[u8], end: LineEnd, marker: Marker) {
        match marker {
            Marker::StepStart { name, stop_on_error, expected, parameters } => {
                let expected_duration = expected.and_then(|expected| u64::try_from(expected.as_nanos()).ok());
                let name = self.masked(&name);
                let parameters = parameters.into_iter().map(|(key, value)| (key, self.masked_value(value))).collect();
                self.event(at, ExecutionEventKind::StepStarted { name, parameters, stop_on_error, expected_duration });
                self.keep_line(at, stream, text, end);
            }
            Marker::GroupStart { name } => {
                let name = self.masked(&name);
                let started = ExecutionEventKind::StepStarted {
                    name: name.clone(),
                    parameters: serde_json::Map::new(),
                    stop_on_error: false,
                    expected_duration: None,
                };
                if self.event(at, started) {
                    self.groups.push(name);
                }
                self.keep_line(at, stream, text, end);
            }
            Marker::StepComplete { name } => {
                self.keep_line(at, stream, text, end);
                let name = Some(self.masked(&name));
                self.event(at, ExecutionEventKind::StepCompleted { name });
            }
            Marker::GroupEnd => {
                self.keep_line(at, stream, text, end);
                if let name @ Some(_) = self.groups.pop() {
                    self.event(at, ExecutionEventKind::StepCompleted { name });
                }
            }
            Marker::StepError { text: error } => {
                self.keep_line(at, stream, text, end);
                self.step_error(at, self.masked(&error));
            }
            Marker::Artifact { path, description } => {
                self.keep_line(at, stream, text, end);
                self.want_artifact(at, Wanted { path, description });
            }
            Marker::Meta { key, value } => {
                self.keep_line(at, stream, text, end);
                let value = self.masked(&value).to_string();
                self.event(at, ExecutionEventKind::Meta { key, value });
            }
            Marker::Annotation { level, message } => {
                self.keep_line(at, stream, text, end);
                let message = self.masked(&message);
                self.event(at, ExecutionEventKind::Annotation { level, message });
            }
            Marker::AddMask { value } => {
                self.secrets.add(&value);
                self.keep_line(at, stream, text, end);
            }
        }
    }

    /// The current step fails; without one, the error is an annotation.
    fn step_error(&mut self, at: Timestamp, error: Arc<str>) {
        let current = self.tracker.open_steps().next_back().map(|step| (step.name.clone(), step.stop_on_error));
        let Some((name, stop_on_error)) = current else {
            self.event(at, ExecutionEventKind::Annotation { level: AnnotationLevel::Error, message: error });
            return;
        };
        self.event(at, ExecutionEventKind::StepFailed { name: None, error });
        if stop_on_error {
            let _ = self.watch.send(Event::Stop(Why::StepFailed(name.to_string())));
        }
    }

    fn want_artifact(&mut self, at: Timestamp, wanted: Wanted) {
        if self.artifacts.wanted.try_send(wanted).is_ok() {
            self.artifacts_waiting += 1;
            return;
        }
        let message = format!("an artifact was not kept: {MAX_ARTIFACTS_WAITING} others wait to be copied");
        let level = AnnotationLevel::Error;
        self.event(at, ExecutionEventKind::Annotation { level, message: message.into() });
    }

    fn artifact(&mut self, wanted: &Wanted, kept: Result<Kept, ArtifactError>) {
        self.artifacts_waiting -= 1;
        let now = self.clock.now();
        let kind = match kept {
            Ok(kept) => ExecutionEventKind::Artifact(NewArtifact {
                path: self.masked(&wanted.path),
                description: Some(self.masked(&wanted.description)).filter(|text| !text.is_empty()),
                kind: if kept.is_folder { ArtifactKind::Folder } else { ArtifactKind::File },
                size: kept.bytes,
                mime: kept.media_type.into(),
                stored: Some(kept.sha256.as_str().into()),
                sha256: kept.sha256.into(),
                expires_at: self.artifacts.keep.map(|keep| later(now, keep)),
            }),
            Err(error) => ExecutionEventKind::Annotation {
                level: AnnotationLevel::Error,
                message: self.masked(&format!("the artifact was not kept: {error}")),
            },
        };
        self.event(now, kind);
    }

    fn masked(&self, text: &str) -> Arc<str> {
        self.secrets.mask_str(text).into()
    }

    fn masked_value(&self, value: serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::String(text) => self.secrets.mask_str(&text).into(),
            value => value,
        }
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

    /// Makes an event of the lines that wait for one.
    fn lines_event(&mut self) {
        let Some(lines) = self.lines.encode() else { return };
        let count = self.lines.len();
        self.lines.clear();
        self.unsaved_since = None;
        self.last_event = Instant::now();
        let kind = ExecutionEventKind::Lines { step: None, lines };
        let event = ExecutionEvent { number: self.tracker.last_event() + 1, at: self.clock.now(), kind };
        // A number that is not in the spool is not used: lines that are lost leave no gap.
        if self.spool.lines(&event) == Stored::No || self.tracker.apply(event).is_err() {
            self.lost.lines += count;
        }
        self.tracker.take();
    }

    fn next_look(&self) -> Duration {
        let save = self.unsaved_since.map(|since| SAVE_EVERY.saturating_sub(since.elapsed()));
        let event = (!self.lines.is_empty()).then(|| EVENT_EVERY.saturating_sub(self.last_event.elapsed()));
        save.or(event).map_or(CANCEL_LOOK, |wait| wait.min(CANCEL_LOOK))
    }

    /// Brings lines into the file, as an event or until there is one.
    fn save(&mut self) {
        if self.unsaved_since.is_some_and(|since| since.elapsed() < SAVE_EVERY) {
            return;
        }
        if self.last_event.elapsed() >= EVENT_EVERY {
            self.lines_event();
        } else if self.unsaved_since.take().is_some()
            && let Some(lines) = self.lines.encode()
        {
            // Where it cannot be written, their event will tell.
            self.spool.tail(&lines);
        }
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

    fn finish(&mut self, ended: &Ended, not_started: Option<String>) {
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
