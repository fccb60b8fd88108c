//! The state machine, event by event.

use super::*;
use crate::{LogLines, Stream};

const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-000000000001";
const BEGIN: i64 = 1_700_000_000_000_000_000;

fn new(name: &str) -> ExecutionEventKind {
    ExecutionEventKind::Created(NewExecution { name: name.into(), ..NewExecution::default() })
}

fn start(name: &str) -> ExecutionEventKind {
    ExecutionEventKind::StepStarted {
        name: name.into(),
        parameters: serde_json::Map::new(),
        stop_on_error: false,
        expected_duration: None,
    }
}

fn complete(name: &str) -> ExecutionEventKind {
    ExecutionEventKind::StepCompleted { name: Some(name.into()) }
}

fn lines(text: &str) -> ExecutionEventKind {
    let mut lines = LogLines::default();
    lines.push_block(Timestamp(BEGIN), Stream::Stdout, text.as_bytes());
    ExecutionEventKind::Lines { step: None, lines: lines.encode().unwrap() }
}

fn finish(status: ExecutionStatus) -> ExecutionEventKind {
    ExecutionEventKind::Finished { status, exit_code: Some(0), error: None }
}

fn event(number: u64, kind: ExecutionEventKind) -> ExecutionEvent {
    ExecutionEvent { number, at: Timestamp(BEGIN + number as i64), kind }
}

/// A tracker that has seen these events after `created` and `started`.
fn after(kinds: impl IntoIterator<Item = ExecutionEventKind>) -> Tracker {
    let mut tracker = Tracker::create(ID, event(1, new("job"))).unwrap();
    for (number, kind) in (2..).zip(std::iter::once(ExecutionEventKind::Started).chain(kinds)) {
        assert_eq!(tracker.apply(event(number, kind)), Ok(Outcome::Applied));
    }
    tracker
}

/// The last state of every step: name, status, parent, and the number of the event at whose time it ended.
fn steps(tracker: &mut Tracker) -> Vec<(String, ExecutionStatus, Option<u64>, Option<i64>)> {
    use crate::Record;
    let rows = tracker.take().steps.iter().map(Record::to_row).collect();
    let rows = Step::TABLE.normalise(rows).into_iter().map(|row| Step::from_row(row).unwrap());
    rows.map(|step| (step.name.to_string(), step.status, step.parent, step.completed_at.map(|at| at.0 - BEGIN)))
        .collect()
}

use ExecutionStatus::{Cancelled, Completed, Failed, Interrupted, Pending, Running, Skipped, TimedOut};

#[test]
fn steps_nest_by_name_and_lines_belong_to_the_current_one() {
    let mut tracker = after([
        lines("before\n"),
        start("outer"),
        lines("one\n"),
        start("inner"),
        lines("two\nthree\n"),
        complete("inner"),
        lines("four\n"),
        complete("outer"),
        lines("after\n"),
        finish(Completed),
    ]);
    let rows = tracker.take();
    let of_steps: Vec<(u64, Option<u64>)> =
        rows.log_chunks.iter().map(|chunk| (chunk.first_line, chunk.step)).collect();
    assert_eq!(of_steps, [(1, None), (2, Some(0)), (3, Some(1)), (5, Some(0)), (6, None)]);
    let inner = rows.steps.iter().rfind(|step| step.step_index == 1).unwrap();
    assert_eq!((inner.first_line, inner.last_line, inner.parent), (3, Some(4), Some(0)));
    let execution = rows.executions.last().unwrap();
    assert_eq!((execution.total_steps, execution.completed_steps, execution.lines), (2, 2, 6));
    assert_eq!((execution.revision, execution.events), (Execution::FINAL, 12));
}

#[test]
fn parallel_steps_are_not_nested() {
    let mut tracker = after([start("a"), start("b"), complete("a"), complete("b")]);
    assert_eq!(steps(&mut tracker), [("a".into(), Completed, None, Some(5)), ("b".into(), Completed, None, Some(6))]);
}

#[test]
fn a_step_is_closed_by_the_next_one_or_with_the_execution() {
    // Never a word about ends: each step closes the one before, and the last one shares the fate of the process.
    let mut tracker = after([start("a"), start("b"), start("c"), finish(Failed)]);
    assert_eq!(
        steps(&mut tracker),
        [
            ("a".into(), Completed, None, Some(4)),
            ("b".into(), Completed, Some(0), Some(5)),
            ("c".into(), Failed, Some(1), Some(6))
        ]
    );
    // A step that held others that ended is still open when the process ends.
    let mut tracker = after([start("all"), start("one"), complete("one"), start("two"), finish(TimedOut)]);
    let ends: Vec<ExecutionStatus> = steps(&mut tracker).into_iter().map(|step| step.1).collect();
    assert_eq!(ends, [TimedOut, Completed, TimedOut]);
}

#[test]
fn a_failed_step_stays_failed_and_a_skipped_one_never_runs() {
    let failed = ExecutionEventKind::StepFailed { name: None, error: "no\0 disk".into() };
    let skipped = ExecutionEventKind::StepSkipped { name: "deploy".into() };
    let mut tracker = after([start("build"), failed, skipped, finish(Completed)]);
    let rows = tracker.take().steps;
    assert!(rows.iter().any(|step| step.error_message.as_deref() == Some("no\u{fffd} disk") && step.status == Failed));
    assert_eq!(rows.last().map(|step| (step.status, step.revision)), Some((Skipped, Execution::FINAL)));
    assert_eq!(tracker.execution().completed_steps, 2);
}

