//! What a command says about itself in its output: steps, artifacts, facts and GitHub's workflow commands.
//!
//! A marker is a whole line. A line that only resembles one is none: it stays a log line, and nothing else.

mod github;
mod parameters;

use std::time::Duration;

use serde_json::{Map, Value};
use tallybook_core::AnnotationLevel;

/// A longer line is no marker, whatever it begins with.
const MAX_MARKER_BYTES: usize = 8 * 1024;
/// The longest key of [`Marker::Meta`].
const MAX_KEY_BYTES: usize = 128;

/// What a line of output means.
#[derive(Clone, Debug, PartialEq)]
pub enum Marker {
    /// `STEP_START:name`, with its options and parameters.
    StepStart {
        /// The name of the step.
        name: String,
        /// `[stop_on_error=true]`: an error of this step ends the command.
        stop_on_error: bool,
        /// `[duration=60]`: how long it is expected to take.
        expected: Option<Duration>,
        /// `{k:v}` and `--k=v`.
        parameters: Map<String, Value>,
    },
    /// `STEP_COMPLETE:name`.
    StepComplete {
        /// The name of the step.
        name: String,
    },
    /// `STEP_ERROR:text`.
    StepError {
        /// What went wrong.
        text: String,
    },
    /// `ARTIFACT:path:description`.
    Artifact {
        /// A file or a folder.
        path: String,
        /// For people; may be empty.
        description: String,
    },
    /// `META:key:value`.
    Meta {
        /// What the fact is about.
        key: String,
        /// What is to be known.
        value: String,
    },
    /// `::group::name`: a step that `::endgroup::` ends.
    GroupStart {
        /// The name of the step.
        name: String,
    },
    /// `::endgroup::`.
    GroupEnd,
    /// `::error::` and `::warning::`.
    Annotation {
        /// How bad it is.
        level: AnnotationLevel,
        /// What is to be said: `file:line: title: message`, with what of it was given.
        message: String,
    },
    /// `::add-mask::value`: never to be shown again.
    AddMask {
        /// The secret.
        value: String,
    },
}

impl Marker {
    /// The marker that `line` is, without its line feed; `None` for every other line.
    pub fn parse(line: &[u8]) -> Option<Self> {
        // Most lines are none, and are told apart by their first byte.
        if !matches!(line.first()?, b':' | b'S' | b's' | b'A' | b'a' | b'M' | b'm') || line.len() > MAX_MARKER_BYTES {
            return None;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (word, rest) = match line.strip_prefix(b"::") {
            Some(command) => return github::parse(std::str::from_utf8(command).ok()?),
            None => line.split_at(line.iter().take(16).position(|byte| *byte == b':')?),
        };
        let text = || std::str::from_utf8(&rest[1..]).ok().map(str::trim);
        match word {
            word if word.eq_ignore_ascii_case(b"STEP_START") => step_start(text()?),
            word if word.eq_ignore_ascii_case(b"STEP_COMPLETE") => {
                Some(Self::StepComplete { name: filled(text()?)?.to_owned() })
            }
            word if word.eq_ignore_ascii_case(b"STEP_ERROR") => {
                Some(Self::StepError { text: filled(text()?)?.to_owned() })
            }
            word if word.eq_ignore_ascii_case(b"ARTIFACT") => artifact(text()?),
            word if word.eq_ignore_ascii_case(b"META") => meta(text()?),
            _ => None,
        }
    }
}

fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn step_start(text: &str) -> Option<Marker> {
    let (name, options) = parameters::split(text);
    let name = filled(name)?.to_owned();
    let parameters::Options { stop_on_error, expected, parameters } = options;
    Some(Marker::StepStart { name, stop_on_error, expected, parameters })
}

fn artifact(text: &str) -> Option<Marker> {
    let (path, description) = text.split_once(':').unwrap_or((text, ""));
    Some(Marker::Artifact { path: filled(path.trim_end())?.to_owned(), description: description.trim().to_owned() })
}

/// The key is one word, so that a sentence that begins with "Meta:" is no fact.
fn meta(text: &str) -> Option<Marker> {
    let (key, value) = text.split_once(':')?;
    let is_word = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte));
    if !is_word || key.is_empty() || key.len() > MAX_KEY_BYTES {
        return None;
    }
    Some(Marker::Meta { key: key.to_owned(), value: value.trim().to_owned() })
}

#[cfg(test)]
mod tests;
