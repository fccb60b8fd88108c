//! What many executions come to, by name: how often they end well, how long they take, and whether that changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Execution, ExecutionStatus};
use crate::{DAY, Timestamp};

/// What the executions of one name come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExecutionStatistics {
    /// All of them.
    pub runs: u64,
    /// By status.
    pub by_status: BTreeMap<ExecutionStatus, u64>,
    /// Of those that completed, failed or took too long, the share that completed; absent where there are none.
    pub success_rate: Option<f64>,
    /// Half of those that completed took at most so long, in nanoseconds.
    pub p50: Option<u64>,
    /// 95 of 100 that completed took at most so long, in nanoseconds.
    pub p95: Option<u64>,
    /// Of the pairs of runs that follow each other, the share whose results differ: 0 is steady, 1 flips every time.
    pub flakiness: Option<f64>,
    /// By UTC day, the earliest first.
    pub days: Vec<ExecutionDay>,
}

/// What one UTC day brought.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExecutionDay {
    /// Its first moment.
    pub day: Timestamp,
    /// All of its executions.
    pub runs: u64,
    /// Those that completed.
    pub completed: u64,
    /// Those that failed or took too long.
    pub failed: u64,
    /// Half of those that completed took at most so long, in nanoseconds.
    pub p50: Option<u64>,
}

impl ExecutionStatistics {
    /// By name, of executions in any order.
    pub fn by_name(executions: &[Execution]) -> BTreeMap<Arc<str>, Self> {
        let mut by_name: BTreeMap<Arc<str>, Vec<&Execution>> = BTreeMap::new();
        for execution in executions {
            by_name.entry(execution.name.clone()).or_default().push(execution);
        }
        by_name.into_iter().map(|(name, runs)| (name, Self::of(runs))).collect()
    }

    fn of(mut runs: Vec<&Execution>) -> Self {
        runs.sort_by_key(|run| (run.created_at, run.id.clone()));
        let mut statistics = Self { runs: runs.len() as u64, ..Self::default() };
        for run in &runs {
            *statistics.by_status.entry(run.status).or_default() += 1;
        }
        let results: Vec<bool> = runs.iter().filter_map(|run| result(run)).collect();
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        statistics.success_rate = share(results.iter().filter(|good| **good).count(), results.len());
        let flips = results.windows(2).filter(|pair| pair[0] != pair[1]).count();
        statistics.flakiness = share(flips, results.len().saturating_sub(1));
        let durations = durations(&runs);
        (statistics.p50, statistics.p95) = (quantile(&durations, 50), quantile(&durations, 95));
        for day in runs.chunk_by(|a, b| a.created_at.day() == b.created_at.day()) {
            let count = |wanted| day.iter().filter(|run| result(run) == Some(wanted)).count() as u64;
            statistics.days.push(ExecutionDay {
                day: day[0].created_at.day(),
                runs: day.len() as u64,
                completed: count(true),
                failed: count(false),
                p50: quantile(&self::durations(day), 50),
            });
        }
        statistics
    }
}

/// Whether it ended well; nothing of one that runs, or that somebody ended.
fn result(run: &Execution) -> Option<bool> {
    match run.status {
        ExecutionStatus::Completed => Some(true),
        ExecutionStatus::Failed | ExecutionStatus::TimedOut => Some(false),
        _ => None,
    }
}

/// Of those that completed, sorted.
fn durations(runs: &[&Execution]) -> Vec<u64> {
    let completed = runs.iter().filter(|run| run.status == ExecutionStatus::Completed);
    let mut durations: Vec<u64> = completed.filter_map(|run| run.duration).collect();
    durations.sort_unstable();
    durations
}

/// The smallest value that so many of 100 do not pass.
fn quantile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

impl ExecutionDay {
    /// The first moment after it.
    pub fn end(&self) -> Timestamp {
        Timestamp(self.day.0.saturating_add(DAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExecutionEvent, ExecutionEventKind, HOUR, NewExecution, Tracker};

    fn run(name: &str, hour: i64, status: ExecutionStatus, took: i64) -> Execution {
        let id = format!("0190a1b2-c3d4-7e5f-8a9b-{hour:012}");
        let at = |after| Timestamp(1_700_000_000_000_000_000 + hour * HOUR + after);
        let new = NewExecution { name: name.into(), ..NewExecution::default() };
        let created = ExecutionEvent { number: 1, at: at(0), kind: ExecutionEventKind::Created(new) };
        let mut tracker = Tracker::create(&id, created).unwrap();
        tracker.apply(ExecutionEvent { number: 2, at: at(0), kind: ExecutionEventKind::Started }).unwrap();
        if status.is_final() {
            tracker.end(status, "", at(took)).unwrap();
        }
        tracker.execution().clone()
    }

    #[test]
    fn names_are_summed_up_apart_and_what_somebody_ended_is_no_result() {
        use ExecutionStatus::{Cancelled, Completed, Failed, Running, TimedOut};
        let ends = [Completed, Failed, Completed, Completed, TimedOut, Cancelled, Running];
        let mut runs: Vec<Execution> =
            (0..).zip(ends).map(|(hour, status)| run("a", hour * 10, status, (hour + 1) * 100)).collect();
        runs.push(run("b", 500, Completed, 7));
        runs.reverse();
        let by_name = ExecutionStatistics::by_name(&runs);
        let a = &by_name["a"];
        assert_eq!((a.runs, a.by_status[&Completed], a.by_status[&Running]), (7, 3, 1));
        assert_eq!((a.success_rate, a.flakiness), (Some(0.6), Some(0.75)));
        assert_eq!((a.p50, a.p95), (Some(300), Some(400)));
        assert_eq!(a.days.iter().map(|day| day.runs).sum::<u64>(), 7);
        assert!(a.days.windows(2).all(|pair| pair[0].end() <= pair[1].day));
        let b = &by_name["b"];
        assert_eq!((b.success_rate, b.flakiness, b.p95), (Some(1.0), None, Some(7)));
    }
}