#[test]
fn what_cannot_happen_is_refused_and_changes_nothing() {
    let mut tracker = Tracker::create(ID, event(1, new("job"))).unwrap();
    let refused = |tracker: &mut Tracker, number, kind| {
        let before = format!("{tracker:?}");
        let error = tracker.apply(event(number, kind)).unwrap_err();
        assert_eq!(format!("{tracker:?}"), before);
        error.to_string()
    };
    assert!(refused(&mut tracker, 2, lines("x\n")).contains("send `started` first"));
    assert!(refused(&mut tracker, 2, finish(Completed)).contains("pending"));
    assert!(refused(&mut tracker, 3, ExecutionEventKind::Started).contains("from 2 on"));
    tracker.apply(event(2, ExecutionEventKind::Started)).unwrap();
    assert!(refused(&mut tracker, 3, ExecutionEventKind::Started).contains("running"));
    assert!(refused(&mut tracker, 3, new("again")).contains("created before"));
    assert!(refused(&mut tracker, 3, complete("x")).contains("no step `x` is open"));
    assert!(refused(&mut tracker, 3, start("")).contains("empty"));
    assert!(refused(&mut tracker, 3, finish(Skipped)).contains("ends completed"));
    assert!(refused(&mut tracker, 3, finish(Running)).contains("ends completed"));
    tracker.apply(event(3, finish(Cancelled))).unwrap();
    assert!(refused(&mut tracker, 4, finish(Completed)).contains("the execution is cancelled: its state is final"));
    assert!(Tracker::create("../../etc", event(1, new("x"))).is_err());
    assert!(Tracker::create(ID, event(2, new("x"))).is_err());
    assert!(Tracker::create(ID, event(1, new(""))).is_err());
}

#[test]
fn an_event_that_comes_again_changes_nothing() {
    let mut tracker = after([start("a"), lines("x\n")]);
    tracker.take();
    for (number, kind) in [(1, new("job")), (3, start("a")), (4, lines("x\n"))] {
        assert_eq!(tracker.apply(event(number, kind)), Ok(Outcome::Duplicate));
    }
    assert!(tracker.take().is_empty());
}

#[test]
fn what_nobody_came_for_can_be_ended_by_others() {
    let mut tracker = Tracker::create(ID, event(1, new("job"))).unwrap();
    assert_eq!(tracker.execution().status, Pending);
    tracker.end(Interrupted, "the runner is gone", Timestamp(BEGIN + 9)).unwrap();
    assert!(tracker.end(Cancelled, "", Timestamp(BEGIN)).is_err());
    assert_eq!(tracker.execution().error_message.as_deref(), Some("the runner is gone"));
    assert!(tracker.apply(event(2, ExecutionEventKind::Started)).is_err());
}

#[test]
fn there_is_a_limit_to_everything_that_grows() {
    let mut tracker = after([]);
    for number in 3..Execution::MAX_PARTS + 3 {
        tracker.apply(event(number, start("s"))).unwrap();
        tracker.apply(event(number, complete("s"))).unwrap();
        tracker.last_event = number;
    }
    assert!(matches!(tracker.check(&start("s")), Err(EventError::TooMany { what: "steps", .. })));
    let meta = |value: &str| ExecutionEventKind::Meta { key: "k".into(), value: value.into() };
    let value = "v".repeat(Execution::MAX_TEXT_BYTES - 1);
    let mut tracker = after((0..3).map(|at| ExecutionEventKind::Meta { key: at.to_string(), value: value.clone() }));
    assert!(tracker.check(&meta("small")).is_ok());
    tracker.apply(event(6, meta(&"v".repeat(Execution::MAX_TEXT_BYTES - 4)))).unwrap();
    assert!(matches!(tracker.check(&meta("four more")), Err(EventError::TooMany { .. })));
}

#[test]
fn a_tracker_that_is_resumed_goes_on_as_if_nothing_happened() {
    use crate::Record;
    let kinds = || {
        vec![
            start("a"),
            lines("one\ntwo\n"),
            start("b"),
            ExecutionEventKind::StepSkipped { name: "c".into() },
            complete("b"),
            lines("three\n"),
            start("d"),
            lines("four\n"),
            finish(Failed),
        ]
    };
    let mut whole = after(kinds());
    let expected: Vec<_> = whole.take().steps.iter().map(Record::to_row).collect();
    let expected = Step::TABLE.normalise(expected);
    for cut in 0..kinds().len() {
        let mut first = after(kinds().into_iter().take(cut));
        let rows = first.take();
        let steps: Vec<_> = rows.steps.iter().map(Record::to_row).collect();
        let stored: Vec<Step> =
            Step::TABLE.normalise(steps).into_iter().map(|row| Step::from_row(row).unwrap()).collect();
        let execution = rows.executions.last().unwrap().clone();
        let mut second = Tracker::resume(execution, stored.clone(), 0, 0, rows.log_chunks.last());
        assert_eq!(second.last_event(), first.last_event(), "after {cut}");
        for (number, kind) in (3..).zip(kinds()) {
            second.apply(event(number, kind)).unwrap();
        }
        assert_eq!(second.execution(), whole.execution(), "after {cut}");
        let mut all: Vec<_> = stored.iter().map(Record::to_row).collect();
        all.extend(second.take().steps.iter().map(Record::to_row));
        assert_eq!(Step::TABLE.normalise(all), expected, "after {cut}");
    }
}
