//! The execution family: what jobs did. An execution is one run of a command; it has steps, annotations, artifacts and
//! lines of output.
//!
//! Everything that happens to one is an [`ExecutionEvent`] with a number. A [`Tracker`] is the state machine that makes rows
//! of them, wherever events come from: a runner beside the store, or HTTP. The tables of states go by
//! [`crate::Rules::Newest`] with the number as revision, and a final state has the greatest one there is: so no store ever
//! moves a state backwards, in whatever order rows reach it.

mod event;
mod lines;
mod load;
mod records;
mod statistics;
mod text;
mod tracker;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::table::{Json, record, text_enum};
use crate::tick::TIMES;
use crate::{MAX_KEY_BYTES, Timestamp};

pub use event::{EventError, ExecutionEvent, ExecutionEventKind, NewArtifact, NewExecution};
pub use lines::{EncodedLines, LineEnd, LogLine, LogLines, Stream};
pub use records::ExecutionRecords;
pub use statistics::{ExecutionDay, ExecutionStatistics};
pub use tracker::Tracker;

text_enum! {
    /// How far an execution, or a step of one, has come.
    ExecutionStatus {
        /// It is known, and has not begun.
        Pending = "pending",
        /// It has begun.
        Running = "running",
        /// It ended well.
        Completed = "completed",
        /// It ended with an error.
        Failed = "failed",
        /// It was ended because somebody asked for it.
        Cancelled = "cancelled",
        /// It was ended because it took too long.
        TimedOut = "timed_out",
        /// Whoever ran it is gone, and nobody saw its end.
        Interrupted = "interrupted",
        /// It was passed over. Steps only.
        Skipped = "skipped",
    }
}

text_enum! {
    /// What an artifact was.
    ArtifactKind {
        /// One file, stored as it is.
        File = "file",
        /// A folder, stored as one `.tar.zst`.
        Folder = "folder",
    }
}

text_enum! {
    /// How serious an annotation is.
    AnnotationLevel {
        /// Something failed.
        Error = "error",
        /// Something may be wrong.
        Warning = "warning",
    }
}

record! {
    /// One run of a command.
    Execution in "execution" by Newest pruned by "created_at" {
        /// A UUID, hyphenated, in small letters; of version 7 where Tallybook makes it.
        id: Arc<str> => Key,
        /// The number of the event that changed it last; [`Execution::FINAL`] once its status is final.
        revision: u64 => Revision,
        /// The number of the last event that is in it. Lines that came since are in the chunks alone.
        events: u64 => Last,
        /// What people call it; runs of one name are compared.
        name: Arc<str> => Last,
        /// The program and its arguments.
        command: Json<Vec<String>> => Last,
        /// Where it ran.
        working_directory: Option<Arc<str>> => Last,
        /// How far it has come.
        status: ExecutionStatus => Last,
        /// What its process ended with; 128 and the number of the signal where one ended it.
        exit_code: Option<i64> => Last,
        /// Why it did not end well.
        error_message: Option<Arc<str>> => Last,
        /// When it became known.
        created_at: Timestamp => Last,
        /// When it began.
        started_at: Option<Timestamp> => Last,
        /// When it ended.
        completed_at: Option<Timestamp> => Last,
        /// How long it ran, in nanoseconds, once it has ended.
        duration: Option<u64> => Last,
        /// The variables of its environment that were allowed to be recorded.
        environment: Json<BTreeMap<String, String>> => Last,
        /// Who ran it.
        user_name: Option<Arc<str>> => Last,
        /// The machine it ran on.
        host: Option<Arc<str>> => Last,
        /// The process that runs it, in the words of the runner: what a later runner recognises its predecessor by.
        runner: Option<Arc<str>> => Last,
        /// What people sort it by.
        tags: Json<BTreeMap<String, String>> => Last,
        /// What it said of itself.
        metadata: Json<BTreeMap<String, String>> => Last,
        /// Steps that were announced or have begun, whichever are more.
        total_steps: u64 => Last,
        /// Steps that have ended, well or not.
        completed_steps: u64 => Last,
        /// The open step that began last, counted from 0.
        current_step_index: Option<u64> => Last,
        /// Lines of output.
        lines: u64 => Last,
        /// When it may be removed, where that is not the store's affair.
        expires_at: Option<Timestamp> => Last,
    }
}

record! {
    /// A part of an execution.
    Step in "step" by Newest pruned by "started_at" {
        /// The execution.
        execution: Arc<str> => Key,
        /// Which of its steps, in the order in which they began, counted from 0.
        step_index: u64 => Key,
        /// The number of the event that changed it last; [`Execution::FINAL`] once its status is final.
        revision: u64 => Revision,
        /// The step it began in, where it was still open when this one ended.
        parent: Option<u64> => Last,
        /// Its name.
        name: Arc<str> => Last,
        /// How far it has come.
        status: ExecutionStatus => Last,
        /// What it was started with.
        parameters: Json<serde_json::Map<String, serde_json::Value>> => Last,
        /// Whether the execution ends when it fails.
        stop_on_error: bool => Last,
        /// How long it should take, in nanoseconds.
        expected_duration: Option<u64> => Last,
        /// Why it did not end well.
        error_message: Option<Arc<str>> => Last,
        /// When it began.
        started_at: Timestamp => Last,
        /// When it ended.
        completed_at: Option<Timestamp> => Last,
        /// How long it took, in nanoseconds, once it has ended.
        duration: Option<u64> => Last,
        /// The number of the first line that could be its own, counted from 1.
        first_line: u64 => Last,
        /// The number of the last line before its end.
        last_line: Option<u64> => Last,
    }
}

