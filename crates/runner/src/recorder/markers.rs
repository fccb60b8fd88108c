//! Markers among the lines: the steps, artifacts and facts they stand for.

use std::sync::Arc;

use tallybook_core::{AnnotationLevel, ArtifactKind, ExecutionEventKind, LineEnd, NewArtifact, Stream, Timestamp};

use super::{MAX_ARTIFACTS_WAITING, Recorder, Wanted};
use crate::artifacts::{ArtifactError, Kept};
use crate::marker::Marker;
use crate::process::{Event, Why};
use crate::run::later;

impl Recorder {
    /// What begins a step comes before its line, and what ends one behind it: so the lines are those of the step.
    pub(super) fn marker(&mut self, at: Timestamp, stream: Stream, text: &[u8], end: LineEnd, marker: Marker) {
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

    pub(super) fn artifact(&mut self, wanted: &Wanted, kept: Result<Kept, ArtifactError>) {
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
}
