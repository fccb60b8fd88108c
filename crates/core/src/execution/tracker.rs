//! The state machine of an execution: events go in, rows come out.

use std::sync::Arc;

use super::text::{clean, clean_option};
use super::{
    Annotation, Artifact, EncodedLines, EventError, Execution, ExecutionEvent, ExecutionEventKind, ExecutionRecords,
    ExecutionStatus, LogChunk, NewArtifact, NewExecution, Step,
};
use crate::table::Json;
use crate::tick::TIMES;
use crate::{Outcome, Timestamp};

/// While there are only lines, the row of the execution follows them at this distance, in nanoseconds.
const LINES_SHOWN_EVERY: u64 = 1_000_000_000;

/// Follows one execution.
///
/// Steps are found by their names. One that starts while another is open is nested in it; where the outer one ends first, they
/// were parallel. A step that is never closed was closed by the next one, at its start, unless a later step was closed by
/// name meanwhile: then it held that one, and ends with the execution.
///
/// [`Tracker::take`] gives the rows that [`Tracker::apply`] changed. Once they are committed, so are the events; where that
/// fails for good, the tracker is to be dropped and loaded again.
#[derive(Clone, Debug)]
pub struct Tracker {
    execution: Execution,
    /// In the order in which they began.
    open: Vec<OpenStep>,
    /// Steps that began or were skipped.
    steps: u64,
    annotations: u64,
    artifacts: u64,
    /// The last event that was applied.
    last_event: u64,
    /// When the row of the execution was given last, by the time of its events.
    shown_at: Timestamp,
    execution_changed: bool,
    changed: ExecutionRecords,
}

#[derive(Clone, Debug)]
struct OpenStep {
    row: Step,
    /// When the next step began.
    next_start: Option<Timestamp>,
    /// Whether a later step was closed by name while this one was open.
    holds_others: bool,
}

impl Tracker {
    /// Begins with the first event of an execution, which is `created` and has the number 1.
    ///
    /// # Errors
    /// Where it is another one, or what it says cannot be stored.
    pub fn create(id: &str, event: ExecutionEvent) -> Result<Self, EventError> {
        let ExecutionEvent { number, at, kind } = event;
        let ExecutionEventKind::Created(new) = kind else {
            return Err(EventError::Defect("the first event of an execution is `created`"));
        };
        if number != 1 {
            return Err(EventError::Gap { expected: 1, got: number });
        }
        let execution = pending(id, at, new)?;
        Ok(Self {
            execution,
            open: Vec::new(),
            steps: 0,
            annotations: 0,
            artifacts: 0,
            last_event: 1,
            shown_at: at,
            execution_changed: true,
            changed: ExecutionRecords::default(),
        })
    }

    /// Goes on with an execution: all of its steps in their order, how many annotations and artifacts it has, and its last
    /// lines.
    pub fn resume(
        execution: Execution,
        steps: Vec<Step>,
        annotations: u64,
        artifacts: u64,
        last_lines: Option<&LogChunk>,
    ) -> Self {
        let mut tracker = Self {
            open: Vec::new(),
            steps: steps.last().map_or(0, |last| last.step_index + 1),
            annotations,
            artifacts,
            last_event: execution.events,
            shown_at: execution.created_at,
            execution_changed: false,
            changed: ExecutionRecords::default(),
            execution,
        };
        for row in steps {
            if row.status == ExecutionStatus::Skipped {
                continue;
            }
            tracker.follow_open_steps(row.started_at);
            if row.status.is_final() {
                tracker.open.iter_mut().for_each(|open| open.holds_others = true);
            } else {
                tracker.open.push(OpenStep { row, next_start: None, holds_others: false });
            }
        }
        if let Some(chunk) = last_lines {
            tracker.last_event = tracker.last_event.max(chunk.event);
            tracker.execution.lines = tracker.execution.lines.max(chunk.first_line + chunk.lines - 1);
        }
        tracker
    }