record! {
    /// An error or a warning that an execution pointed out.
    Annotation in "annotation" by Keep pruned by "created_at" {
        /// The execution.
        execution: Arc<str> => Key,
        /// Which of its annotations, counted from 0.
        annotation_index: u64 => Key,
        /// How serious it is.
        level: AnnotationLevel => First,
        /// What it says.
        message: Arc<str> => First,
        /// The step that was current.
        step: Option<u64> => First,
        /// The last line before it.
        line: u64 => First,
        /// When it came.
        created_at: Timestamp => First,
    }
}

record! {
    /// A file or a folder that an execution left.
    Artifact in "artifact" by Newest pruned by "created_at" {
        /// The execution.
        execution: Arc<str> => Key,
        /// Which of its artifacts, counted from 0.
        artifact_index: u64 => Key,
        /// 1 while it is stored, [`Execution::FINAL`] once its content was removed.
        revision: u64 => Revision,
        /// Where it lay, as the execution named it.
        path: Arc<str> => Last,
        /// What people say of it.
        description: Option<Arc<str>> => Last,
        /// File or folder.
        kind: ArtifactKind => Last,
        /// Bytes that are stored.
        size: u64 => Last,
        /// SHA-256 of what is stored, in hexadecimal.
        sha256: Arc<str> => Last,
        /// What its content is.
        mime: Arc<str> => Last,
        /// When it was taken.
        created_at: Timestamp => Last,
        /// When its content may be removed; with the execution where it does not say.
        expires_at: Option<Timestamp> => Last,
        /// The file that holds its content, in the folder of artifacts; absent once it was removed.
        stored: Option<Arc<str>> => Last,
    }
}

record! {
    /// Lines of output that follow each other in one step.
    LogChunk in "log_chunk" by Keep pruned by "first_time" {
        /// The execution.
        execution: Arc<str> => Key,
        /// The number of its first line, counted from 1 over the whole execution.
        first_line: u64 => Key,
        /// The number of the event that brought it.
        event: u64 => First,
        /// The step its lines belong to.
        step: Option<u64> => First,
        /// Lines.
        lines: u64 => First,
        /// When its first line came.
        first_time: Timestamp => First,
        /// When its last line came.
        last_time: Timestamp => First,
        /// Bytes of text in it.
        text_bytes: u64 => First,
        /// [`EncodedLines`].
        data: Arc<[u8]> => First,
    }
}

record! {
    /// Somebody wants an execution to end. A row of its own: that of the execution belongs to its runner.
    CancelRequest in "execution_cancel" by Keep pruned by "requested_at" {
        /// The execution.
        execution: Arc<str> => Key,
        /// When it was asked for.
        requested_at: Timestamp => First,
        /// Why, where that was said.
        reason: Option<Arc<str>> => First,
    }
}

impl ExecutionStatus {
    /// Whether it never changes any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

impl Execution {
    /// The revision of a final state.
    pub const FINAL: u64 = i64::MAX as u64;
    /// The longest name of an execution, a step, a tag or a variable, in bytes.
    pub const MAX_NAME_BYTES: usize = 255;
    /// The longest path, message, description or value, in bytes.
    pub const MAX_TEXT_BYTES: usize = 16 << 10;
    /// The most bytes of a command, an environment, or a set of tags, parameters or metadata.
    pub const MAX_SET_BYTES: usize = 64 << 10;
    /// The most steps of an execution; as many annotations and artifacts.
    pub const MAX_PARTS: u64 = 10_000;

    /// Why an id is none, where that is so. It names folders, too, so that nothing but a UUID will do.
    pub fn id_defect(id: &str) -> Option<&'static str> {
        let canonical = uuid::Uuid::parse_str(id).is_ok_and(|uuid| uuid.hyphenated().to_string() == id);
        (!canonical).then_some("the id of an execution is a UUID, hyphenated, in small letters")
    }

    /// Why it cannot be stored, where that is so.
    pub fn defect(&self) -> Option<&'static str> {
        Self::id_defect(&self.id).or_else(|| match () {
            () if self.name.is_empty() => Some("the name is empty"),
            () if self.name.len() > Self::MAX_NAME_BYTES => Some("the name is longer than 255 bytes"),
            () if self.name.contains('\0') => Some("the name holds a zero byte"),
            () if self.status == ExecutionStatus::Skipped => Some("only a step can be skipped"),
            () if self.status.is_final() != (self.revision == Self::FINAL) => {
                Some("a final state, and no other, has the greatest revision")
            }
            () if !TIMES.contains(&self.created_at.0) => Some("the time lies outside of 1970 to 2200"),
            () => None,
        })
    }
}

impl LogChunk {
    /// Why it cannot be stored, where that is so.
    pub fn defect(&self) -> Option<&'static str> {
        match () {
            () if self.lines == 0 => Some("a chunk without lines"),
            () if self.data.len() > EncodedLines::MAX_BYTES => Some("the chunk is longer than it may be"),
            () if self.execution.len() > MAX_KEY_BYTES => Some("the id is too long"),
            () => None,
        }
    }
}
