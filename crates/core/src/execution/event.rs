//! What happens to an execution, as it travels: one JSON object for each event.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{AnnotationLevel, ArtifactKind, EncodedLines, ExecutionStatus, LineEnd, LogLines, Stream};
use crate::Timestamp;

/// Something that happened to an execution. Of one execution they are numbered 1, 2, 3 …: one that comes again is known by
/// its number, and one that is missing is missed.
///
/// As JSON: `{"number":3,"at":"2026-01-01T00:00:00Z","type":"step_started","name":"build"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutionEvent {
    /// Its number, from 1.
    pub number: u64,
    /// When it happened; now, where the sender does not say.
    #[serde(default = "Timestamp::now")]
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: ExecutionEventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ExecutionEventKind {
    /// It became known. The first event, always.
    Created(NewExecution),
    /// Its process began.
    Started,
    /// A step began, within the one that is current.
    StepStarted {
        /// Its name.
        name: Arc<str>,
        /// What it was started with.
        #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
        parameters: serde_json::Map<String, serde_json::Value>,
        /// Whether the execution is to end when it fails.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stop_on_error: bool,
        /// How long it should take, in nanoseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected_duration: Option<u64>,
    },
    /// The open step of this name that began last ended well.
    StepCompleted {
        /// Its name; the current step where it does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<Arc<str>>,
    },
    /// The open step of this name that began last ended with an error.
    StepFailed {
        /// Its name; the current step where it does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<Arc<str>>,
        /// Why.
        error: Arc<str>,
    },
    /// A step was passed over.
    StepSkipped {
        /// Its name.
        name: Arc<str>,
    },
    /// Lines of output, all of one step.
    Lines {
        /// The open step of this name that began last; the current one where it does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<Arc<str>>,
        /// `"chunk"`: the bytes of [`EncodedLines`] in Base64. Or `"lines"`: an array whose elements are texts or
        /// `{text, time, stream, end}`.
        #[serde(flatten)]
        lines: EncodedLines,
    },
    /// An error or a warning was pointed out.
    Annotation {
        /// How serious it is.
        level: AnnotationLevel,
        /// What it says.
        message: Arc<str>,
    },
    /// A file or folder was kept.
    Artifact(NewArtifact),
    /// It said something of itself; of two values of one key the later one counts.
    Meta {
        /// Of what.
        key: String,
        /// What.
        value: String,
    },
    /// It ended. The last event, always.
    Finished {
        /// How: `completed`, `failed`, `cancelled`, `timed_out` or `interrupted`.
        status: ExecutionStatus,
        /// What its process ended with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i64>,
        /// Why it did not end well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Arc<str>>,
    },
}

/// What is known of an execution before it begins. The fields are those of [`super::Execution`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "each is documented at the execution")]
pub struct NewExecution {
    pub name: Arc<str>,
    pub command: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<Arc<str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<Arc<str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Steps that are announced.
    pub total_steps: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// An artifact whose content is stored already. The fields are those of [`super::Artifact`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is documented at the artifact")]
pub struct NewArtifact {
    pub path: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Arc<str>>,
    pub kind: ArtifactKind,
    pub size: u64,
    pub sha256: Arc<str>,
    pub mime: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Left out where only the server knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Arc<str>>,
}

/// Why an event was not taken. The execution is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// An event is missing.
    #[error("event {got} came where {expected} is the next; send the events in order, from {expected} on")]
    Gap {
        /// The next number.
        expected: u64,
        /// The number that came.
        got: u64,
    },
    /// The execution is in a state in which this does not happen.
    #[error("the execution is {status}: {reason}")]
    Illegal {
        /// Its state.
        status: ExecutionStatus,
        /// What does not happen in it.
        reason: &'static str,
    },
    /// There is no such open step.
    #[error("no step `{0}` is open")]
    NoSuchStep(Arc<str>),
    /// There is no open step at all.
    #[error("no step is open")]
    NoStep,
    /// The event itself is not right.
    #[error("{0}")]
    Defect(&'static str),
    /// There are too many of them.
    #[error("an execution has at most {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
}

impl From<EventError> for crate::Error {
    fn from(error: EventError) -> Self {
        Self::invalid("taking an event of an execution", error.to_string())
    }
}

impl ExecutionEventKind {
    /// The name of its type in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Started => "started",
            Self::StepStarted { .. } => "step_started",
            Self::StepCompleted { .. } => "step_completed",
            Self::StepFailed { .. } => "step_failed",
            Self::StepSkipped { .. } => "step_skipped",
            Self::Lines { .. } => "lines",
            Self::Annotation { .. } => "annotation",
            Self::Artifact(_) => "artifact",
            Self::Meta { .. } => "meta",
            Self::Finished { .. } => "finished",
        }
    }
}