    /// The execution as it is now.
    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    /// The steps that are open, in the order in which they began; the last one is the current one.
    pub fn open_steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.open.iter().map(|open| &open.row)
    }

    /// The number of the last event that was applied.
    pub fn last_event(&self) -> u64 {
        self.last_event
    }

    /// Applies the next event. One that was applied before changes nothing and is a duplicate.
    ///
    /// # Errors
    /// Where it cannot happen now; nothing has changed then, and another event may take its number.
    pub fn apply(&mut self, event: ExecutionEvent) -> Result<Outcome, EventError> {
        let ExecutionEvent { number, at, kind } = event;
        if number <= self.last_event {
            return Ok(Outcome::Duplicate);
        }
        if number != self.last_event + 1 {
            return Err(EventError::Gap { expected: self.last_event + 1, got: number });
        }
        self.check(&kind)?;
        if !TIMES.contains(&at.0) {
            return Err(EventError::Defect("the time of the event lies outside of 1970 to 2200"));
        }
        self.last_event = number;
        match kind {
            // Never gets past the check.
            ExecutionEventKind::Created(_) => {}
            ExecutionEventKind::Started => {
                self.execution.status = ExecutionStatus::Running;
                self.execution.started_at = Some(at);
            }
            ExecutionEventKind::StepStarted { name, parameters, stop_on_error, expected_duration } => {
                let row = self.step(name, at);
                self.start_step(Step { parameters: Json::new(parameters), stop_on_error, expected_duration, ..row });
            }
            ExecutionEventKind::StepSkipped { name } => {
                let mut row = self.step(name, at);
                close(&mut row, ExecutionStatus::Skipped, at, None, self.execution.lines);
                self.count_step();
                self.execution.completed_steps += 1;
                self.changed.steps.push(row);
            }
            ExecutionEventKind::StepCompleted { name } => {
                self.end_step(name.as_deref(), ExecutionStatus::Completed, at, None)?;
            }
            ExecutionEventKind::StepFailed { name, error } => {
                self.end_step(name.as_deref(), ExecutionStatus::Failed, at, Some(&error))?;
            }
            ExecutionEventKind::Lines { step, lines } => {
                self.add_lines(step.as_deref(), &lines, at)?;
                return Ok(Outcome::Applied);
            }
            ExecutionEventKind::Annotation { level, message } => {
                self.changed.annotations.push(Annotation {
                    execution: self.execution.id.clone(),
                    annotation_index: self.annotations,
                    level,
                    message: clean(&message, Execution::MAX_TEXT_BYTES),
                    step: self.execution.current_step_index,
                    line: self.execution.lines,
                    created_at: at,
                });
                self.annotations += 1;
            }
            ExecutionEventKind::Artifact(artifact) => self.push_artifact(artifact, at),
            ExecutionEventKind::Meta { key, value } => {
                let key = clean(&key, Execution::MAX_NAME_BYTES).to_string();
                let value = clean(&value, Execution::MAX_TEXT_BYTES).to_string();
                Arc::make_mut(&mut self.execution.metadata.0).insert(key, value);
            }
            ExecutionEventKind::Finished { status, exit_code, error } => {
                self.finish(status, exit_code, error.as_deref(), at);
            }
        }
        self.show(at);
        Ok(Outcome::Applied)
    }

    /// Whether an event of this kind can happen now.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check(&self, kind: &ExecutionEventKind) -> Result<(), EventError> {
        use ExecutionEventKind as Kind;
        let status = self.execution.status;
        let illegal = |reason| Err(EventError::Illegal { status, reason });
        let within_limit = |what, count| {
            let limit = Execution::MAX_PARTS;
            if count < limit { Ok(()) } else { Err(EventError::TooMany { what, limit }) }
        };
        match (kind, status) {
            (Kind::Created(_), _) => return illegal("it was created before"),
            (_, status) if status.is_final() => return illegal("its state is final"),
            (Kind::Started, ExecutionStatus::Running) => return illegal("it was started before"),
            (Kind::Finished { status: ExecutionStatus::Completed, .. }, ExecutionStatus::Pending) => {
                return illegal("what never began cannot be completed; send `started` first");
            }
            (Kind::Started | Kind::Meta { .. } | Kind::Annotation { .. } | Kind::Finished { .. }, _)
            | (_, ExecutionStatus::Running) => {}
            _ => return illegal("it has not begun; send `started` first"),
        }
        match kind {
            Kind::Created(_) | Kind::Started => {}
            Kind::StepStarted { name, parameters, .. } => {
                name_defect(name)?;
                set_defect(&parameters)?;
                within_limit("steps", self.steps)?;
            }
            Kind::StepSkipped { name } => {
                name_defect(name)?;
                within_limit("steps", self.steps)?;
            }
            Kind::StepCompleted { name } | Kind::StepFailed { name, .. } => {
                self.find_open(name.as_deref())?;
            }
            Kind::Lines { step, .. } => {
                if let Some(name) = step {
                    self.find_open(Some(name))?;
                }
            }
            Kind::Annotation { .. } => within_limit("annotations", self.annotations)?,
            Kind::Artifact(artifact) => self.check_artifact(artifact)?,
            Kind::Meta { key, value } => {
                name_defect(key)?;
                let used: usize = self.execution.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
                if used + key.len() + value.len().min(Execution::MAX_TEXT_BYTES) > Execution::MAX_SET_BYTES {
                    return Err(EventError::TooMany {
                        what: "bytes of metadata",
                        limit: Execution::MAX_SET_BYTES as u64,
                    });
                }
            }
            Kind::Finished { status: ended, .. } => {
                if !ended.is_final() || *ended == ExecutionStatus::Skipped {
                    return Err(EventError::Defect(
                        "an execution ends completed, failed, cancelled, timed_out or interrupted",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Ends the execution without an event of its runner, which is gone or never came: whatever it still sends is refused.
    ///
    /// # Errors
    /// Where the state is final already.
    pub fn end(&mut self, status: ExecutionStatus, error: &str, at: Timestamp) -> Result<(), EventError> {
        self.check(&ExecutionEventKind::Finished { status, exit_code: None, error: None })?;
        self.finish(status, None, Some(error), at);
        self.show(at);
        Ok(())
    }

    /// Adds an artifact that came without an event, at any time.
    ///
    /// # Errors
    /// Where there are too many, or its text is not right.
    pub fn add_artifact(&mut self, artifact: NewArtifact, at: Timestamp) -> Result<(), EventError> {
        self.check_artifact(&artifact)?;
        self.push_artifact(artifact, at);
        Ok(())
    }

    /// The rows that changed since this was asked last.
    pub fn take(&mut self) -> ExecutionRecords {
        if std::mem::take(&mut self.execution_changed) {
            self.changed.executions.push(self.execution.clone());
        }
        std::mem::take(&mut self.changed)
    }

    fn show(&mut self, at: Timestamp) {
        self.execution.events = self.last_event;
        self.execution.revision = if self.execution.status.is_final() { Execution::FINAL } else { self.last_event };
        self.execution_changed = true;
        self.shown_at = at;
    }

    fn step(&self, name: Arc<str>, at: Timestamp) -> Step {
        Step {
            execution: self.execution.id.clone(),
            step_index: self.steps,
            revision: self.last_event,
            parent: self.execution.current_step_index,
            name,
            status: ExecutionStatus::Running,
            parameters: Json::default(),
            stop_on_error: false,
            expected_duration: None,
            error_message: None,
            started_at: at,
            completed_at: None,
            duration: None,
            first_line: self.execution.lines + 1,
            last_line: None,
        }
    }

    fn start_step(&mut self, row: Step) {
        self.follow_open_steps(row.started_at);
        self.count_step();
        self.execution.current_step_index = Some(row.step_index);
        self.changed.steps.push(row.clone());
        self.open.push(OpenStep { row, next_start: None, holds_others: false });
    }

    fn count_step(&mut self) {
        self.steps += 1;
        self.execution.total_steps = self.execution.total_steps.max(self.steps);
    }

    fn follow_open_steps(&mut self, start: Timestamp) {
        for open in &mut self.open {
            open.next_start.get_or_insert(start);
        }
    }

    /// The place in `open` of the newest step of this name, or of the newest one.
    fn find_open(&self, name: Option<&str>) -> Result<usize, EventError> {
        match name {
            Some(name) => {
                let found = self.open.iter().rposition(|open| open.row.name.as_ref() == name);
                found.ok_or_else(|| EventError::NoSuchStep(name.into()))
            }
            None => self.open.len().checked_sub(1).ok_or(EventError::NoStep),
        }
    }

    fn end_step(
        &mut self,
        name: Option<&str>,
        status: ExecutionStatus,
        at: Timestamp,
        error: Option<&str>,
    ) -> Result<(), EventError> {
        let place = self.find_open(name)?;
        let mut row = self.open.remove(place).row;
        self.open[..place].iter_mut().for_each(|outer| outer.holds_others = true);
        // What began in it and is still open was never inside.
        for open in self.open[place..].iter_mut().filter(|open| open.row.parent == Some(row.step_index)) {
            open.row.parent = row.parent;
            open.row.revision = self.last_event;
            self.changed.steps.push(open.row.clone());
        }
        close(&mut row, status, at, error, self.execution.lines);
        self.changed.steps.push(row);
        self.execution.completed_steps += 1;
        self.execution.current_step_index = self.open.last().map(|open| open.row.step_index);
        Ok(())
    }

    fn add_lines(&mut self, step: Option<&str>, lines: &EncodedLines, at: Timestamp) -> Result<(), EventError> {
        let step = match step {
            Some(name) => Some(self.open[self.find_open(Some(name))?].row.step_index),
            None => self.execution.current_step_index,
        };
        self.changed.log_chunks.push(LogChunk {
            execution: self.execution.id.clone(),
            first_line: self.execution.lines + 1,
            event: self.last_event,
            step,
            lines: lines.lines(),
            first_time: lines.first_time(),
            last_time: lines.last_time(),
            text_bytes: lines.text_bytes() as u64,
            data: lines.bytes().clone(),
        });
        self.execution.lines += lines.lines();
        // The clock may have been set back.
        if at.0.abs_diff(self.shown_at.0) >= LINES_SHOWN_EVERY {
            self.show(at);
        }
        Ok(())
    }

    fn check_artifact(&self, artifact: &NewArtifact) -> Result<(), EventError> {
        if self.artifacts >= Execution::MAX_PARTS {
            return Err(EventError::TooMany { what: "artifacts", limit: Execution::MAX_PARTS });
        }
        let NewArtifact { path, description, kind: _, size: _, sha256, mime, expires_at: _, stored } = artifact;
        let texts = [Some(path), description.as_ref(), Some(mime), stored.as_ref()];
        if texts.into_iter().flatten().any(|text| text.len() > Execution::MAX_TEXT_BYTES || text.contains('\0')) {
            return Err(EventError::Defect("a text of the artifact is longer than 16 KiB or holds a zero byte"));
        }
        if sha256.len() != 64 || !sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(EventError::Defect("`sha256` is 64 hexadecimal digits, in small letters"));
        }
        Ok(())
    }

    fn push_artifact(&mut self, artifact: NewArtifact, at: Timestamp) {
        let NewArtifact { path, description, kind, size, sha256, mime, expires_at, stored } = artifact;
        self.changed.artifacts.push(Artifact {
            execution: self.execution.id.clone(),
            artifact_index: self.artifacts,
            revision: 1,
            path,
            description: description.filter(|text| !text.is_empty()),
            kind,
            size,
            sha256,
            mime,
            created_at: at,
            expires_at,
            stored,
        });
        self.artifacts += 1;
    }

    fn finish(&mut self, status: ExecutionStatus, exit_code: Option<i64>, error: Option<&str>, at: Timestamp) {
        for OpenStep { mut row, next_start, holds_others } in std::mem::take(&mut self.open) {
            match next_start.filter(|_| !holds_others) {
                Some(start) => close(&mut row, ExecutionStatus::Completed, start, None, self.execution.lines),
                None => close(&mut row, status, at, None, self.execution.lines),
            }
            self.execution.completed_steps += 1;
            self.changed.steps.push(row);
        }
        let execution = &mut self.execution;
        execution.status = status;
        execution.exit_code = exit_code;
        execution.error_message = clean_option(error, Execution::MAX_TEXT_BYTES);
        execution.completed_at = Some(at);
        execution.duration = execution.started_at.map(|start| duration(start, at));
        execution.current_step_index = None;
    }
}

fn close(row: &mut Step, status: ExecutionStatus, at: Timestamp, error: Option<&str>, lines: u64) {
    row.revision = Execution::FINAL;
    row.status = status;
    row.error_message = clean_option(error, Execution::MAX_TEXT_BYTES);
    row.completed_at = Some(at);
    row.duration = Some(duration(row.started_at, at));
    row.last_line = Some(lines);
}

/// 0 where the clock was set back meanwhile.
fn duration(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0)
}

fn name_defect(name: &str) -> Result<(), EventError> {
    match () {
        () if name.is_empty() => Err(EventError::Defect("a name is empty")),
        () if name.len() > Execution::MAX_NAME_BYTES => Err(EventError::Defect("a name is longer than 255 bytes")),
        () if name.contains('\0') => Err(EventError::Defect("a name holds a zero byte")),
        () => Ok(()),
    }
}

fn set_defect(set: &impl serde::Serialize) -> Result<(), EventError> {
    // Maps and lists of text have JSON; it is what will be stored.
    let json = serde_json::to_string(set).unwrap_or_default();
    if json.len() > Execution::MAX_SET_BYTES {
        return Err(EventError::Defect(
            "a command, environment, or set of tags, parameters or metadata exceeds 64 KiB",
        ));
    }
    if json.contains("\\u0000") {
        return Err(EventError::Defect("a text holds a zero byte"));
    }
    Ok(())
}

/// A new execution that has not begun.
fn pending(id: &str, at: Timestamp, new: NewExecution) -> Result<Execution, EventError> {
    let NewExecution {
        name,
        command,
        working_directory,
        environment,
        user_name,
        host,
        runner,
        tags,
        metadata,
        total_steps,
        expires_at,
    } = new;
    set_defect(&command)?;
    set_defect(&environment)?;
    set_defect(&tags)?;
    set_defect(&metadata)?;
    let text = |text: Option<Arc<str>>| clean_option(text.as_deref(), Execution::MAX_TEXT_BYTES);
    let execution = Execution {
        id: id.into(),
        revision: 1,
        events: 1,
        name,
        command: Json::new(command),
        working_directory: text(working_directory),
        status: ExecutionStatus::Pending,
        exit_code: None,
        error_message: None,
        created_at: at,
        started_at: None,
        completed_at: None,
        duration: None,
        environment: Json::new(environment),
        user_name: text(user_name),
        host: text(host),
        runner: text(runner),
        tags: Json::new(tags),
        metadata: Json::new(metadata),
        total_steps: total_steps.min(Execution::MAX_PARTS),
        completed_steps: 0,
        current_step_index: None,
        lines: 0,
        expires_at,
    };
    match execution.defect() {
        Some(defect) => Err(EventError::Defect(defect)),
        None => Ok(execution),
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