/// The two forms of lines in JSON.
#[derive(Serialize, Deserialize)]
struct LinesJson<'a> {
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    chunk: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing)]
    lines: Vec<LineJson>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LineJson {
    Text(String),
    Line { text: String, time: Option<Timestamp>, stream: Option<Stream>, end: Option<LineEnd> },
}

impl Serialize for EncodedLines {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LinesJson { chunk: Some(STANDARD.encode(self.bytes()).into()), lines: Vec::new() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EncodedLines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let LinesJson { chunk, lines } = LinesJson::deserialize(deserializer)?;
        if let Some(chunk) = chunk {
            let bytes = STANDARD.decode(chunk.as_bytes()).map_err(|_| D::Error::custom("`chunk` is not Base64"))?;
            return Self::new(bytes).map_err(D::Error::custom);
        }
        let now = Timestamp::now();
        let mut collected = LogLines::default();
        for line in lines {
            let (text, time, stream, end) = match line {
                LineJson::Text(text) => (text, None, None, None),
                LineJson::Line { text, time, stream, end } => (text, time, stream, end),
            };
            let (stream, end) = (stream.unwrap_or(Stream::Stdout), end.unwrap_or(LineEnd::Newline));
            collected.push_line(time.unwrap_or(now), stream, text.as_bytes(), end);
        }
        let encoded = collected.encode().ok_or_else(|| D::Error::custom("there are no lines in `lines` or `chunk`"))?;
        // As strict as with bytes: times and lengths have their limits.
        Self::new(encoded.bytes().clone()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> ExecutionEvent {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn events_are_one_json_object_each_and_come_back() {
        let mut lines = LogLines::default();
        lines.push_block(Timestamp(5), Stream::Stderr, b"a\n\xff\n");
        let kinds = [
            ExecutionEventKind::Created(NewExecution { name: "nightly".into(), ..NewExecution::default() }),
            ExecutionEventKind::Started,
            ExecutionEventKind::StepCompleted { name: None },
            ExecutionEventKind::Lines { step: Some("build".into()), lines: lines.encode().unwrap() },
            ExecutionEventKind::Finished { status: ExecutionStatus::Failed, exit_code: Some(3), error: None },
        ];
        for (number, kind) in (1..).zip(kinds) {
            let event = ExecutionEvent { number, at: Timestamp(7), kind };
            let json = serde_json::to_string(&event).unwrap();
            assert!(json.contains(&format!(r#""type":"{}""#, event.kind.name())), "{json}");
            assert_eq!(read(&json), event);
        }
        let event = read(r#"{"number":3,"at":"2026-01-01T00:00:00Z","type":"step_started","name":"build"}"#);
        let ExecutionEventKind::StepStarted { name, stop_on_error: false, .. } = event.kind else { panic!() };
        assert_eq!(name.as_ref(), "build");
    }

    #[test]
    fn lines_may_be_written_by_hand() {
        let json = r#"{"number":4,"type":"lines","lines":["plain","two\nat once",
            {"text":"late","stream":"stderr","time":"2026-01-01T00:00:00Z","end":"missing"}]}"#;
        let ExecutionEventKind::Lines { step: None, lines } = read(json).kind else { panic!() };
        let lines = LogLines::decode(lines.bytes()).unwrap();
        let texts: Vec<&[u8]> = lines.iter().map(|line| line.text).collect();
        assert_eq!(texts, [&b"plain"[..], b"two", b"at once", b"late"]);
        let last = lines.iter().last().unwrap();
        assert_eq!((last.stream, last.end), (Stream::Stderr, LineEnd::Missing));
    }

    #[test]
    fn lines_that_are_none_are_refused() {
        for bad in [
            r#"{"number":4,"type":"lines"}"#,
            r#"{"number":4,"type":"lines","chunk":"AQID"}"#,
            r#"{"number":4,"type":"lines","lines":[{"text":"x","time":"1960-01-01T00:00:00Z"}]}"#,
        ] {
            assert!(serde_json::from_str::<ExecutionEvent>(bad).is_err(), "{bad}");
        }
    }
}
